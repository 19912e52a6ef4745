"""Frames of Kafka's protocol are told apart as its real clients and brokers write them."""

from __future__ import annotations

import struct

import pytest
from aiokafka.protocol import api, coordination, fetch, group, metadata, produce, transaction
from aiokafka.protocol import commit as offsets
from hypothesis import given
from hypothesis import strategies as st

from pipeline.testing.kafka_proxy.framing import (
    MAX_FRAME_BYTES,
    Api,
    NotKafka,
    Request,
    correlation_of,
    request_of,
    size_of,
)

MODULES = (api, transaction, offsets, coordination, fetch, group, metadata, produce)


def framed(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def header(key: int, version: int, correlation: int, client: bytes) -> bytes:
    return struct.pack(">hhih", key, version, correlation, len(client)) + client


@given(
    st.integers(0, 100),
    st.integers(0, 20),
    st.integers(-(2**31), 2**31 - 1),
    st.text(st.characters(codec="utf-8"), max_size=50),
    st.binary(max_size=50),
)
def test_a_request_says_what_it_asks_for_and_of_whom(
    key: int, version: int, correlation: int, client: str, body: bytes
) -> None:
    frame = framed(header(key, version, correlation, client.encode()) + body)
    assert request_of(frame) == Request(key, version, correlation, client)
    assert size_of(frame[:4]) == len(frame) - 4


def test_the_clients_own_headers_are_read() -> None:
    request = transaction.EndTxnRequest_v0("id", 1, 2, True)
    encoded = request.build_request_header(7, "count.0").encode() + request.encode()
    found = request_of(framed(encoded))
    assert (found.name, found.api_version, found.correlation_id, found.client_id) == ("END_TXN", 0, 7, "count.0")


def test_a_request_of_nobody_in_particular_is_one() -> None:
    assert request_of(framed(struct.pack(">hhih", 3, 0, 1, -1))) == Request(3, 0, 1, "")


def test_each_name_is_the_one_the_client_library_has_for_its_number() -> None:
    named = {
        found.API_KEY: name.removesuffix("Request")
        for module in MODULES
        for name, found in vars(module).items()
        if name.endswith("Request") and hasattr(found, "API_KEY")
    }
    ours = {each.value: each.name.replace("_", "").lower() for each in Api}
    alike = {key: name.lower() for key, name in named.items() if key in ours}
    assert len(alike) >= 12
    assert {key: ours[key] for key in alike} == alike


def test_a_request_without_a_name_here_is_told_by_its_number() -> None:
    assert request_of(framed(header(77, 0, 1, b""))).name == "77"


def test_a_response_is_known_by_its_number_only() -> None:
    assert correlation_of(framed(struct.pack(">i", 9) + b"whatever")) == 9


@pytest.mark.parametrize("size", [-1, 0, 3, MAX_FRAME_BYTES + 1])
def test_a_size_that_no_frame_has_is_refused(size: int) -> None:
    with pytest.raises(NotKafka):
        size_of(struct.pack(">i", size))


@pytest.mark.parametrize("content", [b"abcd", header(0, 0, 1, b"abc")[:-1], header(0, 0, 1, b"\xff")])
def test_what_has_no_whole_header_is_refused(content: bytes) -> None:
    with pytest.raises(NotKafka):
        request_of(framed(content))


def test_an_answer_too_short_to_have_a_number_is_refused() -> None:
    with pytest.raises(NotKafka):
        correlation_of(framed(b"abc"))

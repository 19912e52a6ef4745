"""Each reason a dead letter can have, met by real stages: it says why, who and where, and keeps the record sealed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from pipeline import topics
from pipeline.dead_letters import open_dead_letter
from pipeline.errors import DeadLetterReason
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, VerificationRequest
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Headers
from pipeline.senders.provider import Provider
from pipeline.testing import virtual_time
from pipeline.testing.deployment import PARTITIONS, RING, Deployment, home, ycloud
from tests.unit.senders.doubles import command

CODEC = Codec()
PHONE, OTHER = "+4915123456789", "+4915123456785"
CODE = "73915846"
HEADERS: Headers = (("x-code", CODE.encode()), ("provider", b"ycloud"))
NOBODYS = b"\xc3\x01" + bytes(range(8))
"""The frame of a schema that nobody has published."""


def broken() -> Provider:
    """A provider's module with a bug, met as soon as a command is read: nobody set what it can do."""
    provider = ycloud()
    provider.capabilities = replace(provider.capabilities, channels=None)  # type: ignore[arg-type]
    return provider


def request(recipient: str = PHONE, **fields: object) -> VerificationRequest:
    return VerificationRequest(verification_id="v1", recipient=recipient, code=CODE, **fields)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """Records one after another in one partition; the last becomes the dead letter."""

    reason: DeadLetterReason
    stage: str
    topic: str
    records: Sequence[AvroRecord | bytes | None]
    at: int = 0
    verification_id: str | None = None
    provider: Callable[[], Provider] = ycloud
    max_message_bytes: Mapping[str, int] | None = None


Reason = DeadLetterReason
SEND = topics.send(topics.CHANNELS[0])
CASES = {
    "JSON to the router": Case(Reason.UNKNOWN_FRAMING, "router", topics.REQUESTS, [b'{"code":"%s"}' % CODE.encode()]),
    "JSON to the tracker": Case(Reason.UNKNOWN_FRAMING, "tracker", topics.CHECKS, [b'{"code":"%s"}' % CODE.encode()]),
    "JSON to a sender": Case(Reason.UNKNOWN_FRAMING, "sender.ycloud", SEND, [b'{"code":"%s"}' % CODE.encode()]),
    "a request of nobody's schema": Case(Reason.UNKNOWN_SCHEMA, "router", topics.REQUESTS, [NOBODYS + CODE.encode()]),
    "a check of nobody's schema": Case(Reason.UNKNOWN_SCHEMA, "tracker", topics.CHECKS, [NOBODYS + CODE.encode()]),
    "a request cut short": Case(Reason.UNDECODABLE, "router", topics.REQUESTS, [CODEC.encode(request())[:-9]]),
    "no value": Case(Reason.UNDECODABLE, "tracker", topics.COMMANDS, [None]),
    "a sealed code that opens nowhere": Case(
        Reason.UNDECODABLE,
        "tracker",
        topics.CHECKS,
        [CodeCheck(check_id="c1", verification_id="v1", code_sealed=b"rubbish")],
        at=home("v1"),
        verification_id="v1",
    ),
    "a decision larger than its topic takes": Case(
        Reason.TOO_LARGE,
        "router",
        topics.REQUESTS,
        [request()],
        at=home(PHONE),
        max_message_bytes={topics.DECISIONS: 200},
    ),
    "an id with other content": Case(
        Reason.ID_CONFLICT,
        "router",
        topics.REQUESTS,
        [request(), request(brand="Other")],
        at=home(PHONE),
        verification_id="v1",
    ),
    "a bug": Case(Reason.HANDLER_REFUSED, "sender.ycloud", SEND, [command(1)], provider=broken),
}


def test_every_reason_is_met_below() -> None:
    assert {case.reason for case in CASES.values()} == set(DeadLetterReason)


@pytest.mark.parametrize("name", CASES)
def test_a_dead_letter_says_why_who_and_where_and_keeps_its_record_sealed(name: str) -> None:
    case = CASES[name]

    async def story() -> None:
        world = Deployment(case.provider(), max_message_bytes=case.max_message_bytes)
        async with world.running(case.stage.split(".")[0]):
            for value in case.records:
                await world.publish(case.topic, value, key=PHONE.encode(), partition=case.at, headers=HEADERS)
            await asyncio.sleep(20)
        records = [record for record in await world.records(case.topic) if record.partition == case.at]
        source = records[len(case.records) - 1]
        (letter,) = await world.letters()
        assert (letter.reason, letter.stage, letter.verification_id) == (case.reason, case.stage, case.verification_id)
        assert (letter.topic, letter.partition, letter.offset) == (case.topic, case.at, source.offset)
        assert letter.detail
        kept = open_dead_letter(world.codec, RING, letter)
        assert kept is not None
        assert (kept.topic, kept.partition, kept.offset) == (case.topic, case.at, source.offset)
        assert (kept.timestamp_at, kept.key, kept.value) == (source.timestamp_ms, PHONE.encode(), source.value)
        assert tuple((header.name, header.value) for header in kept.headers) == HEADERS
        (dead,) = await world.records(topics.DEAD_LETTERS)
        shown = repr(dead).encode() + (dead.value or b"")
        assert not any(secret in shown for secret in (PHONE.encode(), CODE.encode()))

    virtual_time.run(story())


def test_a_conflict_of_a_request_that_was_passed_on_names_the_record_its_producer_wrote() -> None:
    async def story() -> None:
        world = Deployment()
        elsewhere = (home(PHONE) + 1) % PARTITIONS
        async with world.running("router"):
            await world.publish(topics.REQUESTS, request(), partition=home(PHONE))
            await asyncio.sleep(1)
            await world.publish(topics.REQUESTS, request(brand="Other"), partition=elsewhere)
            await asyncio.sleep(5)
        (letter,) = await world.letters()
        assert (letter.reason, letter.stage) == (Reason.ID_CONFLICT, "router")
        assert (letter.topic, letter.partition, letter.offset) == (topics.REQUESTS, elsewhere, 0)
        kept = open_dead_letter(world.codec, RING, letter)
        assert kept is not None
        assert world.codec.decode(VerificationRequest, kept.value, public=True) == request(brand="Other")

    virtual_time.run(story())


def test_an_id_used_for_two_people_is_a_conflict_that_only_the_tracker_can_see() -> None:
    """Their requests are decided in two partitions that know nothing of each other."""
    assert home(PHONE) != home(OTHER)

    async def story() -> None:
        world = Deployment()
        async with world.running("router", "tracker"):
            for person in (PHONE, OTHER):
                await world.publish(topics.REQUESTS, request(person), key=person.encode())
                await asyncio.sleep(5)
        (letter,) = await world.letters()
        assert (letter.reason, letter.stage, letter.verification_id) == (Reason.ID_CONFLICT, "tracker", "v1")
        assert (letter.topic, letter.partition, letter.offset) == (topics.REQUESTS, home(OTHER), 0)
        kept = open_dead_letter(world.codec, RING, letter)
        decided = [record for record in await world.records(topics.DECISIONS) if record.partition == home("v1")]
        assert kept is not None
        assert kept.value == decided[1].value

    virtual_time.run(story())


def test_a_record_larger_than_anybody_reads_is_told_without_it() -> None:
    """Only a topic configured for more than the broker's default takes it at all."""

    async def story() -> None:
        world = Deployment(max_message_bytes={topics.REQUESTS: 3_000_000})
        async with world.running("router"):
            await world.publish(topics.REQUESTS, CODEC.encode(request()) + bytes(1_048_576), partition=0)
            await asyncio.sleep(5)
        (letter,) = await world.letters()
        assert (letter.reason, letter.stage, letter.topic) == (Reason.TOO_LARGE, "router", topics.REQUESTS)
        assert letter.payload_sealed is None

    virtual_time.run(story())

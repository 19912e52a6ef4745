"""Keys must land where every Java client puts them, or one recipient would live in two partitions."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.partition import murmur2, partition_for

KAFKA_UTILS_TEST = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "expected"), KAFKA_UTILS_TEST.items())
def test_the_hash_is_the_one_of_kafkas_own_test_vectors(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected


@given(st.binary(max_size=200))
def test_the_hash_agrees_with_aiokafka_for_any_bytes(key: bytes) -> None:
    assert murmur2(key) & 0xFFFF_FFFF == aiokafka_murmur2(key)


@given(st.binary(max_size=80), st.integers(min_value=1, max_value=512))
def test_the_partition_agrees_with_aiokafkas_default_partitioner(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_for(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


def test_a_negative_hash_has_its_sign_bit_cleared_not_its_sign_turned() -> None:
    negative = murmur2(b"21")
    assert negative < 0
    assert partition_for(b"21", 7) == (negative & 0x7FFF_FFFF) % 7 != abs(negative) % 7

"""Which partition a key belongs to: the same answer as Java's DefaultPartitioner, so that all Java clients agree."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct

_MASK = 0xFFFFFFFF
_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C


@lru_cache(maxsize=256)
def _word_reader(words: int) -> Callable[[bytes], tuple[int, ...]]:
    return Struct(f"<{words}I").unpack_from


@lru_cache(maxsize=16_384)
def murmur2(data: bytes) -> int:
    """The signed 32-bit hash of ``org.apache.kafka.common.utils.Utils.murmur2``.

    The last keys are remembered: one verification's id is hashed for several topics within seconds, and pure Python
    needs some 4 µs for a UUID against 0.1 µs for a remembered one. No library of ours has it in C.
    """
    length = len(data)
    rest = length & 3
    value = _SEED ^ length
    for word in _word_reader(length >> 2)(data):
        mixed = word * _MULTIPLIER & _MASK
        # One mask for both products: xor and multiplication never carry from high bits to low ones.
        value = (value * _MULTIPLIER ^ (mixed ^ mixed >> 24) * _MULTIPLIER) & _MASK
    if rest:
        value = (value ^ int.from_bytes(data[length - rest :], "little")) * _MULTIPLIER & _MASK
    value = (value ^ value >> 13) * _MULTIPLIER & _MASK
    value ^= value >> 15
    return value - 0x1_0000_0000 if value & 0x8000_0000 else value


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of ``key`` among ``partitions`` (at least 1).

    Java's toPositive clears the sign bit; it is not the absolute value.
    """
    return (murmur2(key) & 0x7FFF_FFFF) % partitions

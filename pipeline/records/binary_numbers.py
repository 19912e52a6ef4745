"""Numbers as Avro writes them, and those that announce how much follows: read so that no hostile one costs anything.

Each function reads at a position and returns the value and the position behind it; cut data raises IndexError.
"""

from __future__ import annotations

from typing import Final

from pipeline.records.binary_write import INT_MAX, INT_MIN


class Malformed(ValueError):
    """These bytes are not what their schema says; the message names the flaw and quotes nothing."""


def _whole(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    value, shift = byte & 0x7F, 7
    while byte > 0x7F:
        if shift > 63:
            raise Malformed("a number is longer than ten bytes")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    if value >> 64:
        raise Malformed("a number has more than 64 bits")
    return (value >> 1) ^ -(value & 1), at


_CONTINUED: Final = 0x80 << 28 | 0x80 << 21 | 0x80 << 14 | 0x80 << 7 | 0x80


def whole_long(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag number of up to 64 bits in up to ten bytes."""
    six = data[at : at + 6]
    if len(six) == 6:
        a, b, c, d, e, f = six
        if f < 0x80 <= a & b & c & d & e:
            # Every time in epoch milliseconds until 2039; unrolled, as most large numbers are times.
            value = (f << 35) + (e << 28) + (d << 21) + (c << 14) + (b << 7) + a - _CONTINUED
            return (value >> 1) ^ -(value & 1), at + 6
    return _whole(data, at)


def whole_int(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag number of up to 32 bits."""
    value, at = _whole(data, at)
    if not INT_MIN <= value <= INT_MAX:
        raise Malformed("an int has more than 32 bits")
    return value, at


def natural(data: bytes, at: int) -> tuple[int, int]:
    """A length or an index."""
    value, at = _whole(data, at)
    if value < 0:
        raise Malformed("a length or an index is negative")
    return value, at


def block(data: bytes, at: int) -> tuple[int, int]:
    """How many items the next block of an array or map has; 0 ends it."""
    count, at = _whole(data, at)
    if count < 0:
        # A block that may be skipped at once: the count is negative and its size in bytes follows.
        count = -count
        _, at = natural(data, at)
    if count > len(data) - at:
        # Every item takes a byte or more. Asked before the first is read, as a count costs its writer nothing.
        raise Malformed("an array or map claims more items than there are bytes")
    return count, at

"""From a record to Avro bytes: one Python function per schema, generated when it is first needed.

Why not fastavro here: it tries every branch of a union on every value and wants dicts, and these records are mostly
nullable fields. ``tests/benchmarks/codec.py`` has the figures; a hop of the pipeline is little else than this. The
bytes are held equal to fastavro's by property tests.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from pipeline.records.schema_of import ENUM_DEFAULT
from pipeline.records.schemas import Linked
from pipeline.records.source import Source

Write = Callable[[Any], bytes]

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


def varint(value: int) -> bytes:
    """Zigzag and seven bits a byte, as Avro writes ints and longs."""
    zigzag = (value << 1) ^ (value >> 63)
    if 0x7_FFFF_FFFF < zigzag <= 0x3FF_FFFF_FFFF:
        # Six bytes: every time in epoch milliseconds until 2039; unrolled, as most large numbers are times.
        return bytes(
            (
                zigzag & 0x7F | 0x80,
                zigzag >> 7 & 0x7F | 0x80,
                zigzag >> 14 & 0x7F | 0x80,
                zigzag >> 21 & 0x7F | 0x80,
                zigzag >> 28 & 0x7F | 0x80,
                zigzag >> 35,
            )
        )
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


_SMALL_END: Final = 1024
_SMALL: Final = tuple(varint(number) for number in range(_SMALL_END))
"""Lengths, counts, indexes and most numbers."""


def _int(value: int) -> bytes:
    if INT_MIN <= value <= INT_MAX:
        return varint(value)
    raise OverflowError(f"{value} does not fit an Avro int")


@lru_cache(maxsize=8_192, typed=True)
def _long(value: int) -> bytes:
    # Most are times, and the same few are written again and again: with each record a state is written whole, and
    # what was decided is repeated from record to record. Typed, as a float must not pass for its equal.
    if LONG_MIN <= value <= LONG_MAX:
        return varint(value)
    raise OverflowError(f"{value} does not fit an Avro long")


def compile_writer(schema: Linked) -> Write:
    """A function that writes records of our types as the record ``schema`` says.

    ``schema`` is current or a released version of ours, so each of its fields is an attribute of the record; an enum
    member that the version does not have yet is written as ``unknown``, which is what its readers would make of it.
    The function raises OverflowError for a number too large for its field; AttributeError or TypeError for a value of
    the wrong type. Both are bugs of the caller.
    """
    return _Generator().record(schema)


class _Generator:
    """Generates the functions of one schema's records, the inner ones first."""

    def __init__(self) -> None:
        self._written: dict[str, Write] = {}

    def record(self, schema: Linked) -> Write:
        name = schema["name"]
        if name not in self._written:
            source = Source("def write(record)", **_HELPERS)
            parts: list[str] = []
            for field in schema["fields"]:
                source.line(f"value = record.{field['name']}")
                parts += self._value(source, field["type"], "value")
            source.line(f"return join(({''.join(part + ', ' for part in parts)}))")
            self._written[name] = source.function()
        return self._written[name]

    def _value(self, source: Source, schema: Linked, value: str) -> list[str]:
        """Generate the writing of ``value``; returns the variables that hold its bytes, in order."""
        if isinstance(schema, list):
            return self._nullable(source, schema, value)
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind in ("string", "bytes"):
            return self._sized(source, kind, value, _SMALL, "varint")
        data = source.fresh("data")
        if kind in ("int", "long"):
            source.line(f"{data} = small[{value}] if 0 <= {value} < {_SMALL_END} else whole_{kind}({value})")
        elif kind == "boolean":
            source.line(f"{data} = ONE if {value} else ZERO")
        elif kind == "double":
            source.line(f"{data} = double({value})")
        elif kind == "enum":
            # By the plain string: hashing an enum member is a call of Python code.
            source.line(f"{data} = {source.bind('indexes', _indexes(schema))}[{value}._value_]")
        elif kind == "record":
            source.line(f"{data} = {source.bind('write', self.record(schema))}({value})")
        else:
            self._blocks(source, schema, value, data)
        return [data]

    def _sized(self, source: Source, kind: str, value: str, small: tuple[bytes, ...], large: str) -> list[str]:
        """Length and content of a string or bytes; ``small`` holds the written short lengths."""
        size, data = source.fresh("size"), source.fresh("data")
        source.line(f"{data} = {value}.encode()" if kind == "string" else f"{data} = {value}")
        source.line(f"{size} = len({data})")
        table = source.bind("small", small)
        source.line(f"{size} = {table}[{size}] if {size} < {_SMALL_END} else {large}({size})")
        return [size, data]

    def _nullable(self, source: Source, schema: Linked, value: str) -> list[str]:
        """A union of null and one type; the branch index is merged into the bytes that follow it."""
        null_first = schema[0] == "null"
        null, index = (b"\x00", b"\x02") if null_first else (b"\x02", b"\x00")
        inner = schema[1] if null_first else schema[0]
        with source.block(f"if {value} is not None"):
            prefix = source.bind("prefix", index)
            if inner in ("string", "bytes"):
                names = self._sized(source, inner, value, tuple(index + size for size in _SMALL), f"{prefix} + varint")
            else:
                names = self._value(source, inner, value)
                source.line(f"{names[0]} = {prefix} + {names[0]}")
        with source.block("else"):
            source.line(f"{names[0]} = {source.bind('null', null)}")
            for name in names[1:]:
                source.line(f"{name} = EMPTY")
        return names

    def _blocks(self, source: Source, schema: Linked, value: str, data: str) -> None:
        """An array or a map: one block with its count, and the empty block that ends it."""
        parts, item, key = source.fresh("parts"), source.fresh("item"), source.fresh("key")
        with source.block(f"if {value}"):
            source.line(f"{parts} = [whole_long(len({value}))]")
            if schema["type"] == "array":
                with source.block(f"for {item} in {value}"):
                    written = self._value(source, schema["items"], item)
                    source.line(f"{parts} += ({''.join(name + ', ' for name in written)})")
            else:
                with source.block(f"for {key}, {item} in {value}.items()"):
                    written = self._value(source, "string", key) + self._value(source, schema["values"], item)
                    source.line(f"{parts} += ({''.join(name + ', ' for name in written)})")
            source.line(f"{parts}.append(ZERO)")
            source.line(f"{data} = join({parts})")
        with source.block("else"):
            source.line(f"{data} = ZERO")


class _Indexes(dict[str, bytes]):
    """Index of each symbol, and of ``unknown`` for a symbol this version of the schema lacks."""

    def __missing__(self, symbol: str) -> bytes:
        return self[ENUM_DEFAULT]


def _indexes(schema: Linked) -> _Indexes:
    return _Indexes({symbol: varint(index) for index, symbol in enumerate(schema["symbols"])})


_HELPERS: Final[dict[str, Any]] = {
    "join": b"".join,
    "varint": varint,
    "whole_int": _int,
    "whole_long": _long,
    "small": _SMALL,
    "double": struct.Struct("<d").pack,
    "ONE": b"\x01",
    "ZERO": b"\x00",
    "EMPTY": b"",
}

"""Kafka's requests and answers written and read by one Python function per schema, made when it is first needed.

aiokafka walks its schemas value by value: a fetch that names 64 partitions is a thousand calls each way, and a process
fetches a hundred times a second. Here neighbouring numbers are packed and unpacked in one go. The bytes and the values
are held equal to the library's by tests over every schema it has. Types that only newer versions of the protocol use
(compact strings, tagged fields) are left to the library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from typing import Any, Final

from aiokafka.protocol import types

Write = Callable[[Sequence[Any]], bytes]
Read = Callable[[bytes, int], tuple[Sequence[Any], int]]

NUMBERS: Final = {
    types.Boolean: "?",
    types.Int8: "b",
    types.Int16: "h",
    types.Int32: "i",
    types.UInt32: "I",
    types.Int64: "q",
    types.Float64: "d",
}
"""What has a fixed size, as :mod:`struct` calls it."""


class Unsupported(Exception):
    """The schema holds a type that is left to the library."""


class _Source:
    """The body of a function under construction; numbers next to each other wait until something else comes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"ValueError": ValueError}
        self._run: list[tuple[str, str]] = []
        self._count = 0

    def name(self) -> str:
        """A variable nobody else uses."""
        self._count += 1
        return f"v{self._count}"

    def add(self, depth: int, *lines: str) -> None:
        """Lines at this depth."""
        self.lines += ["    " * depth + line for line in lines]

    def number(self, kind: str, name: str) -> None:
        """A number that is packed or unpacked with those beside it."""
        self._run.append((kind, name))

    def flush(self, depth: int, form: Callable[[str, list[str], int], Sequence[str]]) -> None:
        """Write what waits; ``form`` makes its lines of a name for the layout, the variables and their bytes."""
        if not self._run:
            return
        layout = struct.Struct(">" + "".join(kind for kind, _ in self._run))
        known = f"s{len(self.names)}"
        self.names[known] = layout
        self.add(depth, *form(known, [name for _, name in self._run], layout.size))
        self._run = []

    def function(self, head: str, end: str) -> Any:
        """The function ``f`` with this head, compiled."""
        text = "\n".join([head, *self.lines, "    " + end])
        exec(compile(text, f"<{__name__}>", "exec"), self.names)  # noqa: S102  # made of types only, of no data
        return self.names["f"]


def _packed(layout: str, names: list[str], _: int) -> Sequence[str]:
    return (f"put({layout}.pack({', '.join(names)}))",)


def _unpacked(layout: str, names: list[str], size: int) -> Sequence[str]:
    return (f"{', '.join(names)}, = {layout}.unpack_from(data, at)", f"at += {size}")


def _write_fields(source: _Source, depth: int, fields: Sequence[Any], names: Sequence[str]) -> None:
    for field, name in zip(fields, names, strict=True):
        if isinstance(field, type) and field in NUMBERS:
            source.number(NUMBERS[field], name)
            continue
        if isinstance(field, types.Schema):
            parts = [source.name() for _ in field.fields]
            source.add(depth, f"{', '.join(parts)}, = {name}")
            _write_fields(source, depth, field.fields, parts)
            continue
        size = source.name()
        if type(field) is types.String:
            source.add(depth, f"if {name} is None: {size}, {name} = -1, b''")
            source.add(depth, f"else: {name} = str({name}).encode({field.encoding!r}); {size} = len({name})")
            source.number("h", size)
            source.flush(depth, _packed)
            source.add(depth, f"put({name})")
        elif field is types.Bytes:
            source.add(depth, f"{size} = -1 if {name} is None else len({name})")
            source.number("i", size)
            source.flush(depth, _packed)
            source.add(depth, f"if {name}: put({name})")
        elif type(field) is types.Array:
            source.add(depth, f"{size} = -1 if {name} is None else len({name})")
            source.number("i", size)
            source.flush(depth, _packed)
            item = source.name()
            source.add(depth, f"for {item} in {name} or ():")
            _write_fields(source, depth + 1, [field.array_of], [item])
            source.flush(depth + 1, _packed)
        else:
            raise Unsupported(repr(field))


def _read_fields(source: _Source, depth: int, fields: Sequence[Any], names: Sequence[str]) -> None:
    for field, name in zip(fields, names, strict=True):
        if isinstance(field, type) and field in NUMBERS:
            source.number(NUMBERS[field], name)
            continue
        if isinstance(field, types.Schema):
            parts = [source.name() for _ in field.fields]
            _read_fields(source, depth, field.fields, parts)
            source.flush(depth, _unpacked)
            source.add(depth, f"{name} = ({', '.join(parts)},)")
            continue
        size = source.name()
        if type(field) is types.String or field is types.Bytes:
            source.number("i" if field is types.Bytes else "h", size)
            source.flush(depth, _unpacked)
            source.add(depth, f"if {size} < 0: {name} = None", "else:")
            source.add(depth + 1, f"end = at + {size}", f"{name} = data[at:end]", "at = end")
            source.add(depth + 1, f"if len({name}) != {size}: raise ValueError('a string or bytes are cut off')")
            if field is not types.Bytes:
                source.add(depth + 1, f"{name} = {name}.decode({field.encoding!r})")
        elif type(field) is types.Array:
            source.number("i", size)
            source.flush(depth, _unpacked)
            source.add(depth, f"if {size} == -1: {name} = None", "else:")
            source.add(depth + 1, f"{name} = []", f"for _ in range({size}):")
            item = source.name()
            _read_fields(source, depth + 2, [field.array_of], [item])
            source.flush(depth + 2, _unpacked)
            source.add(depth + 2, f"{name}.append({item})")
        else:
            raise Unsupported(repr(field))


@cache  # one per schema of the library, which lives as long as the process
def writer(schema: Any) -> Write | None:
    """What writes the values of a schema's fields; None where the library is to do it itself.

    It raises ValueError for a number out of its range and for an item with too few or too many fields.
    """
    source = _Source()
    names = [source.name() for _ in schema.fields]
    source.add(1, "out = []; put = out.append", f"{''.join(name + ', ' for name in names) or '()'} = values")
    try:
        _write_fields(source, 1, schema.fields, names)
    except Unsupported:
        return None
    source.flush(1, _packed)
    written: Write = source.function("def f(values):", "return b''.join(out)")

    def write(values: Sequence[Any]) -> bytes:
        try:
            return written(values)
        except struct.error as error:
            raise ValueError(f"a value does not fit its field: {error}") from error

    return write


@cache
def reader(schema: Any) -> Read | None:
    """What reads a schema's fields from a position on, and tells where they end; None where the library is to do it.

    It raises ValueError for bytes that are cut off.
    """
    source = _Source()
    names = [source.name() for _ in schema.fields]
    try:
        _read_fields(source, 1, schema.fields, names)
    except Unsupported:
        return None
    source.flush(1, _unpacked)
    found: Read = source.function("def f(data, at):", f"return ({''.join(name + ', ' for name in names)}), at")

    def read(data: bytes, at: int) -> tuple[Sequence[Any], int]:
        try:
            return found(data, at)
        except struct.error as error:
            raise ValueError(f"the answer is cut off: {error}") from error

    return read


def encode(self: Any, *, theirs: Callable[[Any], bytes]) -> bytes:
    """``Struct.encode``."""
    write = writer(self.SCHEMA)
    if write is None:
        return theirs(self)
    fields = self.__dict__
    return write([fields[name] for name in self.SCHEMA.names])


def decode(cls: Any, data: BytesIO | bytes, *, theirs: Callable[[Any, Any], Any]) -> Any:
    """``Struct.decode``; a stream stands behind what was read afterwards."""
    read = reader(cls.SCHEMA)
    if read is None:
        return theirs(cls, data)
    if isinstance(data, bytes):
        return cls(*read(data, 0)[0])
    values, end = read(data.getvalue(), data.tell())  # of bytes that nobody changed no copy is made
    data.seek(end)
    return cls(*values)

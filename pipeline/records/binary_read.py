"""From Avro bytes to a record: one Python function per writer schema, generated when it is first needed.

Resolution (fields are matched by name, those missing there get our default, those unknown to us are skipped, symbols
unknown to us become ``unknown``) is decided while generating. So it costs nothing per record, and a schema that cannot
be read is refused before any bytes are.

Why not fastavro here: besides the speed (``tests/benchmarks/codec.py``), its reader takes a negative index for a place
from the end, reads numbers of any length, and skips an array of booleans past the end of the bytes for as long as its
count says, which ten hostile bytes make a matter of years. The functions made here take at least one byte for every
value (:func:`pipeline.records.schemas.parse` refuses types that take none) and build nothing for what they skip, so
they are bounded by the length of the data. Results are held equal to fastavro's and Apache Avro's by property tests.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from pipeline.records.binary_numbers import Malformed, block, natural, whole_int, whole_long
from pipeline.records.schema_of import ENUM_DEFAULT
from pipeline.records.schemas import Linked
from pipeline.records.source import Source

Read = Callable[[bytes, int], tuple[Any, int]]
"""Reads a value at a position; returns it and the position behind it, which may lie behind the end of cut data."""

Skip = Callable[[bytes, int], int]

MAX_BRANCHES: Final = 64
"""Branch indexes of a union that fit one byte."""


class Unresolvable(ValueError):
    """A writer schema that cannot be read as our record; the message names the field and both types."""


def compile_reader(writer: Linked, ours: Linked, classes: Mapping[str, type]) -> Read:
    """A function that reads records of the schema ``writer`` as the record ``ours``.

    ``classes`` are our Python types by full name. Raises Unresolvable. The function raises Malformed, IndexError (cut
    short), UnicodeDecodeError or struct.error on bytes that are no such record; its caller has to see to it that the
    returned position is the end of the data.
    """
    return _Generator(classes).record(writer, ours, ours["name"].rpartition(".")[2])


class _Generator:
    """Generates the functions for one pair of schemas, the inner ones first."""

    def __init__(self, classes: Mapping[str, type]) -> None:
        self._classes = classes
        self._reads: dict[tuple[str, str], Read] = {}
        self._skips: dict[str, Skip] = {}

    def record(self, writer: Linked, ours: Linked, where: str) -> Read:
        pair = writer["name"], ours["name"]
        if pair not in self._reads:
            self._reads[pair] = self._record(writer, ours, where)
        return self._reads[pair]

    def _record(self, writer: Linked, ours: Linked, where: str) -> Read:
        source = Source("def read(data, at)", **_HELPERS)
        missing = {field["name"]: field["type"] for field in ours["fields"]}
        arguments = []
        for field in writer["fields"]:
            name = field["name"]
            if name not in missing:
                self._skip(source, field["type"])
                continue
            value = source.fresh("value")
            self._value(source, field["type"], missing.pop(name), value, f"{where}.{name}")
            arguments.append(f"{name}={value}")
        cls = self._classes[ours["name"]]
        for known in msgspec.structs.fields(cls):
            if known.required and known.name in missing:
                raise Unresolvable(f"{where}: the writer lacks the field {known.name}, which has no default")
        source.line(f"return {source.bind('cls', cls)}({', '.join(arguments)}), at")
        read: Read = source.function()
        return read

    def _value(self, source: Source, writer: Linked, ours: Linked, value: str, where: str) -> None:
        """Generate the reading of one value of the type ``writer`` into the variable ``value``."""
        if isinstance(writer, list):
            self._union(source, writer, ours, value, where)
            return
        inner = _inner(ours)
        theirs, kind = _kind(writer), _kind(inner)
        if theirs not in _READABLE_AS[kind]:
            raise Unresolvable(f"{where}: the writer has {theirs}, which cannot be read as {kind}")
        if kind in ("enum", "record") and _unqualified(writer) != _unqualified(inner):
            raise Unresolvable(f"{where}: the writer has {writer['name']}, which cannot be read as {inner['name']}")
        if theirs in ("string", "bytes"):
            self._number(source, "size", "natural")
            source.line("end = at + size")
            # No check against the end of the data: cut data makes the next read fail, or the position at the end.
            source.line(f"{value} = data[at:end]{'.decode()' if kind == 'string' else ''}")
            source.line("at = end")
        elif theirs in ("int", "long"):
            self._number(source, value, f"whole_{theirs}", signed=True)
            if kind == "double":
                source.line(f"{value} = float({value})")
        elif theirs == "boolean":
            source.line(f"{value} = BOOLEANS[data[at]]; at += 1")
        elif theirs in ("float", "double"):
            source.line(f"{value} = {theirs}_from(data, at)[0]; at += {_WIDTH[theirs]}")
        elif theirs == "enum":
            self._number(source, "index", "natural")
            source.line(f"{value} = {source.bind('members', self._members(writer, inner))}[index]")
        elif theirs == "record":
            read = source.bind("read", self.record(writer, inner, where))
            source.line(f"{value}, at = {read}(data, at)")
        else:
            # Most are empty, which needs no call.
            read = source.bind("read", self._blocks(writer, inner, where))
            with source.block("if data[at]"):
                source.line(f"{value}, at = {read}(data, at)")
            with source.block("else"):
                source.line(f"{value} = {'[]' if theirs == 'array' else '{}'}; at += 1")

    def _number(self, source: Source, value: str, general: str, *, signed: bool = False) -> None:
        """Generate the reading of a number; ``general`` is the function for those of more than one byte."""
        source.line(f"{value} = data[at]; at += 1")
        # Of natural numbers also the odd ones, which are negative, go the general way, to be refused.
        with source.block(f"if {value} > 127" if signed else f"if {value} & 129"):
            source.line(f"{value}, at = {general}(data, at - 1)")
        with source.block("else"):
            source.line(f"{value} = ({value} >> 1) ^ -({value} & 1)" if signed else f"{value} >>= 1")

    def _union(self, source: Source, writer: Linked, ours: Linked, value: str, where: str) -> None:
        def branch(schema: Linked) -> None:
            if schema != "null":
                self._value(source, schema, ours, value, where)
            elif isinstance(ours, list):
                source.line(f"{value} = None")
            else:
                raise Unresolvable(f"{where}: the writer may have null, which cannot be read as {_kind(ours)}")

        self._branches(source, writer, branch, where)

    def _branches(self, source: Source, union: Linked, branch: Callable[[Linked], None], where: str) -> None:
        if len(union) > MAX_BRANCHES:
            raise Unresolvable(f"{where}: a union of more than {MAX_BRANCHES} types")
        source.line("index = data[at]; at += 1")
        for index, schema in enumerate(union):
            with source.block(f"{'elif' if index else 'if'} index == {2 * index}"):
                source.line("pass")
                branch(schema)
        with source.block("else"):
            source.line("raise Malformed('a union has no such branch')")

    def _members(self, writer: Linked, ours: Linked) -> tuple[Any, ...]:
        """Our enum member for each of the writer's symbols."""
        cls = self._classes[ours["name"]]
        known = set(ours["symbols"])
        return tuple(cls(symbol if symbol in known else ENUM_DEFAULT) for symbol in writer["symbols"])

    def _blocks(self, writer: Linked, ours: Linked, where: str) -> Read:
        """A function of its own for each array and map, as Python nests no more than twenty loops."""
        source = Source("def read(data, at)", **_HELPERS)
        is_array = writer["type"] == "array"
        source.line("items = []" if is_array else "items = {}")
        source.line("count, at = block(data, at)")
        with source.block("while count"):
            with source.block("for _ in range(count)"):
                if is_array:
                    self._value(source, writer["items"], ours["items"], "item", f"{where}[]")
                    source.line("items.append(item)")
                else:
                    self._value(source, "string", "string", "key", where)
                    self._value(source, writer["values"], ours["values"], "item", f"{where}{{}}")
                    source.line("items[key] = item")
            source.line("count, at = block(data, at)")
        source.line("return items, at")
        read: Read = source.function()
        return read

    def _skip(self, source: Source, writer: Linked) -> None:
        """Generate moving past a value that nobody here knows."""
        kind = _kind(writer)
        if kind == "null":
            return
        if kind == "union":
            self._branches(source, writer, lambda schema: self._skip(source, schema), "a field we do not know")
        elif kind in ("string", "bytes"):
            source.line("size, at = natural(data, at); at += size")
        elif kind in ("int", "long", "enum"):
            source.line(f"at = {'natural' if kind == 'enum' else 'whole_' + kind}(data, at)[1]")
        elif kind in _WIDTH:
            source.line(f"at += {_WIDTH[kind]}")
        elif kind == "fixed":
            source.line(f"at += {int(writer['size'])}")
        else:
            source.line(f"at = {source.bind('skip', self._skipper(writer))}(data, at)")

    def _skipper(self, writer: Linked) -> Skip:
        name = writer.get("name")
        if name in self._skips:
            return self._skips[name]
        source = Source("def skip(data, at)", **_HELPERS)
        if name is not None:
            for field in writer["fields"]:
                self._skip(source, field["type"])
        else:
            source.line("count, at = block(data, at)")
            with source.block("while count"):
                with source.block("for _ in range(count)"):
                    if writer["type"] == "map":
                        self._skip(source, "string")
                    self._skip(source, writer["items"] if writer["type"] == "array" else writer["values"])
                source.line("count, at = block(data, at)")
        source.line("return at")
        skip: Skip = source.function()
        if name is not None:
            self._skips[name] = skip
        return skip


def _inner(ours: Linked) -> Linked:
    """The type of ours besides null (a union of ours is null and one type)."""
    return ours[1] if isinstance(ours, list) else ours


def _kind(schema: Linked) -> str:
    if isinstance(schema, list):
        return "union"
    kind: str = schema if isinstance(schema, str) else schema["type"]
    return kind


def _unqualified(schema: Linked) -> str:
    name: str = schema["name"]
    return name.rpartition(".")[2]


_WIDTH: Final = {"boolean": 1, "float": 4, "double": 8}

_READABLE_AS: Final[dict[str, frozenset[str]]] = {
    "string": frozenset({"string", "bytes"}),
    "bytes": frozenset({"string", "bytes"}),
    "boolean": frozenset({"boolean"}),
    "int": frozenset({"int"}),
    "long": frozenset({"int", "long"}),
    "double": frozenset({"int", "long", "float", "double"}),
    "enum": frozenset({"enum"}),
    "record": frozenset({"record"}),
    "array": frozenset({"array"}),
    "map": frozenset({"map"}),
}
"""What each type of ours may have been written as (the promotions of the Avro specification)."""

_HELPERS: Final[dict[str, Any]] = {
    "natural": natural,
    "whole_int": whole_int,
    "whole_long": whole_long,
    "block": block,
    "float_from": struct.Struct("<f").unpack_from,
    "double_from": struct.Struct("<d").unpack_from,
    "Malformed": Malformed,
    "BOOLEANS": (False, True),
}

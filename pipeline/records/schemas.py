"""A schema as an object: parsed, bounded, named and fingerprinted.

Everything that decides how bytes are read is taken from the Parsing Canonical Form. So documentation, defaults, aliases
and logical types of a stranger's schema have no influence, and two schemas with one fingerprint read alike.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import fastavro.schema

Linked = Any
"""A type of the canonical form: primitive name, list (union) or object; references are replaced by what they name."""

MAX_SCHEMA_BYTES: Final = 131_072
"""Our largest is a twentieth of it."""
MAX_JSON_DEPTH: Final = 100
"""fastavro parses recursively in C without a check of the stack, so depth is bounded before it sees a schema."""
MAX_TYPE_DEPTH: Final = 16
"""Types inside types, through references; ours need six."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
"""A name with its namespace, https://avro.apache.org/docs/1.12.0/specification/#names; fastavro takes any text."""
_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


class InvalidSchema(ValueError):
    """This JSON is no schema that may be read with; the message says what is wrong with the schema."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A record schema that is safe to read with."""

    name: str
    """Full name of the record."""
    fingerprint: int
    """CRC-64-AVRO of the canonical form, unsigned."""
    canonical: str
    """Parsing Canonical Form."""
    text: str
    """The JSON as it was given, for those who ask for it."""
    linked: Linked

    @property
    def key(self) -> str:
        """The fingerprint as ``verification.schemas`` and the gateway name it."""
        return fingerprint_key(self.fingerprint)


def fingerprint_key(fingerprint: int) -> str:
    """16 hex digits of the unsigned number, most significant first."""
    return f"{fingerprint:016x}"


def fingerprint_of(canonical: str) -> int:
    """CRC-64-AVRO of a Parsing Canonical Form, as an unsigned number."""
    # fastavro prints the eight bytes in the order they have on the wire, which is little-endian.
    return int.from_bytes(bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")), "little")


def parse(text: str) -> Schema:
    """Read a record schema from JSON.

    Raises InvalidSchema for what is no Avro record schema, and for what a few bytes could blow up with: a schema
    larger or deeper than the limits, a type that contains itself, values that take no byte (``null`` outside a union,
    a record without fields, a fixed of size 0), as an array of them may claim any length.
    """
    if len(text) > MAX_SCHEMA_BYTES:
        raise InvalidSchema(f"the schema has {len(text)} characters, more than the {MAX_SCHEMA_BYTES} allowed")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSchema(f"the schema is no JSON ({type(error).__name__})") from None
    _bound_depth(raw)
    if not isinstance(raw, dict) or raw.get("type") != "record":
        raise InvalidSchema("the schema is not of type record")
    try:
        canonical = fastavro.schema.to_parsing_canonical_form(fastavro.schema.parse_schema(raw))
        linked = _Linker().link(json.loads(canonical), inside=())[0]
        fingerprint = fingerprint_of(canonical)
    except InvalidSchema:
        raise
    except Exception as error:
        # fastavro lets what it stumbles over escape (KeyError, TypeError, AttributeError) besides its own errors, and
        # takes what makes no canonical form (names with quotes, sizes that are no numbers).
        why = f"{type(error).__name__}: {str(error)[:200]}".encode("ascii", "backslashreplace").decode()
        raise InvalidSchema(f"the schema is no Avro: {why}") from None
    return Schema(name=linked["name"], fingerprint=fingerprint, canonical=canonical, text=text, linked=linked)


def _bound_depth(raw: Any) -> None:
    level = [raw]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise InvalidSchema(f"the schema is nested deeper than {MAX_JSON_DEPTH} levels")


class _Linker:
    """Replaces references by the types they name, and refuses what is unsafe to read."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[Linked, int]] = {}

    def link(self, node: Any, *, inside: tuple[str, ...]) -> tuple[Linked, int]:
        """The linked type and how many levels of types it has; ``inside`` are the records being spelt out."""
        if isinstance(node, str):
            if node in _PRIMITIVES:
                return node, 1
            if node in inside:
                raise InvalidSchema(f"{node} contains itself, so bytes could nest it without end")
            return self._named[node]
        if isinstance(node, list):
            return self._union(node, inside)
        linked, depth = self._complex(node, inside)
        if depth > MAX_TYPE_DEPTH:
            raise InvalidSchema(f"types are nested deeper than {MAX_TYPE_DEPTH} levels")
        if "name" in node:
            self._named[node["name"]] = linked, depth
        return linked, depth

    def _union(self, node: list[Any], inside: tuple[str, ...]) -> tuple[Linked, int]:
        if not node or any(isinstance(branch, list) for branch in node):
            raise InvalidSchema("a union has no branch, or another union as its branch")
        branches = [self.link(branch, inside=inside) for branch in node]
        return [branch for branch, _ in branches], 1 + max(depth for _, depth in branches)

    def _complex(self, node: dict[str, Any], inside: tuple[str, ...]) -> tuple[Linked, int]:
        kind = node["type"]
        if "name" in node:
            _check_name(node["name"])
        if kind == "enum":
            if not node["symbols"]:
                raise InvalidSchema(f"enum {node['name']} has no symbol")
            return node, 1
        if kind == "fixed":
            if node["size"] < 1:
                raise InvalidSchema(f"fixed {node['name']} takes no byte")
            return node, 1
        if kind in ("array", "map"):
            inner = "items" if kind == "array" else "values"
            linked, depth = self._sized(node[inner], inside, f"{inner} of a {kind}")
            return {"type": kind, inner: linked}, 1 + depth
        return self._record(node, inside)

    def _record(self, node: dict[str, Any], inside: tuple[str, ...]) -> tuple[Linked, int]:
        name, fields, deepest = node["name"], [], 0
        for field in node["fields"]:
            _check_name(field["name"])
            linked, depth = self._sized(field["type"], (*inside, name), f"{name}.{field['name']}")
            fields.append({"name": field["name"], "type": linked})
            deepest = max(deepest, depth)
        if not fields:
            raise InvalidSchema(f"record {name} has no field, so it takes no byte")
        if len({field["name"] for field in fields}) != len(fields):
            raise InvalidSchema(f"record {name} has two fields of one name")
        return {"type": "record", "name": name, "fields": fields}, 1 + deepest

    def _sized(self, node: Any, inside: tuple[str, ...], where: str) -> tuple[Linked, int]:
        if node == "null":
            raise InvalidSchema(f"{where} is null outside a union, so it takes no byte")
        return self.link(node, inside=inside)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidSchema(f"{name[:40]!a} is no name")

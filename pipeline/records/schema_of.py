"""The Avro schema of a record type, derived from its annotations and defaults.

The Python types are the one source: the running program derives its schemas here, without documentation, and
``schemas/*.avsc`` is the same plus the docstrings (:mod:`pipeline.records.generate`). Both have one Parsing Canonical
Form, hence one fingerprint, as documentation and defaults are no part of it.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import UNSET
from msgspec.structs import FieldInfo

from pipeline.records.types import AvroRecord

NAMESPACE: Final = "verification.v1"

ENUM_DEFAULT: Final = "unknown"
"""The symbol every enum has, so that a reader survives symbols it does not know."""

Json = Any
"""A schema as parsed JSON: name, list (union) or object."""

Docs = Mapping[str, str]
"""Documentation by ``Type`` and ``Type.field``."""

_PRIMITIVES: Final[dict[Any, str]] = {str: "string", bytes: "bytes", bool: "boolean", int: "int", float: "double"}


def full_name(record: type[AvroRecord]) -> str:
    """The name a schema of this record must carry."""
    return f"{NAMESPACE}.{record.__name__}"


def schema_of(record: type[AvroRecord], docs: Docs | None = None) -> dict[str, Json]:
    """The self-contained schema of ``record`` as parsed JSON.

    Raises TypeError for what has no place in a record: an annotation without an Avro counterpart, an enum without
    ``unknown``, a nullable field whose default is not null, a type that contains itself.
    """
    schema = _Derivation(docs or {}).struct(record)
    # The namespace is said once; nested names and references inherit it.
    return {"type": "record", "name": schema.pop("name"), "namespace": NAMESPACE, **schema}


def named_types(record: type[AvroRecord]) -> dict[str, type]:
    """The Python types that the named types of the record's schema stand for, by full name."""
    derivation = _Derivation({})
    derivation.struct(record)
    return {f"{NAMESPACE}.{name}": named for name, named in derivation.named.items()}


class _Derivation:
    """One schema being derived: named types are spelt out at their first use only."""

    def __init__(self, docs: Docs) -> None:
        self._docs = docs
        self.named: dict[str, type] = {}
        self._open: list[str] = []

    def struct(self, record: type[AvroRecord]) -> dict[str, Json]:
        name = record.__name__
        self.named[name] = record
        self._open.append(name)
        schema = {
            "type": "record",
            "name": name,
            **self._doc(name),
            "fields": [self._field(name, field) for field in msgspec.structs.fields(record)],
        }
        self._open.pop()
        return schema

    def _field(self, owner: str, field: FieldInfo) -> dict[str, Json]:
        where = f"{owner}.{field.name}"
        schema = self._type(field.type, where)
        default = field.default_factory() if field.default_factory not in (UNSET, msgspec.NODEFAULT) else field.default
        entry: dict[str, Json] = {"name": field.name, "type": schema, **self._doc(where)}
        if default is msgspec.NODEFAULT:
            return entry
        if isinstance(schema, list) and default is not None:
            # Avro takes a union's default from its first branch, and ours is null.
            raise TypeError(f"{where}: a nullable field must have the default None, not {default!r}")
        entry["default"] = _avro_default(default)
        return entry

    def _type(self, annotation: Any, where: str) -> Json:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            for meta in arguments[1:]:
                if isinstance(meta, msgspec.Meta) and meta.extra and "avro" in meta.extra:
                    return meta.extra["avro"]
            return self._type(arguments[0], where)
        if origin in (Union, types.UnionType):
            options = [option for option in arguments if option is not type(None)]
            if len(options) != 1 or len(arguments) != 2:
                raise TypeError(f"{where}: the only union a record may have is `X | None`, not {annotation}")
            return ["null", self._type(options[0], where)]
        if origin is list:
            return {"type": "array", "items": self._type(arguments[0], where)}
        if origin is dict and arguments[0] is str:
            return {"type": "map", "values": self._type(arguments[1], where)}
        if annotation in _PRIMITIVES:
            return _PRIMITIVES[annotation]
        if isinstance(annotation, type) and issubclass(annotation, Enum | AvroRecord):
            return self._named(annotation, where)
        raise TypeError(f"{where}: {annotation} has no Avro type; use str, bytes, bool, int, Long, TimeMs, list, dict")

    def _named(self, annotation: type[Enum] | type[AvroRecord], where: str) -> Json:
        name = annotation.__name__
        if name in self._open:
            raise TypeError(f"{where}: {name} contains itself, and hostile bytes could nest it without end")
        if self.named.get(name, annotation) is not annotation:
            raise TypeError(f"{where}: two types are called {name}")
        if name in self.named:
            return name
        if issubclass(annotation, AvroRecord):
            return self.struct(annotation)
        symbols = [member.value for member in annotation]
        if ENUM_DEFAULT not in symbols:
            raise TypeError(f"{where}: enum {name} needs the symbol {ENUM_DEFAULT!r} for readers of later releases")
        self.named[name] = annotation
        return {"type": "enum", "name": name, **self._doc(name), "symbols": symbols, "default": ENUM_DEFAULT}

    def _doc(self, name: str) -> dict[str, str]:
        return {"doc": self._docs[name]} if name in self._docs else {}


def _avro_default(value: Any) -> Json:
    """A default as Avro writes it in JSON: bytes become text with one character per byte."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("iso-8859-1")
    if isinstance(value, AvroRecord):
        return {name: _avro_default(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [_avro_default(item) for item in value]
    if isinstance(value, dict):
        return {key: _avro_default(item) for key, item in value.items()}
    return value

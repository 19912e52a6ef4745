"""Hypothesis strategies for records of any type, and samples with every field set."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pipeline.records.schema_of import full_name, named_types
from pipeline.records.store import current
from pipeline.records.types import AvroRecord

FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
"""For records of fifty fields: drawing one takes longer than reading it."""

INTS = st.integers(-(2**31), 2**31 - 1)
LONGS = st.integers(-(2**63), 2**63 - 1)
SCALARS = {
    "string": st.text(max_size=40) | st.text(alphabet="ab", min_size=100, max_size=2_000),
    "bytes": st.binary(max_size=40) | st.binary(min_size=1_000, max_size=1_100),
    "boolean": st.booleans(),
    "int": INTS,
    "long": LONGS | st.integers(1_500_000_000_000, 2_500_000_000_000),
    "double": st.floats(allow_nan=False),
}


def records(kind: type[AvroRecord]) -> st.SearchStrategy[Any]:
    """Any record of this type, every field drawn."""
    return values(current(kind).schema.linked, named_types(kind))


def values(schema: Any, classes: dict[str, type]) -> st.SearchStrategy[Any]:
    """Any value of a linked type of ours, as our Python types."""
    if isinstance(schema, str):
        return SCALARS[schema]
    if isinstance(schema, list):
        return st.none() | values(schema[1], classes)
    if schema["type"] == "array":
        return st.lists(values(schema["items"], classes), max_size=3)
    if schema["type"] == "map":
        return st.dictionaries(st.text(max_size=5), values(schema["values"], classes), max_size=3)
    if schema["type"] == "enum":
        return st.sampled_from(list(classes[schema["name"]]))  # type: ignore[call-overload]
    fields = {field["name"]: values(field["type"], classes) for field in schema["fields"]}
    return st.builds(classes[schema["name"]], **fields)


def filled(kind: type[AvroRecord], seed: int = 0) -> Any:
    """A record with no field at its default, the same for every call."""
    return _Filler(named_types(kind), seed).value(current(kind).schema.linked, full_name(kind))


class _Filler:
    def __init__(self, classes: dict[str, type], seed: int) -> None:
        self._classes = classes
        self._number = seed

    def value(self, schema: Any, name: str, default: Any = None) -> Any:
        self._number += 1
        if isinstance(schema, list):
            return self.value(schema[1], name, default)
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind == "array":
            return [self.value(schema["items"], name), self.value(schema["items"], name)]
        if kind == "map":
            return {f"{name} {self._number} ключ": self.value(schema["values"], name)}
        if kind == "enum":
            members = [member for member in self._classes[schema["name"]] if member not in (default, "unknown")]  # type: ignore[attr-defined]
            return members[self._number % len(members)]
        if kind == "record":
            cls = self._classes[schema["name"]]
            defaults = {field.name: field.default for field in msgspec.structs.fields(cls)}
            return cls(
                **{
                    field["name"]: self.value(field["type"], field["name"], defaults[field["name"]])
                    for field in schema["fields"]
                }
            )
        scalars: dict[str, Any] = {
            "string": f"{name} {self._number} é",
            "bytes": bytes([0, 255, self._number % 256]) * 3,
            "boolean": default is not True,
            "int": -self._number if self._number % 2 else 1_000_000 + self._number,
            "long": 1_700_000_000_000 + self._number,
            "double": self._number + 0.25,
        }
        return scalars[kind]

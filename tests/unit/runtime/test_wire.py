"""Requests and answers have the same bytes and values as the library makes of them, for every schema it has."""

from __future__ import annotations

import importlib
import pkgutil
from io import BytesIO
from typing import Any

import aiokafka.protocol
import pytest
from aiokafka.protocol import fetch, types
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.struct import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runtime.kafka import patches, wire

NUMBERS = {
    types.Boolean: st.booleans(),
    types.Int8: st.integers(-(2**7), 2**7 - 1),
    types.Int16: st.integers(-(2**15), 2**15 - 1),
    types.Int32: st.integers(-(2**31), 2**31 - 1),
    types.UInt32: st.integers(0, 2**32 - 1),
    types.Int64: st.integers(-(2**63), 2**63 - 1),
    types.Float64: st.floats(allow_nan=False),
}


def schemas() -> dict[str, Any]:
    """Every schema of the library by the first class that has it."""
    for module in pkgutil.iter_modules(aiokafka.protocol.__path__, "aiokafka.protocol."):
        importlib.import_module(module.name)
    found: dict[int, tuple[str, Any]] = {}
    waiting = [Struct]
    while waiting:
        known = waiting.pop()
        waiting += known.__subclasses__()
        found.setdefault(id(known.SCHEMA), (known.__name__, known.SCHEMA))
    return dict(found.values())


ALL = schemas()
OURS = {name: schema for name, schema in ALL.items() if wire.writer(schema) is not None}


def values(field: Any) -> st.SearchStrategy[Any]:
    """What may stand in a field."""
    if isinstance(field, types.Schema):
        return st.tuples(*map(values, field.fields))
    if isinstance(field, types.Array):
        return st.none() | st.lists(values(field.array_of), max_size=3)
    if isinstance(field, types.String):
        return st.none() | st.text(max_size=8)
    if field is types.Bytes:
        return st.none() | st.binary(max_size=8)
    return NUMBERS[field]


def test_what_every_message_costs_is_ours_and_only_newer_types_are_left_to_the_library() -> None:
    for message in (fetch.FetchRequest_v11, fetch.FetchResponse_v11, ProduceRequest_v7, ProduceResponse_v7):
        assert wire.writer(message.SCHEMA) is not None
        assert wire.reader(message.SCHEMA) is not None
    compact = (types.CompactString, types.CompactArray, types.CompactBytes, types.TaggedFields)
    for name in set(ALL) - set(OURS):
        assert _holds(ALL[name], compact), name


def _holds(field: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(field, kinds) or field in kinds:
        return True
    inner = field.fields if isinstance(field, types.Schema) else [getattr(field, "array_of", None)]
    return any(_holds(each, kinds) for each in inner if each is not None)


@pytest.mark.parametrize("name", OURS)
def test_each_message_is_written_and_read_as_the_library_does(name: str) -> None:
    schema = OURS[name]
    write, read = wire.writer(schema), wire.reader(schema)
    assert write is not None
    assert read is not None

    @settings(max_examples=10)
    @given(values(schema))
    def holds(message: tuple[Any, ...]) -> None:
        written = schema.encode(message)
        assert write(message) == written
        found, end = read(b"before" + written + b"behind", 6)
        assert tuple(found) == schema.decode(BytesIO(written)) == message
        assert end == 6 + len(written)
        for cut in range(0, len(written), 5):
            with pytest.raises(ValueError):
                read(written[:cut], 0)

    holds()


@pytest.mark.parametrize(
    "message",
    [("v1", 2**15, 0, []), (0, 0), ("v1", -1, 30, [("topic", [(2**31, b"")])])],
    ids=["large", "few", "nested"],
)
def test_what_does_not_fit_its_schema_is_refused_by_both(message: tuple[Any, ...]) -> None:
    write = wire.writer(ProduceRequest_v7.SCHEMA)
    assert write is not None
    for refused in (ProduceRequest_v7.SCHEMA.encode, write):
        with pytest.raises((ValueError, TypeError)):
            refused(message)


def test_a_stream_stands_behind_what_was_read_from_it() -> None:
    patches.apply()
    answer = fetch.FetchResponse_v11(0, 0, 0, [("t", [(0, 0, 9, 9, 0, None, -1, b"records")])])
    stream = BytesIO(b"head" + answer.encode() + b"tail")
    stream.seek(4)
    assert fetch.FetchResponse_v11.decode(stream) == answer
    assert stream.read() == b"tail"
    assert fetch.FetchResponse_v11.decode(answer.encode()) == answer

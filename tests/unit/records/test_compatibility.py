"""A record written by any release is read by the current one, and public answers also the other way round."""

from __future__ import annotations

import json
from typing import Any

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse as avro_parse

from pipeline.records.catalogue import RECORDS
from pipeline.records.public import DeadLetter, DeliveryStatus, Reply, VerificationOutcome
from pipeline.records.released import released
from pipeline.records.schemas import Schema, parse
from pipeline.records.store import SchemaStore, current
from pipeline.records.types import AvroRecord

READ_BY_OTHERS = (VerificationOutcome, Reply, DeliveryStatus, DeadLetter)
"""Their readers may run any release for as long as they like."""

RELEASED = [
    pytest.param(kind, schema, id=f"{kind.__name__}.v{version}")
    for kind in RECORDS
    for version, schema in released().get(kind.__name__, {}).items()
]


def compatible(reader: Schema, writer: Schema) -> bool:
    """Apache Avro's verdict on reading what ``writer`` wrote."""
    # Its checker does not honour enum defaults, which every enum of ours has: give the reader the writer's symbols.
    symbols = enums(json.loads(writer.text))
    text = json.dumps(with_symbols(json.loads(reader.text), symbols))
    result = ReaderWriterCompatibilityChecker().get_compatibility(avro_parse(text), avro_parse(writer.text))
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def enums(schema: Any) -> dict[str, list[str]]:
    if isinstance(schema, list):
        return {name: symbols for branch in schema for name, symbols in enums(branch).items()}
    if not isinstance(schema, dict):
        return {}
    found = {schema["name"]: schema["symbols"]} if schema["type"] == "enum" else {}
    for inner in (schema.get("items"), schema.get("values"), *(field["type"] for field in schema.get("fields", []))):
        found |= enums(inner)
    return found


def with_symbols(schema: Any, symbols: dict[str, list[str]]) -> Any:
    if isinstance(schema, list):
        return [with_symbols(branch, symbols) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "enum":
        missing = [symbol for symbol in symbols.get(schema["name"], []) if symbol not in schema["symbols"]]
        return {**schema, "symbols": schema["symbols"] + missing}
    return {
        key: value if key == "default" else with_symbols(value, symbols) if isinstance(value, dict | list) else value
        for key, value in schema.items()
    }


def test_every_record_has_been_released() -> None:
    assert {kind.__name__ for kind in RECORDS} == set(released())


@pytest.mark.parametrize(("kind", "schema"), RELEASED)
def test_the_current_reader_reads_every_released_version(kind: type[AvroRecord], schema: Schema) -> None:
    assert compatible(reader=current(kind).schema, writer=schema)
    readable = SchemaStore().find(schema.fingerprint)
    assert readable is not None
    assert readable.record is kind


@pytest.mark.parametrize(("kind", "schema"), [case for case in RELEASED if case.values[0] in READ_BY_OTHERS])
def test_readers_of_every_release_read_what_is_written_now(kind: type[AvroRecord], schema: Schema) -> None:
    assert compatible(reader=schema, writer=current(kind).schema)


@pytest.mark.parametrize(("kind", "schema"), RELEASED)
def test_released_fields_keep_their_order_and_new_ones_come_last(kind: type[AvroRecord], schema: Schema) -> None:
    """Not asked by Avro, but by people who read two versions side by side."""
    names = [field["name"] for field in schema.linked["fields"]]
    assert [field["name"] for field in current(kind).schema.linked["fields"]][: len(names)] == names


def test_the_check_sees_a_field_without_default_and_a_retyped_one() -> None:
    released_reply = current(Reply).schema
    tree = json.loads(released_reply.text)
    tree["fields"].append({"name": "extra", "type": "string"})
    assert not compatible(reader=parse(json.dumps(tree)), writer=released_reply)
    tree["fields"][-1]["default"] = ""
    assert compatible(reader=parse(json.dumps(tree)), writer=released_reply)
    tree["fields"][4] |= {"type": "int", "default": 0}
    assert not compatible(reader=parse(json.dumps(tree)), writer=released_reply)

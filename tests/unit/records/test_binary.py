"""Our bytes are Avro's: what we write others read, and what others write we read."""

from __future__ import annotations

import io
import json
from typing import Any

import avro.io
import avro.schema
import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.binary_numbers import Malformed, whole_int, whole_long
from pipeline.records.binary_read import compile_reader
from pipeline.records.binary_write import compile_writer, varint
from pipeline.records.catalogue import RECORDS
from pipeline.records.internal import Decision
from pipeline.records.public import CodeCheck, Command, VerificationOutcome
from pipeline.records.schema_of import named_types
from pipeline.records.schemas import parse
from pipeline.records.store import current
from pipeline.records.types import AvroRecord, CommandAction, Long
from tests.unit.records.strategies import FEW, LONGS, filled, records

EACH_RECORD = pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)


def builtins(record: AvroRecord) -> Any:
    return msgspec.to_builtins(record, builtin_types=(bytes,))


def fastavro_bytes(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


@EACH_RECORD
@FEW
@given(data=st.data())
def test_a_record_is_written_as_fastavro_writes_it_and_read_back(kind: type[AvroRecord], data: st.DataObject) -> None:
    record = data.draw(records(kind))
    schema = current(kind).schema
    written = compile_writer_once(kind)(record)
    assert written == fastavro_bytes(json.loads(schema.text), builtins(record))
    assert current(kind).read(written, 0) == (record, len(written))


WRITERS: dict[type[AvroRecord], Any] = {}


def compile_writer_once(kind: type[AvroRecord]) -> Any:
    if kind not in WRITERS:
        WRITERS[kind] = compile_writer(current(kind).schema.linked)
    return WRITERS[kind]


@EACH_RECORD
def test_apache_avro_reads_every_field_we_write(kind: type[AvroRecord]) -> None:
    record = filled(kind)
    written = compile_writer_once(kind)(record)
    schema = avro.schema.parse(current(kind).schema.text)
    read = avro.io.DatumReader(schema, schema).read(avro.io.BinaryDecoder(io.BytesIO(written)))
    assert read == builtins(record)


@given(LONGS)
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    assert whole_long(varint(number), 0) == (number, len(varint(number)))
    assert varint(number) == fastavro_bytes("long", number)


@pytest.mark.parametrize("number", [0, -1, 63, 64, -64, -65, 1023, 1024, 2**34, 2**41 - 1, 2**41, 2**63 - 1, -(2**63)])
def test_numbers_at_the_edges_of_their_lengths_survive(number: int) -> None:
    assert whole_long(varint(number), 0) == (number, len(varint(number)))
    assert varint(number) == fastavro_bytes("long", number)


def test_a_number_longer_than_ten_bytes_or_64_bits_is_refused() -> None:
    with pytest.raises(Malformed, match="longer than ten bytes"):
        whole_long(b"\x80" * 10 + b"\x00", 0)
    with pytest.raises(Malformed, match="more than 64 bits"):
        whole_long(b"\xff" * 9 + b"\x7f", 0)
    with pytest.raises(Malformed, match="more than 32 bits"):
        whole_int(varint(2**31), 0)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_an_int_too_large_is_a_bug_of_the_writer(number: int) -> None:
    record = Command(command_id="c", verification_id="v", step_index=number)
    with pytest.raises(OverflowError):
        compile_writer_once(Command)(record)


def test_a_long_too_large_is_a_bug_of_the_writer() -> None:
    with pytest.raises(OverflowError):
        compile_writer_once(Command)(Command(command_id="c", verification_id="v", issued_at=2**63))


@pytest.mark.parametrize("wrong", [None, 7, b"bytes"])
def test_a_value_of_the_wrong_type_is_never_written(wrong: Any) -> None:
    record = CodeCheck(check_id="c", verification_id=wrong)
    with pytest.raises((AttributeError, TypeError)):
        compile_writer_once(CodeCheck)(record)


def test_a_member_an_older_version_lacks_is_written_as_unknown() -> None:
    tree = json.loads(current(Command).schema.text)
    action = next(field for field in tree["fields"] if field["name"] == "action")
    action["type"]["symbols"] = ["resend", "unknown"]
    older = parse(json.dumps(tree))
    written = compile_writer(older.linked)(Command(command_id="c", verification_id="v", action=CommandAction.CANCEL))
    assert fastavro.schemaless_reader(io.BytesIO(written), tree, None)["action"] == "unknown"


class Odd(AvroRecord, frozen=True, kw_only=True):
    """Types that the records of today do not have, but those of tomorrow may."""

    id: str
    share: float = 0.0
    shares: dict[str, float] = {}
    grid: list[list[int]] = []
    by_name: dict[str, list[Long]] = {}
    maybe: list[bool] | None = None
    checks: dict[str, CodeCheck] = {}
    check: CodeCheck = CodeCheck(check_id="c", verification_id="v", code_sealed=b"\xff\x00")


@FEW
@given(records(Odd))
def test_types_no_record_uses_yet_round_trip_too(record: Odd) -> None:
    written = compile_writer_once(Odd)(record)
    assert written == fastavro_bytes(json.loads(current(Odd).schema.text), builtins(record))
    assert current(Odd).read(written, 0) == (record, len(written))


def test_a_nested_default_is_the_one_avro_readers_get() -> None:
    schema = json.loads(current(Odd).schema.text)
    writer = {**schema, "fields": schema["fields"][:1]}
    read = fastavro.schemaless_reader(io.BytesIO(fastavro_bytes(writer, {"id": "a"})), writer, schema)
    assert isinstance(read, dict)
    assert read["check"] == {**builtins(Odd(id="a").check), "code_sealed": "\xff\x00"}
    theirs = parse(json.dumps(writer))
    ours = compile_reader(theirs.linked, current(Odd).schema.linked, named_types(Odd))
    assert ours(fastavro_bytes(writer, {"id": "a"}), 0)[0] == Odd(id="a")


@EACH_RECORD
@FEW
@given(data=st.data())
def test_blocks_with_their_size_in_front_are_read_like_others(kind: type[AvroRecord], data: st.DataObject) -> None:
    """Java's blocking encoder writes them, Python's libraries do not."""
    record = data.draw(records(kind))
    written = blocking(current(kind).schema.linked, builtins(record))
    assert current(kind).read(written, 0) == (record, len(written))


def blocking(schema: Any, value: Any) -> bytes:
    """Write arrays and maps as one block per item, each with a negative count and its size."""
    if isinstance(schema, list):
        return b"\x00" if value is None else b"\x02" + blocking(schema[1], value)
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind == "record":
        return b"".join(blocking(field["type"], value[field["name"]]) for field in schema["fields"])
    if kind in ("array", "map"):
        items = [
            blocking(schema["items"], item)
            if kind == "array"
            else blocking("string", item[0]) + blocking("string", item[1])
            for item in (value if kind == "array" else value.items())
        ]
        return b"".join(varint(-1) + varint(len(item)) + item for item in items) + b"\x00"
    if kind == "enum":
        return varint(schema["symbols"].index(value))
    return fastavro_bytes(kind, value)


def test_the_largest_records_take_no_more_than_fastavros_bytes() -> None:
    for kind in (Decision, VerificationOutcome):
        record = filled(kind)
        assert compile_writer_once(kind)(record) == fastavro_bytes(
            json.loads(current(kind).schema.text), builtins(record)
        )

"""What is written can be read, what cannot be read ends as the contract says, and hostile bytes hurt nobody."""

from __future__ import annotations

import json
import struct
import time
import tracemalloc
from typing import Any

import fastavro.schema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import DeadLetterReason, LogUnavailable, Poison, UnknownWriter
from pipeline.records import codec as codec_module
from pipeline.records import released as released_module
from pipeline.records.binary_write import varint
from pipeline.records.catalogue import RECORDS
from pipeline.records.codec import MAX_RECORD_BYTES, Codec
from pipeline.records.framing import confluent, single_object
from pipeline.records.internal import SendResult
from pipeline.records.public import CodeCheck, Command, Reply, VerificationRequest
from pipeline.records.schemas import fingerprint_of, parse
from pipeline.records.store import SchemaStore, current
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Record
from pipeline.testing.registry import MemoryRegistry
from pipeline.topics import SCHEMAS
from tests.unit.records.strategies import FEW, filled, records

CODEC = Codec()
COMMAND = Command(command_id="c", verification_id="v")


def poison(kind: type[AvroRecord], data: bytes | None, *, codec: Codec = CODEC, public: bool = True) -> Poison:
    with pytest.raises(Poison) as caught:
        codec.decode(kind, data, public=public)
    return caught.value


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@FEW
@given(data=st.data())
def test_every_record_survives_the_codec(kind: type[AvroRecord], data: st.DataObject) -> None:
    record = data.draw(records(kind))
    assert CODEC.decode(kind, CODEC.encode(record), public=True) == record


def test_records_are_framed_as_single_objects() -> None:
    assert CODEC.encode(COMMAND)[:10] == single_object(current(Command).schema.fingerprint)


def test_every_record_says_its_name_in_a_header() -> None:
    assert CODEC.headers(COMMAND) == (("schema", b"Command"),)
    assert Codec().headers(COMMAND) == (("schema", b"Command"),)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xc3\x01", b"\xc3\x01\x00", b"\x01" + bytes(16), b'{"code": 1}'])
def test_bytes_of_no_known_framing_are_poison(data: bytes) -> None:
    assert poison(Command, data).reason == DeadLetterReason.UNKNOWN_FRAMING
    assert poison(Command, data, public=False).reason == DeadLetterReason.UNKNOWN_FRAMING


def test_an_unknown_schema_is_poison_on_a_public_topic_and_a_reason_to_wait_on_an_internal_one() -> None:
    data = single_object(1) + b"\x02"
    found = poison(Command, data)
    assert found.reason == DeadLetterReason.UNKNOWN_SCHEMA
    assert "0000000000000001" in found.detail
    with pytest.raises(UnknownWriter, match="0000000000000001"):
        CODEC.decode(Command, data, public=False)


def test_a_refused_schema_says_in_the_dead_letter_why_it_was_refused() -> None:
    codec = Codec()
    schema = {"type": "record", "name": "verification.v1.Command", "fields": [{"name": "command_id", "type": "string"}]}
    with pytest.raises(ValueError, match="verification_id"):
        codec.store.add(json.dumps(schema))
    found = poison(Command, single_object(parse(json.dumps(schema)).fingerprint), codec=codec)
    assert "lacks the field verification_id" in found.detail


NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "next", "type": ["null", "Node"]}, {"name": "x", "type": "int"}],
}


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        (NODE, "Node contains itself, so bytes could nest it without end"),
        ({"type": "array", "items": "null"}, "is null outside a union, so it takes no byte"),
        ({"type": "record", "name": "Empty", "fields": []}, "Empty has no field, so it takes no byte"),
    ],
)
def test_a_schema_that_was_published_and_refused_as_unsafe_is_not_called_unpublished(extra: Any, why: str) -> None:
    tree = json.loads(current(VerificationRequest).schema.text)
    tree["fields"].append({"name": "extra", "type": extra})
    fingerprint = fingerprint_of(fastavro.schema.to_parsing_canonical_form(fastavro.schema.parse_schema(tree)))
    codec = Codec()
    before = poison(VerificationRequest, single_object(fingerprint), codec=codec)
    assert before.detail == f"writer schema {fingerprint:016x}: none was taken from verification.schemas"
    key, value = f"{fingerprint:016x}".encode(), json.dumps(tree).encode()
    published = Record(topic=SCHEMAS, partition=0, offset=0, timestamp_ms=0, key=key, value=value)
    assert codec.store.apply(published) is not None
    found = poison(VerificationRequest, single_object(fingerprint), codec=codec)
    assert found.reason == DeadLetterReason.UNKNOWN_SCHEMA
    assert found.detail.startswith(f"writer schema {fingerprint:016x}: ")
    assert found.detail.endswith(why)


def test_a_tombstone_where_a_record_belongs_is_poison() -> None:
    assert poison(Command, None).reason == DeadLetterReason.UNDECODABLE


def test_another_record_than_the_topics_is_poison() -> None:
    found = poison(CodeCheck, CODEC.encode(COMMAND))
    assert found.reason == DeadLetterReason.UNDECODABLE
    assert "a Command where a CodeCheck belongs" in found.detail


def test_a_record_larger_than_the_limit_is_poison_unread() -> None:
    assert poison(Command, CODEC.encode(COMMAND) + bytes(MAX_RECORD_BYTES)).reason == DeadLetterReason.TOO_LARGE


def test_bytes_left_over_are_poison() -> None:
    assert "1 bytes are left over" in poison(Command, CODEC.encode(COMMAND) + b"\x00").detail


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_record_cut_short_anywhere_is_poison(kind: type[AvroRecord]) -> None:
    data = CODEC.encode(filled(kind))
    for end in range(10, len(data)):
        assert poison(kind, data[:end], public=False).reason == DeadLetterReason.UNDECODABLE


def test_a_detail_quotes_nothing_of_the_record() -> None:
    data = CODEC.encode(CodeCheck(check_id="c", verification_id="v", code="48151623", end_user_ip="192.0.2.42"))
    for end in range(10, len(data)):
        detail = poison(CodeCheck, data[:end]).detail
        assert "4815" not in detail
        assert "192" not in detail


BODY = len(single_object(0))
IDS = b"\x02c\x02v"
HOSTILE: dict[str, tuple[type[AvroRecord], bytes]] = {
    "a length beyond the end": (Command, varint(1_000)),
    "the largest length": (Command, varint(2**63 - 1)),
    "a negative length": (Command, varint(-1) + b"vv"),
    "the smallest length": (Command, varint(-(2**63))),
    "a number of eleven bytes": (Command, b"\x80" * 10 + b"\x00"),
    "a number without end": (Command, b"\xff" * 100_000),
    "a number of 70 bits": (Command, b"\xff" * 9 + b"\x7f"),
    "no UTF-8": (Command, b"\x04\xff\xfe\x02v"),
    "half a character": (Command, b"\x02\xc3" + b"\x02v"),
    "a surrogate": (Command, b"\x06\xed\xa0\x80\x02v"),
    "a branch that is not there": (Command, IDS + b"\x04"),
    "a negative branch": (Command, IDS + b"\x01"),
    "a branch in two bytes": (Command, IDS + b"\x80\x00"),
    "a symbol that is not there": (Command, IDS + b"\x00" + varint(4) + b"\x00\x00"),
    "a negative symbol": (Command, IDS + b"\x00" + b"\x01" + b"\x00\x00"),
    "an int of 33 bits": (Command, IDS + b"\x00\x00\x02" + varint(2**32) + b"\x00"),
    "a boolean of two": (Reply, IDS + b"\x00\x02"),
    "a count beyond the end": (VerificationRequest, b"\x02v\x0edefault\x00\x00\x00\x00" + varint(2**62)),
    "the smallest count": (VerificationRequest, b"\x02v\x0edefault\x00\x00\x00\x00" + varint(-(2**63)) + b"\x00"),
    "a block of negative size": (VerificationRequest, b"\x02v\x0edefault\x00\x00\x00\x00" + varint(-1) + b"\x01"),
    "nothing": (Command, b""),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bytes_are_poison_at_once(case: str) -> None:
    kind, body = HOSTILE[case]
    began = time.perf_counter()
    found = poison(kind, single_object(current(kind).schema.fingerprint) + body)
    assert found.reason == DeadLetterReason.UNDECODABLE
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("kind", [VerificationRequest, CodeCheck, Command, SendResult])
@settings(deadline=2_000)
@given(body=st.binary(max_size=200) | st.lists(st.integers(-3, 300)).map(lambda n: b"".join(map(varint, n))))
@example(body=b"")
def test_any_bytes_are_a_record_or_poison(kind: type[AvroRecord], body: bytes) -> None:
    record = record_or_poison(kind, single_object(current(kind).schema.fingerprint) + body)
    if isinstance(record, AvroRecord):
        assert CODEC.decode(kind, CODEC.encode(record), public=True) == record
    else:
        assert record.reason == DeadLetterReason.UNDECODABLE


def record_or_poison(kind: type[AvroRecord], data: bytes) -> AvroRecord | Poison:
    """Any third thing fails the test."""
    try:
        return CODEC.decode(kind, data, public=True)
    except Poison as found:
        return found


@FEW
@given(data=st.data())
def test_a_record_with_bytes_changed_is_a_record_or_poison(data: st.DataObject) -> None:
    written = bytearray(CODEC.encode(filled(VerificationRequest)))
    for _ in range(data.draw(st.integers(1, 4))):
        written[data.draw(st.integers(BODY, len(written) - 1))] = data.draw(st.integers(0, 255))
    found = record_or_poison(VerificationRequest, bytes(written))
    assert isinstance(found, VerificationRequest) or found.reason == DeadLetterReason.UNDECODABLE  # type: ignore[union-attr]


@given(st.binary(max_size=64))
def test_any_bytes_without_framing_end_in_a_reason(data: bytes) -> None:
    assert poison(Command, data).reason in (DeadLetterReason.UNKNOWN_FRAMING, DeadLetterReason.UNKNOWN_SCHEMA)


SKIPPED: dict[str, Any] = {
    kind: {"type": "array", "items": kind} for kind in ("boolean", "int", "float", "double", "string")
} | {
    "fixed": {"type": "array", "items": {"type": "fixed", "name": "F", "size": 4}},
    "map": {"type": "map", "values": "boolean"},
    "array": {"type": "array", "items": {"type": "array", "items": "boolean"}},
    "record": {
        "type": "array",
        "items": {"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "map", "values": "long"}}]},
    },
}


@pytest.mark.parametrize("kind", SKIPPED)
@pytest.mark.parametrize("count", [2**62, -(2**62), 1_000])
def test_a_skipped_field_cannot_claim_more_than_there_is(kind: str, count: int) -> None:
    """fastavro skips an array of booleans past the end of the bytes, for as long as its count says."""
    codec = Codec()
    fields = [{"name": name, "type": "string"} for name in ("command_id", "verification_id")]
    fields.append({"name": "extra", "type": SKIPPED[kind]})
    schema = {"type": "record", "name": "verification.v1.Command", "fields": fields}
    data = single_object(codec.store.add(json.dumps(schema))) + IDS + varint(count) + b"\x00" * 4
    assert poison(Command, data, codec=codec).reason == DeadLetterReason.UNDECODABLE


def test_the_six_bytes_that_cost_gigabytes_cannot_even_be_offered() -> None:
    """Reference F11: an array of null takes no byte per item, so six bytes may claim any number."""
    codec = Codec()
    fields = [{"name": name, "type": "string"} for name in ("command_id", "verification_id")]
    fields.append({"name": "extra", "type": {"type": "array", "items": "null"}})
    schema = json.dumps({"type": "record", "name": "verification.v1.Command", "fields": fields})
    with pytest.raises(ValueError, match="takes no byte"):
        codec.store.add(schema)
    data = single_object(parse_unchecked(schema)) + IDS + varint(100_000_000) + b"\x00"
    assert poison(Command, data, codec=codec).reason == DeadLetterReason.UNKNOWN_SCHEMA


def parse_unchecked(schema: str) -> int:
    import avro.schema

    return int.from_bytes(avro.schema.parse(schema).fingerprint(), "little")


def test_the_worst_64_kibibytes_stay_within_50_megabytes() -> None:
    """As many steps as fit: thirteen bytes each, a record of thirteen fields."""
    step = b"\x0a" + b"\x00" * 12
    count = 65_000 // len(step)
    body = b"\x02v\x0edefault\x00\x00\x00\x00" + varint(count) + step * count + b"\x00" * 20
    data = single_object(current(VerificationRequest).schema.fingerprint) + body
    CODEC.decode(VerificationRequest, CODEC.encode(VerificationRequest(verification_id="v")), public=True)
    tracemalloc.start()
    try:
        record = CODEC.decode(VerificationRequest, data, public=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(record.steps) == count
    assert peak < 50_000_000


class TestRegistry:
    """With a registry Confluent's framing is written, and both are read."""

    def test_records_are_framed_with_the_id_of_their_schema(self) -> None:
        registry = MemoryRegistry()
        registry.register(current(Reply).schema.text)
        schema_id = registry.register(current(Command).schema.text)
        codec = Codec(registry=registry)
        data = codec.encode(COMMAND)
        assert data[:5] == struct.pack(">BI", 0, schema_id) == confluent(2)
        assert codec.decode(Command, data, public=True) == COMMAND
        assert codec.decode(Command, CODEC.encode(COMMAND), public=True) == COMMAND

    def test_nothing_is_written_before_the_schema_is_registered(self) -> None:
        with pytest.raises(LogUnavailable, match="not registered yet"):
            Codec(registry=MemoryRegistry()).encode(COMMAND)

    def test_a_strangers_schema_comes_from_the_registry(self) -> None:
        registry = MemoryRegistry()
        fields = [{"name": name, "type": "string"} for name in ("verification_id", "command_id")]
        schema_id = registry.register(
            json.dumps({"type": "record", "name": "verification.v1.Command", "fields": fields})
        )
        data = confluent(schema_id) + b"\x02v\x02c"
        assert Codec(registry=registry).decode(Command, data, public=True) == COMMAND

    def test_a_registry_that_is_away_makes_no_dead_letter(self) -> None:
        registry = MemoryRegistry()
        registry.reachable = False
        with pytest.raises(LogUnavailable):
            Codec(registry=registry).decode(Command, confluent(1), public=True)

    def test_an_id_the_registry_does_not_have_is_an_unknown_schema(self) -> None:
        codec = Codec(registry=MemoryRegistry())
        assert poison(Command, confluent(9), codec=codec).reason == DeadLetterReason.UNKNOWN_SCHEMA
        with pytest.raises(UnknownWriter, match="id 9"):
            codec.decode(Command, confluent(9), public=False)

    def test_an_id_without_a_registry_is_an_unknown_schema_that_says_so(self) -> None:
        found = poison(Command, confluent(9))
        assert found.reason == DeadLetterReason.UNKNOWN_SCHEMA
        assert "no registry is configured" in found.detail

    def test_a_registered_schema_that_is_unsafe_is_an_unknown_schema(self) -> None:
        registry = MemoryRegistry()
        other = registry.register(current(Reply).schema.text.replace("verification.v1", "other"))
        found = poison(Command, confluent(other), codec=Codec(registry=registry))
        assert found.reason == DeadLetterReason.UNKNOWN_SCHEMA
        assert "no record of ours" in found.detail


class TestWriteVersion:
    """Writers stay on a released version until they are told otherwise."""

    @pytest.fixture
    def older(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """As if Command had got its step_index in release 3."""
        tree = json.loads(current(Command).schema.text)
        tree["fields"] = [field for field in tree["fields"] if field["name"] != "step_index"]
        history = {"Command": {1: parse(json.dumps(tree)), 3: current(Command).schema}}
        monkeypatch.setattr(codec_module, "released", lambda: history)
        monkeypatch.setattr("pipeline.records.store.released", lambda: history)
        return history["Command"][1]

    @pytest.mark.parametrize(("version", "written"), [(1, 1), (2, 1), (3, 3), (None, 3), (0, 1)])
    def test_a_record_is_written_with_the_newest_version_allowed(
        self, older: Any, version: int | None, written: int
    ) -> None:
        expected = older if written == 1 else current(Command).schema
        codec = Codec(write_version=version)
        record = Command(command_id="c", verification_id="v", step_index=2)
        assert codec.encode(record)[:10] == single_object(expected.fingerprint)
        assert codec.decode(Command, codec.encode(record), public=True).step_index == (None if written == 1 else 2)

    def test_a_record_never_released_is_written_as_it_is(self, older: Any) -> None:
        codec = Codec(write_version=1)
        assert codec.encode(filled(Reply))[:10] == single_object(current(Reply).schema.fingerprint)


def test_a_record_type_nobody_listed_can_still_be_written_and_read() -> None:
    class Unlisted(AvroRecord, frozen=True, kw_only=True):
        id: str

    codec = Codec(SchemaStore(records=()))
    assert codec.decode(Unlisted, codec.encode(Unlisted(id="a")), public=False) == Unlisted(id="a")


def test_released_schemas_are_found_in_the_checkout() -> None:
    assert released_module.history_folder().is_dir()

"""A stranger's schema resolves to ours as the Avro specification says, or is refused before any bytes are read."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse as avro_parse
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.codec import Codec
from pipeline.records.framing import single_object
from pipeline.records.public import CodeCheck, Command, DeliveryStatus, Reply, Step, VerificationRequest
from pipeline.records.store import SchemaRefused, SchemaStore
from pipeline.records.types import AttemptStatus, AvroRecord, Channel, CommandAction, VerificationMode
from tests.unit.records.strategies import FEW


def record(name: str, *fields: tuple[str, Any]) -> dict[str, Any]:
    """A writer schema of a stranger: names and types, nothing else."""
    named = [{"name": field, "type": kind} for field, kind in fields]
    return {"type": "record", "name": f"verification.v1.{name}", "fields": named}


def framed(schema: Any, value: Any, store: SchemaStore) -> bytes:
    fingerprint = store.add(json.dumps(schema))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return single_object(fingerprint) + out.getvalue()


def read(kind: type[AvroRecord], schema: Any, value: Any) -> Any:
    codec = Codec()
    return codec.decode(kind, framed(schema, value, codec.store), public=True)


CHANNEL = {"type": "enum", "name": "Channel", "symbols": ["sms", "voice"]}


def test_a_subset_of_the_fields_gets_our_defaults() -> None:
    schema = record("VerificationRequest", ("verification_id", "string"), ("recipient", "string"))
    expected = VerificationRequest(verification_id="v", recipient="+49")
    assert read(VerificationRequest, schema, {"verification_id": "v", "recipient": "+49"}) == expected
    assert expected.tenant == "default"
    assert expected.mode is VerificationMode.VERIFY


def test_fields_in_another_order_are_found_by_name() -> None:
    schema = record("CodeCheck", ("code", ["string", "null"]), ("verification_id", "string"), ("check_id", "string"))
    value = {"code": "1234", "verification_id": "v", "check_id": "c"}
    assert read(CodeCheck, schema, value) == CodeCheck(check_id="c", verification_id="v", code="1234")


EXTRAS: dict[str, tuple[Any, Any]] = {
    "boolean": ("boolean", True),
    "int": ("int", -5),
    "long": ("long", 2**60),
    "float": ("float", 1.5),
    "double": ("double", 2.5),
    "string": ("string", "text" * 50),
    "bytes": ("bytes", b"\x00\xff" * 100),
    "fixed": ({"type": "fixed", "name": "Md5", "size": 16}, b"0123456789abcdef"),
    "enum": ({"type": "enum", "name": "Mood", "symbols": ["good", "bad"]}, "bad"),
    "array": ({"type": "array", "items": "boolean"}, [True, False]),
    "map": ({"type": "map", "values": ["null", "double"]}, {"a": None, "b": 1.0}),
    "union": (["null", "string", "long"], 17),
    "record": (
        {"type": "record", "name": "More", "fields": [{"name": "deep", "type": {"type": "array", "items": "int"}}]},
        {"deep": [1, -70_000]},
    ),
    "array of records": (
        {
            "type": "array",
            "items": {"type": "record", "name": "Pair", "fields": [{"name": n, "type": "string"} for n in "ab"]},
        },
        [{"a": "x", "b": "y"}, {"a": "", "b": "z"}],
    ),
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_field_we_do_not_know_is_skipped_whatever_its_type(extra: str) -> None:
    kind, value = EXTRAS[extra]
    schema = record("Command", ("extra", kind), ("command_id", "string"), ("verification_id", "string"))
    expected = Command(command_id="c", verification_id="v")
    assert read(Command, schema, {"extra": value, "command_id": "c", "verification_id": "v"}) == expected


def test_a_type_used_twice_among_skipped_fields_is_skipped_twice() -> None:
    pair = {"type": "record", "name": "Pair", "fields": [{"name": n, "type": "string"} for n in "ab"]}
    schema = record(
        "Command",
        ("one", pair),
        ("two", ["null", "verification.v1.Pair"]),
        ("command_id", "string"),
        ("verification_id", "string"),
    )
    value = {"one": {"a": "1", "b": "2"}, "two": {"a": "3", "b": "4"}, "command_id": "c", "verification_id": "v"}
    assert read(Command, schema, value) == Command(command_id="c", verification_id="v")


def test_a_symbol_we_do_not_know_becomes_unknown() -> None:
    action = {"type": "enum", "name": "CommandAction", "symbols": ["explode", "cancel"]}
    schema = record("Command", ("command_id", "string"), ("verification_id", "string"), ("action", action))
    value = {"command_id": "c", "verification_id": "v", "action": "explode"}
    assert read(Command, schema, value).action is CommandAction.UNKNOWN
    assert read(Command, schema, {**value, "action": "cancel"}).action is CommandAction.CANCEL


def test_a_type_referred_to_by_name_is_read_where_ours_is_nullable() -> None:
    step = {"type": "record", "name": "Step", "fields": [{"name": "channel", "type": CHANNEL}]}
    schema = record(
        "VerificationRequest",
        ("verification_id", "string"),
        ("steps", {"type": "array", "items": step}),
        ("prefer_channel", "verification.v1.Channel"),
    )
    value = {"verification_id": "v", "steps": [{"channel": "voice"}], "prefer_channel": "sms"}
    expected = VerificationRequest(verification_id="v", steps=[Step(channel=Channel.VOICE)], prefer_channel=Channel.SMS)
    assert read(VerificationRequest, schema, value) == expected


def test_the_promotions_of_the_specification_are_read() -> None:
    schema = record(
        "DeliveryStatus",
        ("verification_id", "bytes"),
        ("attempt_id", ["string"]),
        ("occurred_at", "int"),
        ("received_at", ["int", "long"]),
        ("cost", ["null", "bytes"]),
    )
    value = {"verification_id": "é".encode(), "attempt_id": "v.1", "occurred_at": 7, "received_at": 2**40, "cost": b"1"}
    assert read(DeliveryStatus, schema, value) == DeliveryStatus(
        verification_id="é", attempt_id="v.1", occurred_at=7, received_at=2**40, cost="1", status=AttemptStatus.UNKNOWN
    )


IDS = (("check_id", "string"), ("verification_id", "string"))

REFUSED: dict[str, tuple[Any, str]] = {
    "another name": (record("Chequecode", *IDS), "no record of ours"),
    "another namespace": ({**record("CodeCheck", *IDS), "name": "other.CodeCheck"}, "no record of ours"),
    "no namespace": ({**record("CodeCheck", *IDS), "name": "CodeCheck"}, "no record of ours"),
    "a part of a record": (record("Step", ("channel", CHANNEL)), "no record of ours"),
    "an id missing": (record("CodeCheck", IDS[0]), "lacks the field verification_id"),
    "an id that may be null": (record("CodeCheck", IDS[0], ("verification_id", ["null", "string"])), "may have null"),
    "a field of another type": (record("CodeCheck", *IDS, ("code", "int")), "CodeCheck.code: .*int.* as string"),
    "a union with a foreign branch": (record("CodeCheck", *IDS, ("code", ["null", "string", "int"])), "as string"),
    "a long for an int": (record("Command", ("command_id", "string"), IDS[1], ("step_index", "long")), "as int"),
    "a double for a long": (record("CodeCheck", *IDS, ("checked_at", "double")), "as long"),
    "a string for an enum": (record("Command", ("command_id", "string"), IDS[1], ("action", "string")), "as enum"),
    "an enum of another name": (
        record(
            "Command", ("command_id", "string"), IDS[1], ("action", {"type": "enum", "name": "Do", "symbols": ["a"]})
        ),
        "verification.v1.Do",
    ),
    "other items": (
        record("VerificationRequest", IDS[1], ("steps", {"type": "array", "items": "string"})),
        r"steps\[\]",
    ),
    "other values": (
        record("VerificationRequest", IDS[1], ("metadata", {"type": "map", "values": "int"})),
        r"metadata\{\}",
    ),
    "a union of too many types": (
        record(
            "CodeCheck",
            *IDS,
            ("extra", [{"type": "fixed", "name": f"F{size}", "size": size} for size in range(1, 70)]),
        ),
        "more than 64 types",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_schema_that_cannot_always_be_read_as_ours_is_refused(case: str) -> None:
    schema, why = REFUSED[case]
    store = SchemaStore()
    with pytest.raises(SchemaRefused, match=why):
        store.add(json.dumps(schema))


READABLE: dict[str, list[Any]] = {
    # Types a writer may use for each type of ours in the drawn schemas, with values to write.
    "string": ["string", "bytes"],
    "bytes": ["bytes", "string"],
    "long": ["long", "int"],
    "int": ["int"],
    "boolean": ["boolean"],
}

REPLY_FIELDS: dict[str, str] = {
    "request_id": "string",
    "verification_id": "string",
    "ok": "boolean",
    "reason": "string",
    "checks_left": "int",
    "step_index": "int?",
    "retry_at": "long?",
    "expires_at": "long?",
    "replied_at": "long",
}

DRAWN = {
    "string": st.text(max_size=8),
    "bytes": st.text(max_size=8).map(str.encode),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "null": st.none(),
    "double": st.floats(allow_nan=False),
}


@st.composite
def writers(draw: st.DrawFn) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A schema somebody might write replies with, a value of it, and what we must read."""
    fields: list[tuple[str, Any]] = []
    value: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    for name, ours in REPLY_FIELDS.items():
        if name not in ("request_id", "verification_id") and draw(st.booleans()):
            continue
        theirs: Any = draw(st.sampled_from(READABLE[ours.rstrip("?")]))
        written = theirs
        if ours.endswith("?") and draw(st.booleans()):
            theirs = draw(st.permutations(["null", theirs]))
            written = draw(st.sampled_from(theirs))
        value[name] = draw(DRAWN[written])
        expected[name] = value[name].decode() if isinstance(value[name], bytes) else value[name]
        fields.append((name, theirs))
    for number, extra in enumerate(draw(st.lists(st.sampled_from(["double", "string", "null_or_int"]), max_size=3))):
        fields.append((f"extra{number}", ["null", "int"] if extra == "null_or_int" else extra))
        value[f"extra{number}"] = draw(DRAWN["int" if extra == "null_or_int" else extra])
    return record("Reply", *draw(st.permutations(fields))), value, expected


@FEW
@given(writers())
def test_whatever_subset_order_and_promotion_a_writer_chose_we_read_its_values(
    drawn: tuple[Any, dict[str, Any], dict[str, Any]],
) -> None:
    schema, value, expected = drawn
    assert read(Reply, schema, value) == Reply(**expected)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A schema of a Command with one or two types changed at random, resolvable or not."""
    kinds: list[Any] = ["string", "bytes", "int", "long", "boolean", ["null", "string"], ["int", "null"], ["string"]]
    fields: list[tuple[str, Any]] = [("command_id", "string"), ("verification_id", "string"), ("issued_at", "long")]
    fields += [("tenant", ["null", "string"]), ("step_index", ["null", "int"])]
    for _ in range(draw(st.integers(0, 2))):
        index = draw(st.integers(0, len(fields) - 1))
        fields[index] = fields[index][0], draw(st.sampled_from(kinds))
    if draw(st.booleans()):
        fields.pop(draw(st.integers(0, len(fields) - 1)))
    return record("Command", *fields)


@given(mutated())
def test_what_we_let_in_is_what_apache_avro_calls_compatible(schema: Any) -> None:
    ours = SchemaStore().register(Command).schema.text
    verdict = ReaderWriterCompatibilityChecker().get_compatibility(avro_parse(ours), avro_parse(json.dumps(schema)))
    try:
        SchemaStore().add(json.dumps(schema))
        let_in = True
    except SchemaRefused:
        let_in = False
    assert let_in == (verdict.compatibility is SchemaCompatibilityType.compatible)

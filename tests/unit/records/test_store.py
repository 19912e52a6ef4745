"""Only schemas that are safe to read with get in, whoever offers them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import topics
from pipeline.errors import SettingsError
from pipeline.records import store as store_module
from pipeline.records.catalogue import RECORDS
from pipeline.records.public import CodeCheck
from pipeline.records.released import released
from pipeline.records.schemas import MAX_SCHEMA_BYTES, parse
from pipeline.records.store import SchemaRefused, SchemaStore, current
from pipeline.runtime.api import Record

IDS = [{"name": "check_id", "type": "string"}, {"name": "verification_id", "type": "string"}]


def check_with(kind: Any) -> str:
    """A CodeCheck schema with one field more, of this type."""
    fields = [*IDS, {"name": "extra", "type": kind}]
    return json.dumps({"type": "record", "name": "verification.v1.CodeCheck", "fields": fields})


def nested(levels: int) -> Any:
    kind: Any = "int"
    for _ in range(levels):
        kind = {"type": "array", "items": kind}
    return kind


def doubling(levels: int) -> Any:
    """Records that each use the one before twice: 2**levels values in a schema of a few hundred bytes."""
    kind: Any = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "int"}]}
    for level in range(1, levels):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": f"R{level - 1}"}]
        kind = {"type": "record", "name": f"R{level}", "fields": fields}
    return kind


def check_with_name(name: str) -> str:
    return check_with("int").replace('"extra"', f'"{name}"')


HOSTILE: dict[str, tuple[str, str]] = {
    "half a surrogate pair as a name": (check_with_name("\\ud800"), "is no name"),
    "a name with a quote": (check_with_name('a\\"b'), "no Avro"),
    "a name with a line end": (check_with_name("a\\nb"), "no Avro"),
    "a name with a NUL": (check_with_name("a\\u0000b"), "no Avro"),
    "a name with a space": (check_with_name("a b"), "is no name"),
    "a size that is no number": (check_with({"type": "fixed", "name": "f", "size": True}), "no Avro"),
    "no JSON": ("{", "no JSON"),
    "JSON nested without end": ("[" * 100_000, "no JSON"),
    "JSON nested too deep for a parser in C": (check_with(nested(200)), "deeper than 100 levels"),
    "types nested too deep": (check_with(nested(20)), "deeper than 16 levels"),
    "too large": (" " * (MAX_SCHEMA_BYTES + 1), "more than the 131072 allowed"),
    "no record": ('"string"', "not of type record"),
    "a union of records": ("[]", "not of type record"),
    "an unknown type": (check_with("sting"), "no Avro"),
    "no type at all": (check_with({"items": "int"}), "no Avro"),
    "no fields at all": (json.dumps({"type": "record", "name": "verification.v1.CodeCheck"}), "has no field"),
    "array of null": (check_with({"type": "array", "items": "null"}), "takes no byte"),
    "map of null": (check_with({"type": "map", "values": "null"}), "takes no byte"),
    "a field of null": (check_with("null"), "takes no byte"),
    "an empty record": (check_with({"type": "record", "name": "E", "fields": []}), "takes no byte"),
    "an empty fixed": (check_with({"type": "fixed", "name": "F", "size": 0}), "takes no byte"),
    "an enum without symbols": (check_with({"type": "enum", "name": "E", "symbols": []}), "no symbol"),
    "an empty union": (check_with([]), "no branch"),
    "a record in itself": (
        check_with({"type": "record", "name": "T", "fields": [{"name": "more", "type": ["null", "T"]}]}),
        "contains itself",
    ),
    "a record in itself through an array": (
        check_with({"type": "array", "items": "verification.v1.CodeCheck"}),
        "contains itself",
    ),
    "a field twice": (
        json.dumps({"type": "record", "name": "verification.v1.CodeCheck", "fields": [*IDS, IDS[0]]}),
        "two fields of one name|no Avro",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_schema_is_refused(case: str) -> None:
    text, why = HOSTILE[case]
    with pytest.raises(SchemaRefused, match=why):
        SchemaStore().add(text)


def test_a_small_schema_cannot_make_a_reader_of_exponential_size() -> None:
    store = SchemaStore()
    began = time.perf_counter()
    fingerprint = store.add(check_with(doubling(14)))
    assert store.find(fingerprint) is not None
    assert time.perf_counter() - began < 5


def test_all_current_and_released_schemas_are_known_from_the_start() -> None:
    store = SchemaStore()
    assert all(store.find(current(kind).schema.fingerprint) for kind in RECORDS)
    assert all(store.find(s.fingerprint) for versions in released().values() for s in versions.values())


def test_adding_a_schema_twice_changes_nothing() -> None:
    store = SchemaStore()
    fingerprint = store.add(check_with("int"))
    readable = store.find(fingerprint)
    assert store.add(check_with("int")) == fingerprint
    assert store.find(fingerprint) is readable


def test_our_own_schema_offered_by_another_changes_nothing() -> None:
    store = SchemaStore()
    assert store.add(current(CodeCheck).schema.text) == current(CodeCheck).schema.fingerprint
    assert store.find(current(CodeCheck).schema.fingerprint) is current(CodeCheck)


def test_foreign_schemas_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_FOREIGN", 2)
    store = SchemaStore()
    store.add(check_with("int"))
    store.add(check_with("long"))
    with pytest.raises(SchemaRefused, match="2 foreign schemas already"):
        store.add(check_with("string"))
    assert store.add(check_with("int"))


def schema_record(key: bytes | None, value: bytes | None) -> Record:
    return Record(topic=topics.SCHEMAS, partition=0, offset=0, timestamp_ms=0, key=key, value=value)


def test_the_topic_brings_schemas_in() -> None:
    store = SchemaStore()
    text = check_with("int")
    fingerprint = SchemaStore().add(text)
    assert store.apply(schema_record(f"{fingerprint:016x}".encode(), text.encode())) is None
    assert store.find(fingerprint) is not None
    assert fingerprint in store.published


@pytest.mark.parametrize(
    ("value", "why"),
    [(b"\xff", "not UTF-8"), (b"{}", "not of type record"), (check_with("null").encode(), "takes no byte")],
)
def test_nonsense_on_the_topic_is_refused_with_a_reason_and_stops_nobody(value: bytes, why: str) -> None:
    store = SchemaStore()
    refusal = store.apply(schema_record(b"k", value))
    assert refusal is not None
    assert why in refusal
    assert store.published == frozenset()


def test_a_schema_under_a_wrong_key_is_told_but_usable() -> None:
    store = SchemaStore()
    refusal = store.apply(schema_record(b"0" * 16, check_with("int").encode()))
    assert refusal is not None
    assert "the key is not" in refusal
    assert store.find(SchemaStore().add(check_with("int"))) is not None


def test_why_a_schema_was_refused_is_remembered_by_the_key_it_was_published_under() -> None:
    store = SchemaStore()
    store.apply(schema_record(b"00000000000000ab", b"\xff"))
    store.apply(schema_record(b"00000000000000ac", HOSTILE["JSON nested without end"][0].encode()))
    assert store.refusal(0xAB) == "the schema is not UTF-8"
    assert "no JSON" in str(store.refusal(0xAC))
    assert store.refusal(0xAD) is None


@pytest.mark.parametrize("key", [None, b"", b"k", b"\xff" * 16, b"00000000000000AB", b"0" * 17])
def test_a_refused_schema_under_no_fingerprint_is_remembered_by_none(key: bytes | None) -> None:
    store = SchemaStore()
    assert store.apply(schema_record(key, b"{}")) is not None
    assert [store.refusal(fingerprint) for fingerprint in (0, 0xAB)] == [None, None]


def test_a_schema_published_anew_and_refused_again_is_told_by_its_newest_reason() -> None:
    store = SchemaStore()
    other = check_with("int").replace("verification.v1.CodeCheck", "other.Record")
    fingerprint = parse(other).fingerprint
    for value in (b"{}", other.encode()):
        store.apply(schema_record(f"{fingerprint:016x}".encode(), value))
    assert store.refusal(fingerprint) == "other.Record is no record of ours"
    assert store.find(fingerprint) is None


def test_refusals_are_remembered_up_to_a_number_the_newest_and_in_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_FOREIGN", 2)
    store = SchemaStore()
    for key in ("a", "b", "c"):
        store.apply(schema_record(key.rjust(16, "0").encode(), b"{}"))
    assert [store.refusal(fingerprint) is None for fingerprint in (0xA, 0xB, 0xC)] == [True, False, False]
    long_name = check_with({"type": "record", "name": "N" * 100_000, "fields": []})
    store.apply(schema_record(b"000000000000000d", long_name.encode()))
    assert len(str(store.refusal(0xD))) <= 300


def test_a_tombstone_on_the_topic_forgets_nothing() -> None:
    store = SchemaStore()
    fingerprint = store.add(check_with("int"))
    assert store.apply(schema_record(f"{fingerprint:016x}".encode(), None)) is None
    assert store.find(fingerprint) is not None


def test_a_folder_brings_schemas_in(tmp_path: Path) -> None:
    (tmp_path / "theirs.avsc").write_text(check_with("int"), encoding="utf-8")
    assert SchemaStore(schemas_dir=tmp_path).find(SchemaStore().add(check_with("int"))) is not None


def test_a_bad_file_in_the_folder_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.avsc").write_text(check_with("null"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"schemas_dir: bad.avsc .*takes no byte.*mend or remove"):
        SchemaStore(schemas_dir=tmp_path)


def test_a_folder_that_is_not_there_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no folder"):
        SchemaStore(schemas_dir=tmp_path / "nowhere")

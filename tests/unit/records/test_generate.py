"""The files in ``schemas/`` are what the record types say."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import pytest

import pipeline.records
from pipeline.records.catalogue import RECORDS
from pipeline.records.generate import documented, files, main, release
from pipeline.records.released import schemas_folder
from pipeline.records.schema_of import named_types, schema_of
from pipeline.records.schemas import parse
from pipeline.records.store import current
from pipeline.records.types import AvroRecord


def test_regenerating_changes_nothing() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run make schemas"


def test_no_file_is_left_of_a_record_that_is_gone() -> None:
    assert {path.stem for path in schemas_folder().glob("*.avsc")} == {kind.__name__ for kind in RECORDS}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_file_has_the_fingerprint_the_program_writes(kind: type[AvroRecord]) -> None:
    assert parse(documented(kind)).fingerprint == current(kind).schema.fingerprint


def test_docstrings_of_types_and_fields_become_documentation() -> None:
    schema = json.loads(documented(RECORDS[0]))
    assert schema["doc"] == "Ask for one verification; the public door."
    by_name = {field["name"]: field for field in schema["fields"]}
    assert by_name["row"]["doc"] == "Row of the bulk job."
    assert by_name["mode"]["type"]["doc"].startswith("``reach`` only asks")
    assert "doc" not in by_name["tenant"]


def test_every_record_type_is_in_the_catalogue_or_inside_one_that_is() -> None:
    listed = {cls for kind in RECORDS for cls in named_types(kind).values()}
    found: set[type] = set()
    for info in pkgutil.iter_modules(pipeline.records.__path__):
        module = importlib.import_module(f"pipeline.records.{info.name}")
        found |= {
            cls
            for cls in vars(module).values()
            if isinstance(cls, type) and issubclass(cls, AvroRecord) and cls is not AvroRecord
        }
    assert found <= listed


def test_the_types_of_one_name_are_the_same_in_every_file() -> None:
    seen: dict[str, Any] = {}
    for kind in RECORDS:
        for name, schema in definitions(json.loads(documented(kind))):
            assert seen.setdefault(name, expanded(schema)) == expanded(schema), name


def definitions(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from definitions(branch)
    elif isinstance(schema, dict):
        if "symbols" in schema:
            yield schema["name"], schema
        for inner in (
            schema.get("items"),
            schema.get("values"),
            *(field["type"] for field in schema.get("fields", [])),
        ):
            yield from definitions(inner)


def expanded(schema: Any) -> Any:
    return json.dumps(schema, sort_keys=True)


def test_a_release_freezes_each_schema_once(tmp_path: Path) -> None:
    assert len(release(1, tmp_path)) == len(RECORDS)
    assert release(2, tmp_path) == []


def test_a_released_schema_is_never_overwritten(tmp_path: Path) -> None:
    release(1, tmp_path)
    changed = tmp_path / "Reply" / "v1.avsc"
    changed.write_text(changed.read_text(encoding="utf-8").replace('"retry_at"', '"retry_after_at"'), encoding="utf-8")
    with pytest.raises(ValueError, match="Reply differs from its released v1"):
        release(1, tmp_path)
    assert [path.name for path in release(2, tmp_path)] == ["v2.avsc"]


def test_the_command_writes_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.records.generate.schemas_folder", lambda: tmp_path)
    monkeypatch.setattr("pipeline.records.generate.history_folder", lambda: tmp_path / "history")
    assert main(["--release", "3"]) == 0
    assert (tmp_path / "Reply.avsc").read_bytes() == (schemas_folder() / "Reply.avsc").read_bytes()
    assert (tmp_path / "history" / "Reply" / "v3.avsc").is_file()


class Bare(StrEnum):
    """An enum without ``unknown``."""

    ONE = "one"


class Inner(AvroRecord, frozen=True, kw_only=True):
    """Something nested."""

    id: str


class WithBareEnum(AvroRecord, frozen=True, kw_only=True):
    """Refused."""

    bare: Bare = Bare.ONE


class WithUnion(AvroRecord, frozen=True, kw_only=True):
    """Refused."""

    either: int | str = 0


class WithSetDefault(AvroRecord, frozen=True, kw_only=True):
    """Refused."""

    maybe: str | None = "set"


class WithTuple(AvroRecord, frozen=True, kw_only=True):
    """Refused."""

    pair: tuple[int, int] = (0, 0)


class Endless(AvroRecord, frozen=True, kw_only=True):
    """Refused."""

    more: list[Endless] = []


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (WithBareEnum, "enum Bare needs the symbol 'unknown'"),
        (WithUnion, "the only union a record may have"),
        (WithSetDefault, "must have the default None"),
        (WithTuple, "has no Avro type"),
        (Endless, "contains itself"),
    ],
)
def test_a_type_without_a_sound_schema_is_refused_by_its_field(kind: type[AvroRecord], why: str) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__}.*{why}"):
        schema_of(kind)


def test_every_enum_of_the_records_ends_with_unknown() -> None:
    for kind in RECORDS:
        for cls in named_types(kind).values():
            if issubclass(cls, Enum):
                assert list(cls)[-1] == "unknown"

"""What was ever written can be read for ever."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pipeline.records.catalogue import PUBLIC, RECORDS
from pipeline.records.codec import Codec
from pipeline.records.released import released

GOLDEN = Path(__file__).parents[2] / "golden"
KINDS = {kind.__name__: kind for kind in RECORDS}
FILES = sorted(GOLDEN.glob("*.bin"))


def test_every_released_version_has_golden_bytes() -> None:
    expected = {f"{name}.v{version}" for name, versions in released().items() for version in versions}
    assert {path.stem for path in FILES} == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_bytes_still_say_what_they_said(path: Path) -> None:
    kind = KINDS[path.stem.partition(".")[0]]
    expected = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=kind)
    assert Codec().decode(kind, path.read_bytes(), public=kind in PUBLIC) == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_bytes_leave_no_field_at_its_default(path: Path) -> None:
    """Else a field could get lost without a golden file noticing."""
    kind = KINDS[path.stem.partition(".")[0]]
    record = Codec().decode(kind, path.read_bytes(), public=True)
    version = released()[kind.__name__][int(path.stem.rpartition("v")[2])]
    written = {field["name"] for field in version.linked["fields"]}
    for field in msgspec.structs.fields(kind):
        if field.name in written and not field.required:
            default = field.default_factory() if callable(field.default_factory) else field.default
            assert getattr(record, field.name) != default, field.name

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.metrics import Metrics
from pipeline.reference import pages, write
from pipeline.settings.problems import known_paths

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", list(pages()))
def test_the_page_in_the_repository_is_what_the_code_says(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == pages()[name], "run `make reference`"


def test_writing_makes_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "reference")
    assert sorted(path.name for path in (tmp_path / "docs" / "reference").iterdir()) == sorted(pages())


def test_every_setting_and_metric_has_a_line_with_a_meaning() -> None:
    settings, metrics = pages()["settings.md"], pages()["metrics.md"]
    for path in known_paths():
        assert f"| `{path[-1]}` |" in settings
    for spec in Metrics.catalogue().values():
        assert f"| `{spec.full_name}` | {spec.kind} |" in metrics
    rows = [line for line in settings.splitlines() if line.startswith("| `")]
    assert [row for row in rows if not row.rstrip(" |").endswith(".")] == []

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.metrics import Metrics
from pipeline.reference import pages, write
from pipeline.settings import Settings, masked
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


def _in_force(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _in_force(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", inner


def test_the_defaults_it_tells_are_those_in_force() -> None:
    told: dict[str, str] = {}
    section = ""
    for line in pages()["settings.md"].splitlines():
        if line.startswith("## "):
            section = "" if line == "## Top level" else line.strip("# `[]") + "."
        elif line.startswith("| `"):
            name, _, default, _ = (cell.strip() for cell in line.replace("\\|", "/").strip("|").split(" | ", 3))
            told[section + name.strip("`")] = default
    wrong = {}
    for path, value in _in_force(masked(Settings(tenants={}))):
        values = value if isinstance(value, list) else [value]
        shown = " ".join(f"`{str(each).lower() if isinstance(each, bool) else each}`" for each in values)
        if path in told and told[path] != ("none" if value in ("", None, []) else shown):
            wrong[path] = (told[path], value)
    assert wrong == {}
    assert told["protections.tenant.limit"] == "`10000`"


def test_what_having_none_of_a_table_means_is_told_and_which_names_it_may_have() -> None:
    """Both stand at the field that holds the table, not in the table's own section."""
    page = pages()["settings.md"]
    assert "\nWithout rules, all enabled providers in the order of the file.\n" in page
    channels = page.partition("## `[providers.*thundersms*.channels.*Name*]`")[2].partition("\n|")[0]
    assert "Once one is named, only those named are used" in channels
    assert "*Name* is one of `whatsapp` `sms` `voice` `viber`." in channels

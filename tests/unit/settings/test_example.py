"""The example file is documentation that must not lie: complete, loadable, and with the defaults in force."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.fitness import unfit
from pipeline.settings import KINDS, Settings, load
from pipeline.settings.problems import known_paths

EXAMPLE = Path(__file__).parents[3] / "deploy" / "pipeline.example.toml"
COMMENTED = re.compile(r"^# (?=[a-z_0-9]+ = |\[)", re.MULTILINE)
REFUSED = re.compile(r"^#! ", re.MULTILINE)


def everything() -> str:
    """The example with what is commented out as well."""
    return REFUSED.sub("", COMMENTED.sub("", EXAMPLE.read_text(encoding="utf-8")))


def paths(data: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = {path}
    if isinstance(data, dict):
        for name, value in data.items():
            found |= paths(value, (*path, name))
    elif isinstance(data, list):
        for value in data:
            found |= paths(value, (*path, "*"))
    return found


def test_a_copy_of_it_changes_nothing() -> None:
    assert load(EXAMPLE, environ={}, further=[unfit]) == Settings()


def test_it_loads_with_every_commented_setting_too(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(COMMENTED.sub("", EXAMPLE.read_text(encoding="utf-8")), encoding="utf-8")
    settings = load(path, environ={})
    # A folder of the example's, which is not on this machine.
    assert [finding.message.partition(":")[0] for finding in unfit(settings)] == ["records.schemas_dir"]
    assert settings.tenants["default"].signature == "示例"
    assert list(settings.providers) == ["ycloud", "neutrino", "telesign", "bird", "thundersms", "smtp"]
    for name, shown in settings.providers.items():
        # Their examples are what has no default: credentials and channels.
        for field in (
            "enabled",
            "max_concurrency",
            "rate_per_s",
            "timeout_s",
            "connect_timeout_s",
            "requires_receipts",
        ):
            assert getattr(shown, field) == KINDS[name].model_fields[field].default, f"{name}.{field}"


def test_what_it_marks_as_refused_is_refused_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    # Its provider has to be there, or that is told as well.
    text = EXAMPLE.read_text(encoding="utf-8").replace("# [providers.ycloud]", "[providers.ycloud]")
    for line in ("[gateway.api_keys.shop]", "key_sha256 = "):
        text = text.replace(f"# {line}", line)
    path.write_text(REFUSED.sub("", text), encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load(path, environ={})
    named = [line.strip().partition(":")[0] for line in str(refused.value).splitlines()[1:]]
    assert sorted(named) == ["gateway.api_keys.shop", "prices.rules"]


def _example_holds(path: tuple[str | int, ...], written: set[tuple[str, ...]]) -> bool:
    def same(known: tuple[str | int, ...], there: tuple[str, ...]) -> bool:
        return len(known) == len(there) and all(a in ("*", b) for a, b in zip(known, there, strict=True))

    return any(same(path, there) for there in written)


def test_it_names_every_setting() -> None:
    written = paths(tomllib.loads(everything()))
    assert [path for path in known_paths() if not _example_holds(path, written)] == []

"""The example file is documentation that must not lie: complete, loadable, and with the defaults in force."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import Settings, load
from pipeline.settings.problems import known_paths

EXAMPLE = Path(__file__).parents[3] / "deploy" / "pipeline.example.toml"
COMMENTED = re.compile(r"^# (?=[a-z_0-9]+ = )", re.MULTILINE)
REFUSED = re.compile(r"^#! ", re.MULTILINE)
EITHER_OR = '#! key = "instead of key_sha256"\n'


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


def test_it_loads_as_it_is() -> None:
    settings = load(EXAMPLE, environ={})
    assert not any(provider.enabled for provider in settings.providers.values())
    assert len(settings.providers) == 6


def test_it_loads_with_every_commented_setting_too(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(COMMENTED.sub("", EXAMPLE.read_text(encoding="utf-8")), encoding="utf-8")
    assert load(path, environ={}).tenants["default"].signature == "示例"


def test_what_it_marks_as_refused_is_refused_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    text = EXAMPLE.read_text(encoding="utf-8").replace(EITHER_OR, "")
    path.write_text(REFUSED.sub("", text), encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load(path, environ={})
    named = {line.strip().partition(":")[0] for line in str(refused.value).splitlines()[1:]}
    assert named == {"tenants.default.domain", "templates.welcome", "prices.rules", "gateway.api_keys.shop"}


def _example_holds(path: tuple[str | int, ...], written: set[tuple[str, ...]]) -> bool:
    def same(known: tuple[str | int, ...], there: tuple[str, ...]) -> bool:
        return len(known) == len(there) and all(a in ("*", b) for a, b in zip(known, there, strict=True))

    return any(same(path, there) for there in written)


def test_it_names_every_setting() -> None:
    written = paths(tomllib.loads(everything()))
    assert [path for path in known_paths() if not _example_holds(path, written)] == []


@pytest.mark.parametrize(
    "section",
    ["kafka", "runtime", "records", "registry", "keys", "policy", "readmodel", "metrics", "simulator", "logging"],
)
def test_what_it_shows_as_default_is_the_default(section: str) -> None:
    assert getattr(load(EXAMPLE, environ={}), section) == getattr(Settings(), section)


def test_the_protections_and_tenant_it_shows_are_the_defaults_too() -> None:
    shown, default = load(EXAMPLE, environ={}), Settings()
    assert shown.tenants == default.tenants
    assert shown.protections.model_copy(update={"countries": default.protections.countries}) == default.protections

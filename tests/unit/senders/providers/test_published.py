"""Every code and status a provider publishes is in our tables: what is not would be in doubt, and a person would wait.

``published/<provider>.toml`` names each table by its place below ``pipeline.senders.providers.<provider>``.
"""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.senders.registry import KINDS

FOLDER = Path(__file__).parent / "published"
PUBLISHED = {file.stem: tomllib.loads(file.read_text())["tables"] for file in sorted(FOLDER.glob("*.toml"))}
TABLES = [(kind, place) for kind, tables in PUBLISHED.items() for place in tables]


def table(kind: str, place: str) -> Any:
    module, _, name = f"pipeline.senders.providers.{kind}.{place}".rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_kind_of_provider_has_its_published_values_listed() -> None:
    assert set(PUBLISHED) == set(KINDS)


@pytest.mark.parametrize(("kind", "place"), TABLES, ids=[f"{kind}-{place}" for kind, place in TABLES])
def test_every_published_value_is_in_our_table(kind: str, place: str) -> None:
    known = table(kind, place)
    published = [tuple(value) if isinstance(value, list) else value for value in PUBLISHED[kind][place]]
    assert len(published) == len(set(published)), "listed twice"
    assert [value for value in published if value not in known] == []

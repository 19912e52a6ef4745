"""Every code and status a provider publishes stands in a table of ours.

``published/<kind>.toml`` holds, heading by heading of the provider's reference page, what is ``published`` and the
table that is ``ours``: ``<module below pipeline.senders.providers>:<NAME>``, a mapping or a collection of codes.
"""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

PUBLISHED = Path(__file__).parent / "published"


def headings() -> list[Any]:
    return [
        pytest.param(table["ours"], table["published"], id=f"{path.stem}: {heading}")
        for path in sorted(PUBLISHED.glob("*.toml"))
        for heading, table in tomllib.loads(path.read_text(encoding="utf-8")).items()
    ]


@pytest.mark.parametrize(("ours", "published"), headings())
def test_nothing_that_a_provider_publishes_is_missing_from_our_tables(ours: str, published: list[int | str]) -> None:
    module, _, name = ours.partition(":")
    table = getattr(importlib.import_module(f"pipeline.senders.providers.{module}"), name)
    assert published
    assert [code for code in published if code not in table] == []

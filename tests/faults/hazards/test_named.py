"""A workaround names the test that tells when it may go, and that test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "pipeline" / "runtime").rglob("*.py"))}
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))


def test_every_test_that_the_runtime_names_is_here() -> None:
    named = {name for code in CODE.values() for name in re.findall(r"``(test_(?:hazard|trap)_\w+)``", code)}
    assert len(named) >= 18
    assert [name for name in sorted(named) if f"def {name}(" not in TESTS] == []


def test_whoever_tells_of_a_hazard_names_the_test_that_sees_it() -> None:
    untold = [
        (path.name, number)
        for path, code in CODE.items()
        for number in re.findall(r"[Hh]azards? (\d+)", code)
        if f"``test_hazard_{int(number):02}_" not in code
    ]
    assert untold == []


def test_every_hazard_has_a_test() -> None:
    assert {int(number) for number in re.findall(r"def test_hazard_(\d\d)_", TESTS)} == set(range(1, 20))

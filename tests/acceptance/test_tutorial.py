"""The tutorial "the first verification", typed from its page once everything runs: every command, every answer."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import ROOT, Deployment, Simulator, command
from tests.acceptance.pages import Shell, difference, steps
from tests.acceptance.stranger import Stranger

pytestmark = pytest.mark.kafka

PAGE = ROOT / "docs" / "tutorial" / "first-verification.md"
FREE = ("text", "code", "at")
"""What is another each time."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_of_the_first_tutorial_says_what_the_page_says(
    deployment: Deployment, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> None:
    theirs, ours = "+4915112345678", next(people)
    here = {
        theirs: ours,
        f"%2B{theirs[1:]}": f"%2B{ours[1:]}",
        f"*{theirs[-3:]}": f"*{ours[-3:]}",
        "http://127.0.0.1:8090": simulator.url,
    }
    pipeline = shlex.join(command("--config", str(deployment.folder / "pipeline.toml")))
    shell = Shell(here, before=f'pipeline() {{ {pipeline} "$@"; }}')
    told = [step for step in steps(PAGE, since="5. Ask") if step.told]
    assert len(told) == 4, "an answer is missing"
    for step in told:
        if "pipeline check" in step.commands:
            shell.here["923415"] = simulator.code(ours)
            stranger.outcome("first-1", lambda outcome: bool(outcome["state"] == "delivered"))
        answered, page = shell.type(step.commands), shell.text(step.told or "")
        if page.startswith("["):
            assert difference(page, answered, free=FREE) is None, answered
        else:
            # Without the lines and spaces that make a table of it.
            lines = [" ".join(line.split()) for line in answered.splitlines()]
            lines = [line for line in lines if line.strip("─ ")]
            assert lines == [" ".join(line.split()) for line in page.splitlines() if line.strip()], step.commands

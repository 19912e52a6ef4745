"""The tutorial "the first verification over HTTP", typed from its page: every command, every answer."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import ROOT, Deployment, Simulator
from tests.acceptance.pages import Shell, difference, steps

pytestmark = pytest.mark.kafka

PAGE = ROOT / "docs" / "tutorial" / "first-verification-over-http.md"
FREE = ("text", "code", "retry-after")
"""What is another each time."""
SETTLES_S = 20.0
"""How long what a look-up answers may take to be as told."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_of_the_tutorial_over_http_is_answered_as_it_says(
    deployment: Deployment, simulator: Simulator, people: Iterator[str]
) -> None:
    numbers = {theirs: next(people) for theirs in ("+4915112345677", "+4915112345679", "+4915112345680")}
    here = {
        "Bearer tutorial": "Bearer acceptance-shop",
        "http://127.0.0.1:8080": deployment.api_url,
        "http://127.0.0.1:8090": simulator.url,
    }
    for theirs, ours in numbers.items():
        # As written, as a part of an address, and as an answer masks it.
        here |= {theirs: ours, f"%2B{theirs[1:]}": f"%2B{ours[1:]}", f"*{theirs[-3:]}": f"*{ours[-3:]}"}
    shell = Shell(here)
    # The assignments of step 1 name the address and the key.
    page = [step for step in steps(PAGE, since="1. A pipeline with an API key") if "pipeline run" not in step.commands]
    assert len(page) == len([step for step in page if step.told]) + 1, "an answer is missing"
    for step in page:
        looks_up = "--json" not in step.commands and "-X POST" not in step.commands
        if "/check" in step.commands:
            shell.here["923415"] = simulator.code(numbers["+4915112345677"])
        deadline = time.monotonic() + (SETTLES_S if looks_up else 0)
        while True:
            answered = shell.type(step.commands)
            wrong = step.told and difference(shell.text(step.told), answered, free=FREE)
            if not wrong:
                break
            assert time.monotonic() < deadline, f"{step.commands}\n{wrong}\n\n{answered}"
            time.sleep(0.2)
    assert len(simulator.inbox(numbers["+4915112345679"])) == 1, "one request, sent twice"

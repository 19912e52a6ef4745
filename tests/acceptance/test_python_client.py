"""The programs of ``docs/how-to/publish-from-python.md``, run as they stand there, and the same asked from a shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from tests.acceptance.harness import ROOT, Deployment, Simulator, eventually
from tests.acceptance.stranger import new_id

pytestmark = pytest.mark.kafka

PAGE: Final = ROOT / "docs" / "how-to" / "publish-from-python.md"
THEIR_NUMBER: Final = "+4915112345678"


def programs() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def started(deployment: Deployment, program: str) -> subprocess.Popen[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=settings | {"PIPELINE_CONFIG": str(deployment.settings_file)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(program: subprocess.Popen[str], typed: str) -> list[str]:
    """What it wrote, line by line, when this was typed."""
    out, told = program.communicate(typed + "\n", timeout=60)
    assert program.returncode == 0, told[-2_000:]
    return out.splitlines()


def test_the_first_program_starts_checks_and_sees_the_outcome(
    deployment: Deployment, simulator: Simulator, people: Iterator[str]
) -> None:
    person = next(people)
    first, _ = programs()
    assert first.count(THEIR_NUMBER) == 1
    program = started(deployment, first.replace(THEIR_NUMBER, person))
    sent, checked, outcome = ended(program, simulator.code(person))
    assert re.fullmatch(r"(?:sent|delivered) \S*\*\S+ None", sent)
    assert checked == "Code: True valid 3"
    assert outcome == "verified True"


def test_the_second_program_resends_fails_over_and_cancels(
    deployment: Deployment, simulator: Simulator, people: Iterator[str]
) -> None:
    person = next(people)
    verification_id = json.loads(
        deployment.pipeline("send", person, "--channel", "sms", "--channel", "voice", "--wait", "--json")
    )["verification_id"]
    _, second = programs()
    again, voice, canceled = ended(started(deployment, second), verification_id)
    assert re.fullmatch(r"Verification id: False resend_too_soon \d{13}", again)
    assert voice == "True accepted 1"
    assert canceled == "True accepted canceled"
    [*_, last] = deployment.pipeline("show", verification_id).splitlines()
    assert "canceled" in last


def test_a_shell_resends_fails_over_and_cancels_and_tells_how_it_went(
    deployment: Deployment, simulator: Simulator, people: Iterator[str]
) -> None:
    person, verification_id = next(people), new_id()
    steps = ("--channel", "sms", "--channel", "voice")
    deployment.pipeline("send", person, "--id", verification_id, *steps, "--wait")
    code, out, told = deployment.ended("resend", verification_id)
    assert code == 1
    assert "resend_too_soon" in out
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", out)
    assert told.strip() == "Not yet; `retry_at` says when."
    assert deployment.ended("failover", verification_id, "--tenant", "somebody-else")[0] == 1
    [moved] = [json.loads(line) for line in deployment.pipeline("failover", verification_id, "--json").splitlines()]
    assert (moved["ok"], moved["reason"], moved["step_index"]) == (True, "accepted", 1)
    eventually(lambda: len(simulator.inbox(person)) == 2, 15, lambda: "no call came")
    same = ("cancel", verification_id, "--command-id", "once")
    for _ in range(2):
        code, out, told = deployment.ended(*same)
        assert (code, told.strip()) == (0, "The command is carried out.")
        assert "canceled" in out
    code, out, _ = deployment.ended("cancel", verification_id)
    assert (code, "already_final" in out) == (1, True)
    assert deployment.ended("check", verification_id, "000000")[0] == 1

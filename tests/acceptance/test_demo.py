from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pipeline.cli.demo import ALL_FROM

ROOT = Path(__file__).parents[2]

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_brings_every_kind_of_verification_to_its_expected_end(kafka_jars: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "--verifications", str(ALL_FROM)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    while_up, _, afterwards = ended.stdout.partition("Outcomes")
    table, _, further = afterwards.partition("Providers and channels")
    rows = re.findall(r"^ (\w[\w ]*?) {2,}(\w*) +(\d+) +(\d+) *$", table, re.MULTILINE)
    outcomes = {(end, reason): (int(expected), int(actual)) for end, reason, expected, actual in rows}
    assert all(expected == actual for expected, actual in outcomes.values())
    assert sum(actual for _, actual in outcomes.values()) >= ALL_FROM
    assert {"verified", "delivered", "failed", "expired", "canceled", "blocked", "rejected", "dead letter"} == {
        end for end, _ in outcomes
    }
    assert outcomes["verified", ""][1] > 90
    through, _, asked = further.partition("What the providers were asked")
    assert _used(_cells(through)) == {
        "ycloud": {"sms", "voice", "whatsapp", "email"},
        "neutrino": {"sms", "voice"},
        "telesign": {"sms", "voice"},
        "bird": {"sms", "whatsapp", "email"},
        "thundersms": {"sms", "voice", "whatsapp", "viber"},
        "thundersms_walking": {"sms", "viber"},
        "smtp": {"email"},
    }
    assert _used(_cells(asked.partition("Latency")[0])) == {
        "ycloud": {"sends", "look-ups", "reports", "receipts"},
        "neutrino": {"sends"},
        "telesign": {"sends", "checks", "reports", "receipts"},
        "bird": {"sends", "checks", "look-ups", "receipts"},
        "thundersms": {"sends", "checks", "look-ups", "cancels", "receipts"},
        "smtp": {"sends"},
    }
    assert "request → provider call" in ended.stdout
    assert re.search(r"^Metrics +http://127\.0\.0\.1:\d+/metrics$", while_up, re.MULTILINE)
    assert re.search(r"^All \d+ came out as expected", afterwards, re.MULTILINE)
    assert "http://" not in afterwards, "what is stopped by then is no address to look at"
    assert str(tmp_path) not in afterwards, "nor is a deleted file"
    assert "make demo DEMO_ARGS=--stay" in afterwards.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [], "the temporary folder is left behind"


def _cells(table: str) -> dict[str, dict[str, str]]:
    """A printed table by its first column, each row by the headings: those cells line up under them."""
    lines = [line for line in table.splitlines() if line.strip()]
    place = next(number for number, line in enumerate(lines) if "──" in line)
    heading = re.split(r" {2,}", lines[place - 1].strip())
    rows = [re.split(r" {2,}", line.strip()) for line in lines[place + 1 :]]
    return {row[0]: dict(zip(heading[1:], row[1:], strict=True)) for row in rows}


def _used(rows: dict[str, dict[str, str]]) -> dict[str, set[str]]:
    return {name: {heading for heading, cell in cells.items() if cell.isdecimal()} for name, cells in rows.items()}


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_with_stay_the_commands_it_prints_work_in_another_shell_until_the_terminal_is_closed(
    kafka_jars: str, tmp_path: Path
) -> None:
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "demo", "--verifications", "1", "--stay"],
        cwd=ROOT,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert demo.stdout is not None
    try:
        said = []
        while not said or "Ctrl-C" not in said[-1]:
            said.append(demo.stdout.readline())
            assert said[-1], said
        commands = [shlex.split(line) for line in said if " --config " in line]
        assert [command[5] for command in commands] == ["show", "send", "watch"]
        for command in commands[:2]:
            done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        [address] = set(re.findall(r"^REST API +(http://\S+)$", "".join(said), re.MULTILINE))
        assert httpx.get(address, trust_env=False).status_code == 200
        [asked] = [shlex.split(line) for line in said if line.strip().startswith("curl ")]
        shown = httpx.get(asked[-1], headers=dict([asked[2].split(": ")]), trust_env=False)
        assert shown.status_code == 200, shown.text
        demo.send_signal(signal.SIGHUP)
        demo.wait(60)
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()
    assert demo.returncode == 0
    assert list(tmp_path.iterdir()) == [], "the temporary folder is left behind"

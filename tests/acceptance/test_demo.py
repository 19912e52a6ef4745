from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_brings_every_kind_of_verification_to_its_expected_end(kafka_jars: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "--verifications", "130"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = re.findall(r"^ (\w[\w ]*?) {2,}(\w*) +(\d+) +(\d+) *$", ended.stdout, re.MULTILINE)
    outcomes = {(end, reason): (int(expected), int(actual)) for end, reason, expected, actual in rows}
    assert all(expected == actual for expected, actual in outcomes.values())
    assert sum(actual for _, actual in outcomes.values()) >= 130
    assert {"verified", "delivered", "failed", "expired", "blocked", "rejected", "dead letter"} == {
        end for end, _ in outcomes
    }
    assert outcomes["verified", ""][1] > 40
    assert "request → provider call" in ended.stdout
    assert re.search(r"^Metrics +http://127\.0\.0\.1:\d+/metrics$", ended.stdout, re.MULTILINE)
    assert re.search(r"^All \d+ came out as expected", ended.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == [], "the temporary folder is left behind"

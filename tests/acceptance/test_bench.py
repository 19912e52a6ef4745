"""``make bench`` works: one benchmark through the command, in a process of its own as always."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.senders.registry import KINDS
from tests.benchmarks import providers, restore

ROOT = Path(__file__).parents[2]


def test_the_bench_command_prints_a_table_and_writes_each_figure_with_its_unit(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "router"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "router_us" in done.stdout
    figures = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert figures.keys() == {"router_us"}
    assert figures["router_us"]["unit"] == "us"
    assert figures["router_us"]["value"] > 0


def test_a_benchmark_that_does_not_exist_is_refused_with_the_names_of_those_that_do() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "rooter"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "no benchmark rooter" in done.stderr
    assert "router, tracker" in done.stderr


def test_a_restore_is_measured_on_a_broker_until_its_task_runs(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "ENTRIES", 500)
    monkeypatch.setattr(restore, "RUNS", 2)
    assert len(restore.measure(kafka)["restore_100k_s"].runs) == 2


def test_a_send_is_measured_at_every_kind_of_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "CALLS", 20)
    monkeypatch.setattr(providers, "ROUNDS", 2)
    figures = providers.measure()
    assert figures.keys() == {f"sender_us_{kind}" for kind in KINDS}
    assert all(len(figure.runs) == 2 and figure.unit == "us" and figure.value > 0 for figure in figures.values())

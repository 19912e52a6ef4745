"""``make bench`` works: one benchmark through the command, in a process of its own as always."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.senders.registry import KINDS
from tests.benchmarks import framework, framework_load, providers, restore

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
    assert figures.keys() == {"router_us", "router_rust_us"}, "the lock brings the extra"
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
    assert done.returncode == 2
    assert "no benchmark rooter" in done.stderr
    assert "router, tracker" in done.stderr


@pytest.mark.parametrize("name", ["", ".start_to_call", ".http", ".readmodel", ".soak"])
def test_who_asks_a_benchmark_for_help_gets_it_and_nothing_is_measured(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks{name}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage:")


def test_a_restore_is_measured_on_a_broker_until_its_task_runs(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "SIZES", {"restore_100k_s": (500, 2), "restore_1m_s": (700, 1)})
    monkeypatch.setattr(restore, "HELD", 200)
    figures = restore.measure(kafka)
    assert {name: len(figure.runs) for name, figure in figures.items()} == {
        "restore_100k_s": 2,
        "restore_1m_s": 1,
        "state_entry_bytes": 0,
    }
    assert 800 < figures["state_entry_bytes"].value < 2_000


def test_the_framework_is_measured_beside_a_bare_loop_that_does_the_same(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WARM_UP": 100, "WINDOW": 100, "WINDOWS": 2}.items():
        monkeypatch.setattr(framework_load, name, value)
    monkeypatch.setattr(framework, "TURNS", 2)
    figures = framework.measure(kafka)
    assert figures.keys() == {"framework_us", "bare_loop_us", "framework_ratio"}
    assert [len(figure.runs) for figure in figures.values()] == [4, 4, 2]


def test_a_send_is_measured_at_every_kind_of_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "CALLS", 20)
    monkeypatch.setattr(providers, "ROUNDS", 2)
    figures = providers.measure()
    assert figures.keys() == {f"sender_us_{kind}" for kind in KINDS}
    assert all(len(figure.runs) == 2 and figure.unit == "us" and figure.value > 0 for figure in figures.values())

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from pipeline.cli.program import program, stop_signals


def test_the_program_that_runs_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "with blank" / "pipeline"
    script.parent.mkdir()
    script.touch()
    monkeypatch.chdir(script.parent)
    monkeypatch.setattr(sys, "argv", ["pipeline", "demo"])
    assert program() == f"'{script}'"


def test_run_as_a_module_it_is_called_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(Path("pipeline") / "__main__.py"), "demo"])
    assert program() == f"{sys.executable} -m pipeline"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_closed_terminal_ends_it_unless_it_was_told_to_ignore_that() -> None:
    assert signal.SIGHUP in stop_signals()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert stop_signals() == (signal.SIGINT, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)

"""A command on a leash that ends by itself."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.dev.process import LeashedProcess


def test_who_ends_by_itself_is_told_by_its_own_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    process = LeashedProcess(command, log=tmp_path / "log", folder=tmp_path, grace_s=5)
    while process.running:
        pass
    assert process.end() == 3

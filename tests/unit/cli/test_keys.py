from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["keys", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_key_is_made_added_and_promoted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = str(tmp_path / "keys")
    code, out, _ = run(capsys, "new", "--directory", folder, "--json")
    first = json.loads(out)
    assert (code, first["kid"]) == (0, first["current"])
    code, out, _ = run(capsys, "new", "--directory", folder)
    assert code == 0
    assert "pipeline keys rotate" in out
    assert run(capsys, "rotate", "--directory", folder)[0] == 0
    code, out, _ = run(capsys, "list", "--directory", folder, "--json")
    listed = json.loads(out)
    assert [key["current"] for key in listed] == [False, True]
    assert listed[0]["kid"] == first["kid"]
    assert listed[0]["public_key"] in run(capsys, "list", "--directory", folder)[1]


def test_a_missing_folder_ends_with_the_fix_and_exit_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "list", "--directory", str(tmp_path / "none"))
    assert code == 2
    assert "run pipeline keys new" in err


def test_without_an_option_the_folder_of_the_settings_is_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_KEYS__DIRECTORY", str(tmp_path / "set"))
    assert run(capsys, "new")[0] == 0
    assert (tmp_path / "set" / "hash.key.json").is_file()

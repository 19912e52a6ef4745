"""``--json``: one JSON document a line, always, so that a program can read line by line."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main, send
from pipeline.cli.output import print_json
from pipeline.records.public import VerificationOutcome
from pipeline.records.types import VerificationState

CLI = Path(send.__file__).parent


def documents(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_document_is_one_line_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"rows": [{"a": 1}, {"b": "two\nlines"}], 3: None}
    print_json(data)
    print_json([])
    assert documents(capsys.readouterr().out) == [{"rows": data["rows"], "3": None}, []]


def test_outcomes_follow_each_other_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    for version in (1, 2):
        send.print_outcome(
            VerificationOutcome(verification_id="v1", version=version, state=VerificationState.PENDING), as_json=True
        )
    assert [each["version"] for each in documents(capsys.readouterr().out)] == [1, 2]


def test_an_id_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    send.print_id("v1", as_json=True)
    send.print_id("v1", as_json=False)
    assert capsys.readouterr().out == '{"verification_id":"v1"}\nv1\n'


def test_problems_in_the_settings_are_told_to_programs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.toml").write_text("[kafka]\nclient = 'x'\n[gateway]\nport = -1\n")
    assert main(["config", "check", "--json"]) == 2
    told = capsys.readouterr()
    [found] = documents(told.out)
    assert found["ok"] is False
    assert any("kafka.client" in problem and "client_id" in problem for problem in found["problems"])
    assert any("gateway.port" in problem for problem in found["problems"])
    assert len(found["problems"]) == 2
    assert "error: 2 problems in the settings:" in told.err


def test_every_json_option_is_the_same_one() -> None:
    own = [
        path.name
        for path in CLI.glob("*.py")
        if path.name != "output.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == "--json"
    ]
    assert own == []

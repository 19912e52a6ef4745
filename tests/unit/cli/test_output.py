from __future__ import annotations

import json

import pytest

from pipeline.cli.output import print_table, show


def test_a_table_into_a_pipe_cuts_nothing_and_aligns_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["state", "count"], [["verified", 5], ["x" * 300, 12_345]], right=["count"])
    lines = capsys.readouterr().out.splitlines()
    assert any("x" * 300 in line for line in lines)
    ends = {len(line.rstrip()) for line in lines if line.rstrip().endswith(("5", "12345"))}
    assert len(ends) == 1


def test_a_value_is_never_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["value"], [["[red]x[/red]"], ["[/]"], [None]])
    told = capsys.readouterr().out
    assert "[red]x[/red]" in told
    assert "[/]" in told
    assert "None" not in told


def test_rows_as_json_keep_all_fields(capsys: pytest.CaptureFixture[str]) -> None:
    show(["a"], [{"a": 1, "b": "two"}], as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"a": 1, "b": "two"}]


def test_no_rows_are_said_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    show(["a"], [], as_json=False, empty="no keys yet")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "no keys yet\n")

"""The drawings of a verification's life say what the code does: that in the docstring, and the page's."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.model import lifecycle
from pipeline.model.reasons import STATE, Reason
from pipeline.records.types import VerificationState
from pipeline.tracker.timers import What

State = VerificationState
PAGE = (Path(__file__).parents[3] / "docs" / "lifecycle.md").read_text(encoding="utf-8")
MOVES = {(state, to) for state, targets in lifecycle.MOVES.items() for to in targets}
ENDS = {(state, "[*]") for state in lifecycle.FINAL}


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_pages_diagram_is_the_state_machine() -> None:
    diagram = PAGE.partition("```mermaid\n")[2].partition("```")[0]
    drawn = re.findall(r"^ +(\S+) --> (\S+?)(?::|$)", diagram, re.MULTILINE)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == MOVES | ENDS | {("[*]", State.PENDING)}


def test_the_docstring_lists_every_move() -> None:
    listed = re.findall(r"^ {4}(\w+) +► ([a-z ]+)$", str(lifecycle.__doc__), re.MULTILINE)
    assert {(state, to) for state, targets in listed for to in targets.split()} == MOVES


def test_the_page_names_every_reason_beside_its_state() -> None:
    known = {str(reason) for reason in Reason}
    told = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) & known for row in rows("Reasons of each end")}
    expected = {state.value: {str(reason) for reason, ends in STATE.items() if ends is state} for state in State}
    assert told == {state: expected[state] for state in lifecycle.FINAL}


def test_the_page_tells_of_every_timer() -> None:
    assert [row[0] for row in rows("Timers")] == [what.value for what in What]

"""What a benchmark answers with, and how several short runs become one figure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; ``runs`` are the single measurements, ``note`` says what was measured."""

    value: float
    unit: str
    note: str = ""
    runs: list[float] = field(default_factory=list)


Figures = dict[str, Figure]


def best(runs: Sequence[float], unit: str, note: str) -> Figure:
    """The least of several runs: whoever shares the machine can only add to a cost."""
    return Figure(min(runs), unit, note, list(runs))


def most(runs: Sequence[float], unit: str, note: str) -> Figure:
    """The most of several runs, for rates."""
    return Figure(max(runs), unit, note, list(runs))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def shown(figures: Figures) -> str:
    """The table for people."""
    rows = [("name", "value", "unit", "all runs", "measured")]
    for name, one in figures.items():
        runs = " ".join(f"{run:.4g}" for run in one.runs)
        rows.append((name, f"{one.value:.4g}", one.unit, runs, one.note))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column == 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def write(figures: Figures, path: Path) -> None:
    """``{name: {"value": …, "unit": …}}``; figures of benchmarks that were not run again stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {name: {"value": round(one.value, 3), "unit": one.unit} for name, one in figures.items()}
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def on_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run on the event loop the processes use."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())

"""``python -m pipeline.testing.simulation --seeds 2000``: many runs; ``--seed N --steps``: one of them, to look at."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pipeline.testing.simulation import invariants
from pipeline.testing.simulation.campaign import Verdict, judge, judge_all, past_seeds
from pipeline.testing.simulation.run import simulate
from pipeline.testing.simulation.sometimes import POINTS

ENOUGH_SEEDS = 1_000
"""With fewer a branch that is seldom taken may be missed by chance, which is told and fails nothing."""
TOLD_EVERY_S = 15.0

app = typer.Typer(add_completion=False)


@app.command()
def main(
    seeds: Annotated[int, typer.Option(help="How many seeds to run.", min=1)] = 2_000,
    first: Annotated[int, typer.Option("--from", help="The first of them.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Processes to run them in.", min=1)] = 2,
    seed: Annotated[int | None, typer.Option(help="Run this one seed only.", min=0)] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Show each step of that one.")] = False,
) -> None:
    """Run the pipeline in simulated time under faults that a seed chooses, and hold its promises against each run.

    Example: python -m pipeline.testing.simulation --seeds 2000 --jobs 2
    """
    if seed is not None:
        sys.exit(_one(seed, steps=steps))
    sys.exit(_many(sorted({*past_seeds()}), list(range(first, first + seeds)), jobs))


def _one(seed: int, *, steps: bool) -> int:
    if not steps:
        verdict = judge(seed)
        _tell(verdict)
        typer.echo(f"seed {seed}: {'broken' if verdict.broken else 'every promise held'}; all topics: {verdict.digest}")
        return int(bool(verdict.broken))
    found = invariants.broken(simulate(seed, typer.echo))
    for each in found:
        typer.echo(f"broken: {each}")
    return int(bool(found))


def _many(past: list[int], seeds: list[int], jobs: int) -> int:
    console = Console()
    counts: Counter[str] = Counter()
    failed: list[int] = []
    wanted = [*past, *(each for each in seeds if each not in past)]
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        bar = progress.add_task("seeds", total=len(wanted))
        told_s = time.monotonic()
        for done, verdict in enumerate(judge_all(wanted, jobs), 1):
            counts.update(verdict.reached)
            if verdict.broken:
                failed.append(verdict.seed)
                _tell(verdict)
            progress.update(bar, completed=done)
            if not console.is_terminal and time.monotonic() - told_s > TOLD_EVERY_S:
                told_s = time.monotonic()
                typer.echo(f"{done} of {len(wanted)} seeds, {len(failed)} failed")
    table = Table("branch", "seeds that reached it")
    for point in sorted(POINTS, key=lambda each: (counts[each], each)):
        table.add_row(point, str(counts[point]))
    console.print(table)
    missed = [point for point in POINTS if not counts[point]]
    if missed and len(wanted) >= ENOUGH_SEEDS:
        typer.echo(f"never reached: {', '.join(missed)}")
    typer.echo(
        f"{len(wanted)} seeds, {len(failed)} failed{': ' + ', '.join(map(str, sorted(failed))) if failed else ''}"
    )
    return int(bool(failed) or (bool(missed) and len(wanted) >= ENOUGH_SEEDS))


def _tell(verdict: Verdict) -> None:
    for each in verdict.broken:
        typer.echo(f"seed {verdict.seed} broke a promise: {each}")
    if verdict.broken:
        typer.echo(f"  step by step: python -m pipeline.testing.simulation --seed {verdict.seed} --steps")


if __name__ == "__main__":
    app()

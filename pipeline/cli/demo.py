"""``pipeline demo``: everything on this machine, verifications of every kind, and what came of them."""

from __future__ import annotations

import asyncio
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.cli.program import program, stop_signals

if TYPE_CHECKING:
    from pipeline.demo.place import Place
    from pipeline.demo.run import Report

MOST: Final = 2_000
"""The simulator's magic endings leave some hundred numbers each."""
ALL_FROM: Final = 186
"""Fewer leave kinds out."""


def demo(
    verifications: Annotated[
        int, typer.Option(min=1, max=MOST, help=f"How many at least; every kind is there from {ALL_FROM} on.")
    ] = 200,
    stay: Annotated[bool, typer.Option("--stay", help="Leave everything up until Ctrl-C.")] = False,
) -> None:
    """Start Kafka, simulated providers and all stages on this machine, and play verifications of every kind.

    Exit code 0 only when every request came to the end it must come to. Needs Java 17, or the extra `demo`.

    Example: `pipeline demo --verifications 200 --stay`
    """
    from pipeline.process import run_loop

    good = run_loop(_run(verifications, stay))
    how = f" `{program()} demo --stay`, or `make demo DEMO_ARGS=--stay`, keeps it up."
    typer.echo("Everything is stopped." + ("" if stay else how))
    if not good:
        raise typer.Exit(1)


async def _run(verifications: int, stay: bool) -> bool:
    from pipeline.demo.run import demo as run
    from pipeline.demo.screen import screen_for
    from pipeline.dev.progress import progress_for
    from pipeline.logs import configure
    from pipeline.settings import LoggingSettings

    configure(LoggingSettings(level="error"))
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    interrupted: list[int] = []

    def stop(number: int) -> None:
        interrupted.append(number)
        task.cancel()

    numbers = stop_signals()
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        return await run(
            verifications=verifications,
            stay=stay,
            screen=screen_for(sys.stderr),
            progress=progress_for(sys.stderr),
            on_ready=_print_place,
            on_report=lambda report: _print(report, stay),
        )
    except asyncio.CancelledError:
        if not interrupted:
            raise
        raise KeyboardInterrupt from None
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _print_place(place: Place) -> None:
    for line in _where(place):
        typer.echo(line)


def _print(report: Report, stay: bool) -> None:
    from pipeline.cli.output import print_table
    from pipeline.demo.summary import asked_rows, latency_rows, outcome_rows, through_rows

    outcomes = outcome_rows(report.cases, report.evidence)
    print_table(
        ["outcome", "reason", "expected", "actual", ""],
        [
            (row.end, row.reason, row.expected, row.actual, "" if row.expected == row.actual else "differs")
            for row in outcomes
        ],
        title="Outcomes",
        right=["expected", "actual"],
    )
    through = through_rows(report.cases, report.evidence)
    channels = [channel.value for channel, _, _ in through[0].verified]
    print_table(
        ["verified through", *channels],
        [(row.provider, *(shown_of(expected, actual) for _, expected, actual in row.verified)) for row in through],
        title="Providers and channels",
        right=channels,
    )
    asked = ["sends", "checks", "look-ups", "reports", "cancels", "receipts"]
    print_table(
        ["provider", *asked],
        [
            (row.provider, *(count or "-" for count in (*row.asked, row.receipts)))
            for row in asked_rows(report.evidence)
        ],
        title="What the providers were asked, and the receipts they sent",
        right=asked,
    )
    print_table(
        ["latency, ms", "count", "p50", "p50 warm", "p99", "longest"],
        [
            (row.way, row.count, *(f"{ms:.0f}" for ms in (row.p50_ms, row.settled_p50_ms, row.p99_ms, row.max_ms)))
            for row in latency_rows(report.cases, report.evidence)
        ],
        title="Latency from a cold start (warm: the second half)",
        right=["count", "p50", "p50 warm", "p99", "longest"],
    )
    if report.findings:
        print_table(
            ["verification", "kind", "problem"],
            [(finding.name, finding.kind, finding.problem) for finding in report.findings],
            title="Not as expected",
        )
    total, bad = len(report.cases), len({finding.name for finding in report.findings})
    verdict = f"All {total} came out as expected" if report.good else f"{bad} of {total} did not come out as expected"
    typer.echo(f"{verdict}, {report.took_s:.0f} s in all.")
    if stay:
        for line in ("", *_where(report.place), *_commands(report), "Everything stays up until Ctrl-C."):
            typer.echo(line)


def shown_of(expected: int, actual: int) -> str:
    """A number, or how many there are of those there should be; a dash where there need be none."""
    if expected == actual:
        return str(actual) if actual else "-"
    return f"{actual} of {expected}"


def _where(place: Place) -> list[str]:
    """What can be looked at while it is up."""
    return [
        f"REST API   {place.gateway}/docs",
        f"Simulator  {place.simulator}/inbox  {place.simulator}/calls",
        f"Metrics    {place.status}/metrics",
        f"Settings   {place.config}",
    ]


def _commands(report: Report) -> list[str]:
    """What can be typed in another terminal while it is up."""
    command = f"{program()} --config {shlex.quote(str(report.place.config))}"
    shown = next((case.name for case in report.cases if case.expected.attempts > 1), report.cases[0].name)
    return [
        f"  {command} show {shown}",
        f"  {command} send +4915112345678 --wait",
        f"  {command} watch",
        f"  curl -H 'Authorization: Bearer {report.place.api_key}' {report.place.gateway}/v1/verifications/{shown}",
    ]

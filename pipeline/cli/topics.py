"""``pipeline topics``: create the topics of a deployment and compare them with the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import topics_admin
from pipeline.cli.context import settings
from pipeline.cli.output import Json, message, print_json, show
from pipeline.settings import Settings
from pipeline.topics_file import load, wanted_topics
from pipeline.topics_plan import Action, Plan

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Partitions = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="Partitions of every stage topic, at the first apply; then what is there."),
]
Replicas = Annotated[
    int | None, typer.Option(min=1, max=16, help="Copies of each record; 1 for a single development broker.")
]
File = Annotated[Path | None, typer.Option(help="Another topics file than the one that comes with the program.")]

COLUMNS = ("topic", "setting", "current", "wanted", "action", "why")


@app.callback()
def topics() -> None:
    """Create the topics of a deployment and compare them with the cluster.

    Example: `pipeline topics apply --partitions 4 --replication-factor 1`
    """


@app.command()
def apply(
    ctx: typer.Context,
    partitions: Partitions = None,
    replication_factor: Replicas = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Create what is missing and mend what differs; never deletes, shortens or changes a partition count.

    Exit code 1 when a difference is left that a person has to decide.

    Example: `pipeline topics apply --partitions 12`
    """
    found = _with_wanted(topics_admin.apply, settings(ctx), partitions, replication_factor, file)
    _report(found, as_json=as_json, applied=not found.blocked)
    if found.refused:
        raise typer.Exit(1)


@app.command()
def check(
    ctx: typer.Context,
    partitions: Partitions = None,
    replication_factor: Replicas = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Report how the cluster's topics differ from the file, changing nothing; exit code 1 when any does.

    Example: `pipeline topics check --json`
    """
    found = _with_wanted(topics_admin.check, settings(ctx), partitions, replication_factor, file)
    _report(found, as_json=as_json, applied=False)
    if found.differences:
        raise typer.Exit(1)


def _with_wanted(
    work: Callable[..., Coroutine[Any, Any, Plan]],
    deployment: Settings,
    partitions: int | None,
    replication_factor: int | None,
    file: Path | None,
) -> Plan:
    """Run ``apply`` or ``check`` of :mod:`pipeline.topics_admin` with the topics these settings want."""
    wanted = wanted_topics(
        load(file),
        prefix=deployment.kafka.topic_prefix,
        providers=deployment.providers,
        partitions=partitions,
        replication_factor=replication_factor,
        id_horizon_s=deployment.policy.id_horizon_s,
    )
    return asyncio.run(work(deployment.kafka, wanted, partitions=partitions))


def _report(found: Plan, *, as_json: bool, applied: bool) -> None:
    rows = [
        {
            **{name: str(getattr(difference, name)) for name in COLUMNS},
            "applied": applied and not _left(difference.action),
        }
        for difference in found.differences
    ]
    if as_json:
        print_json({"ok": not (found.refused if applied else found.differences), "differences": rows})
        return
    if not rows:
        message("All topics are as the file wants them.")
        return
    show(COLUMNS, rows, as_json=False)
    if found.blocked:
        message("A partition count differs, so nothing can be applied: see why in the table.")
    elif applied:
        done = sum(1 for row in rows if row["applied"])
        message(f"{done} applied, {len(rows) - done} left for you to decide.")
    else:
        message("Nothing was changed; `pipeline topics apply` mends what is marked create or alter.")


def _left(action: Action) -> bool:
    return action is Action.REFUSE

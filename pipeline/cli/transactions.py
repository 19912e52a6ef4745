"""``pipeline transactions``: transactions that hang in some partitions after every broker of those was away at once."""

from __future__ import annotations

import asyncio

import typer

from pipeline.cli.context import settings
from pipeline.cli.output import Json, message, show
from pipeline.hanging import transactions as hanging
from pipeline.hanging.transactions import Hanging
from pipeline.settings import KafkaSettings

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

COLUMNS = ("topic", "partition", "start_offset", "transactional_id", "decided")


@app.callback()
def transactions() -> None:
    """Find and end transactions that Kafka has decided and left open in some partitions.

    Example: `pipeline transactions find`
    """


@app.command()
def find(ctx: typer.Context, as_json: Json = False) -> None:
    """List them, changing nothing; exit code 1 when there are any.

    Example: `pipeline transactions find --json`
    """
    found = asyncio.run(hanging.find(settings(ctx).kafka))
    _show(found, as_json=as_json)
    if found:
        raise typer.Exit(1)


@app.command()
def end(ctx: typer.Context, as_json: Json = False) -> None:
    """End each as its coordinator decided; exit code 1 when one is left whose decision is no longer known.

    Example: `pipeline transactions end`
    """
    kafka = settings(ctx).kafka
    found = asyncio.run(_end(kafka))
    _show(found, as_json=as_json)
    if any(each.decision is None for each in found):
        raise typer.Exit(1)


async def _end(kafka: KafkaSettings) -> list[Hanging]:
    found = await hanging.find(kafka)
    await hanging.end(kafka, found)
    return found


def _show(found: list[Hanging], *, as_json: bool) -> None:
    if not found and not as_json:
        message("No transaction hangs.")
        return
    show(COLUMNS, [_row(each) for each in found], as_json=as_json)


def _row(each: Hanging) -> dict[str, object]:
    decision = each.decision
    return {
        "topic": each.open.topic,
        "partition": each.open.partition,
        "start_offset": each.open.start_offset,
        "transactional_id": decision.transactional_id if decision else "",
        "decided": ("commit" if decision.committed else "abort") if decision else "unknown",
    }

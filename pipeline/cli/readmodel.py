"""``pipeline readmodel``: the database of verifications."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.context import settings
from pipeline.cli.output import Json, message, print_json

if TYPE_CHECKING:
    from pipeline.readmodel.rebuild import Progress, Rebuilt

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

LINE_EVERY_S = 2.0
"""Between two lines where there is no terminal."""


@app.callback()
def readmodel() -> None:
    """Rebuild, update and check the database of verifications.

    Example: `pipeline readmodel check`
    """


@app.command()
def rebuild(ctx: typer.Context, as_json: Json = False) -> None:
    """Fold all outcomes and receipts that Kafka keeps into new tables, then put them in place of the old ones.

    The old ones serve meanwhile, and projectors may run. What Kafka keeps no more is carried over. Stopped at any
    moment it changes nothing and can be run again.

    Example: `pipeline readmodel rebuild`
    """
    from pipeline.clock import SystemClock
    from pipeline.logs import configure
    from pipeline.process import connected, run_loop
    from pipeline.readmodel.decoding import Decoder
    from pipeline.readmodel.rebuild import Rebuild

    loaded = settings(ctx)
    configure(loaded.logging.model_copy(update={"level": "warning"}))

    async def work() -> tuple[Rebuilt, int]:
        async with connected(loaded, client_id="readmodel", wait_for_broker=False) as (log, codec):

            async def refresh() -> None:
                # The table of schemas is followed all the time; whoever publishes one does so before its first record.
                await asyncio.sleep(0.2)

            decoder = Decoder(codec=codec, clock=SystemClock(), refresh=refresh)
            with _shown() as tell:
                done = await Rebuild(settings=loaded.readmodel, log=log, decoder=decoder, tell=tell).run()
            return done, sum(decoder.skipped.values())

    done, skipped = run_loop(work())
    if as_json:
        print_json({**done._asdict(), "skipped": skipped})
        return
    message(
        f"Rebuilt from {done.records} records; {done.carried_over} rows carried over that were not among them, "
        f"{skipped} records passed over that could not be read."
    )


@app.command()
def migrate(
    ctx: typer.Context,
    to: Annotated[str, typer.Option(help="A revision to go back to, or `base` to remove all tables.")] = "head",
    yes: Annotated[bool, typer.Option("--yes", help="Go back without asking: what later tables hold is lost.")] = False,
    as_json: Json = False,
) -> None:
    """Update the tables to the form that this release works with.

    Gateway and projector do it at their start unless `readmodel.migrate` is off.

    Example: `pipeline readmodel migrate`
    """
    from pipeline.readmodel.migrating import expect_revision
    from pipeline.readmodel.migrating import migrate as run

    loaded = settings(ctx)
    expect_revision(to)
    if to != "head" and not yes:
        typer.confirm(f"Take the tables back to {to}? What only later tables hold is lost", abort=True, err=True)
    found = asyncio.run(run(loaded.readmodel, to=to))
    if as_json:
        print_json({"standing": found.standing.name.lower(), "revision": found.revision, "wanted": found.wanted})
    else:
        message(f"The tables are at revision {found.revision or 'none'}.")


@app.command()
def check(ctx: typer.Context, as_json: Json = False) -> None:
    """Tell whether the database answers and its tables are as this release wants them; exit code 1 when not.

    Example: `pipeline readmodel check --json`
    """
    from pipeline.readmodel.checking import Checked, checked
    from pipeline.readmodel.migrating import Standing

    found: Checked = asyncio.run(checked(settings(ctx).readmodel))
    tables = found.tables
    if as_json:
        print_json(
            {
                "standing": tables.standing.name.lower(),
                "revision": tables.revision,
                "wanted": tables.wanted,
                "epoch": found.epoch,
                "folded": found.folded,
                "rebuild_left_over": found.left_over,
            }
        )
    else:
        message(f"Revision {tables.revision or 'none'} of {tables.wanted}: {tables.standing.value}.")
        if found.epoch is not None:
            message(f"Made {found.epoch} times; {found.folded} records folded.")
        if found.left_over:
            message("A rebuild is running, or was stopped before its end; the next one removes what it left.")
    if tables.standing is not Standing.CURRENT:
        raise typer.Exit(1)


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a plain line now and then elsewhere; on standard error."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("reading")
        yield lambda told: bar.update(task, description=told.phase, completed=told.done, total=told.total or None)


class _Lines:
    """One line at each phase, and every few seconds within it."""

    def __init__(self) -> None:
        self._phase = ""
        self._told_s = 0.0

    def __call__(self, told: Progress) -> None:
        import time

        now_s = time.monotonic()
        if told.phase != self._phase or now_s - self._told_s > LINE_EVERY_S:
            self._phase, self._told_s = told.phase, now_s
            message(f"{told.phase}: {told.done} of {told.total}")

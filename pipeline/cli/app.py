"""The program's options, its table of commands, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.cli.commands import COMMANDS
from pipeline.cli.context import Options
from pipeline.cli.lazy import LazyGroup


class _Pipeline(LazyGroup):
    table = COMMANDS


app = typer.Typer(
    name="pipeline",
    cls=_Pipeline,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and those hold codes and keys
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def pipeline(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file; else PIPELINE_CONFIG, else pipeline.toml if there is one.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when a command fails.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A self-hosted verification (one-time passcode) pipeline on Kafka.

    Exit codes: 0 ok, 1 failed, 2 wrong usage or settings, 130 interrupted.

    Example: `pipeline --config pipeline.toml config check`
    """
    ctx.obj = Options(config=config, debug=debug)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with these arguments (default: the process's) and return its exit code."""
    try:
        app(args=list(sys.argv[1:] if argv is None else argv), prog_name="pipeline")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0

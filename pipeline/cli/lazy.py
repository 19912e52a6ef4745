"""A group whose commands are imported when one of them is called."""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline.cli.commands import Command
from pipeline.errors import PipelineError, UsageError

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


class LazyGroup(TyperGroup):
    """Looks commands up in :attr:`table` and turns the package's errors into messages and exit codes."""

    table: ClassVar[dict[str, Command]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Only what the list of commands shows; :meth:`resolve_command` gives the one to run."""
        entry = self.table.get(cmd_name)
        return TyperCommand(cmd_name, help=entry.help) if entry else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that was called."""
        name = args[0]
        if name not in self.table:
            near = difflib.get_close_matches(name, self.table, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{name}'.{hint}")
        return name, load(name, self.table[name].target), args[1:]

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors of ours end with their message alone, or with a traceback under ``--debug``."""
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            if ctx.params.get("debug"):
                traceback.print_exc(file=sys.stderr)
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(USAGE if isinstance(error, UsageError) else FAILED) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def load(name: str, target: str) -> Any:
    """The click command at ``module:attribute``, named ``name``."""
    module, _, attribute = target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command: Any = typer.main.get_group(found)
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        app.command(name)(found)
        command = typer.main.get_command(app)
    command.name = name
    return command

"""What the options before the command say, for the commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """The options of ``pipeline`` itself."""

    config: Path | None = None
    debug: bool = False


def options(ctx: typer.Context) -> Options:
    """The options before the command; defaults where a command is called on its own."""
    found = ctx.find_root().obj
    return found if isinstance(found, Options) else Options()


def settings(ctx: typer.Context) -> Settings:
    """The settings in force. Raises SettingsError with every problem."""
    from pipeline.fitness import unfit  # not at the top: it takes longer than all of `pipeline --help`
    from pipeline.settings import load

    return load(options(ctx).config, further=[unfit])

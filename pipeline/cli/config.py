"""``pipeline config``: check the settings and show what is in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from pipeline.cli.context import settings
from pipeline.cli.output import Json, print_json, print_table
from pipeline.errors import SettingsError

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def config() -> None:
    """Check the settings and show what is in force.

    Example: `pipeline config check`
    """


@app.command()
def check(ctx: typer.Context, as_json: Json = False) -> None:
    """Read all settings and tell every problem; exit code 2 if there is one.

    Example: `pipeline --config pipeline.toml config check`
    """
    try:
        found = settings(ctx)
    except SettingsError as error:
        if as_json:
            print_json({"ok": False, "problems": error.problems})
        raise
    enabled = [name for name, provider in found.providers.items() if provider.enabled]
    if as_json:
        print_json({"ok": True, "tenants": list(found.tenants), "providers": enabled})
        return
    typer.echo(
        f"The settings are fine. Tenants: {', '.join(found.tenants)}. Providers: {', '.join(enabled) or 'none'}."
    )


@app.command()
def show(ctx: typer.Context, as_json: Json = False) -> None:
    """Show every setting with the value in force; secrets are masked.

    Example: `pipeline config show --json`
    """
    from pipeline.settings import masked

    shown = masked(settings(ctx))
    if as_json:
        print_json(shown)
        return
    print_table(["setting", "value"], list(_rows(shown)))


def _rows(data: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """One row per value; lists of sections by index, lists of plain values in one row."""
    if isinstance(data, Mapping) and data:
        for name, value in data.items():
            yield from _rows(value, f"{path}.{name}" if path else str(name))
    elif isinstance(data, list) and any(isinstance(value, Mapping) for value in data):
        for index, value in enumerate(data):
            yield from _rows(value, f"{path}[{index}]")
    elif isinstance(data, list):
        yield path, ", ".join(map(str, data))
    else:
        yield path, "" if data == {} else data

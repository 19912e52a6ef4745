"""``pipeline keys``: the keys that derive codes and seal recipients."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline import key_files
from pipeline.cli.context import settings
from pipeline.cli.output import Json, print_json, print_table
from pipeline.clock import SystemClock

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Directory = Annotated[
    Path | None, typer.Option(help="Folder of the key files; default keys.directory of the settings.")
]


@app.callback()
def keys() -> None:
    """Make and list the keys that derive codes and seal recipients.

    Example: `pipeline keys new`
    """


@app.command()
def new(ctx: typer.Context, directory: Directory = None, as_json: Json = False) -> None:
    """Make a key. The first one is used at once; a later one after `keys rotate`.

    Example: `pipeline keys new --directory keys`
    """
    folder = _folder(ctx, directory)
    kid = key_files.create(folder, SystemClock())
    current = next(key.kid for key in key_files.listing(folder) if key.current)
    if as_json:
        print_json({"kid": kid, "current": current, "directory": str(folder)})
    elif kid == current:
        typer.echo(f"Made {kid} in {folder}. Keep a backup of the folder: without it no sealed record can be read.")
    else:
        typer.echo(f"Made {kid} in {folder}. When every process has it, run: pipeline keys rotate {kid}")


@app.command()
def rotate(
    ctx: typer.Context,
    kid: Annotated[str | None, typer.Argument(help="The key to use from now on; default the newest.")] = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Use another key for what is new. Every process must have it already (metric `key_ring_info`).

    Example: `pipeline keys rotate k2-7f3a`
    """
    chosen = key_files.promote(_folder(ctx, directory), kid)
    if as_json:
        print_json({"current": chosen})
    else:
        typer.echo(f"{chosen} is the current key. Restart the processes; keep the older keys in the folder.")


@app.command("list")
def list_keys(ctx: typer.Context, directory: Directory = None, as_json: Json = False) -> None:
    """Show the keys, oldest first, with the public key that producers seal codes to.

    Example: `pipeline keys list --json`
    """
    found = key_files.listing(_folder(ctx, directory))
    if as_json:
        print_json([asdict(key) for key in found])
    else:
        rows = [(key.kid, key.created_at, "yes" if key.current else "", key.public_key) for key in found]
        print_table(["key", "made", "current", "public key"], rows)


def _folder(ctx: typer.Context, directory: Path | None) -> Path:
    return settings(ctx).keys.directory if directory is None else directory

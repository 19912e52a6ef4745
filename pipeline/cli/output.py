"""What commands print: an aligned table for people, or JSON for programs; messages go to standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text, one document a line.")]
"""The option of every command whose output a program may want: ``as_json: Json = False``."""


def print_json(data: Any) -> None:
    """One JSON document on one line of standard output, so that several can be read line by line."""
    typer.echo(orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", right: Sequence[str] = ()
) -> None:
    """An aligned table on standard output; the columns in ``right`` are aligned to the right, None is empty.

    Into a pipe it is as wide as its content, so that nothing is cut; on a terminal long texts wrap.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        # Text, not markup: a value such as "[red]" or "[/]" is shown as it is.
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = max(80, console.measure(table, options=console.options.update(max_width=100_000)).maximum)
    console.print(table)


def show(
    columns: Sequence[str], rows: Sequence[Mapping[str, object]], *, as_json: bool, title: str = "", empty: str = "none"
) -> None:
    """Rows as a table of ``columns``, or all of their fields as a JSON list; ``empty`` is said when there are none."""
    if as_json:
        print_json(rows)
    elif not rows:
        message(empty)
    else:
        print_table(columns, [[row.get(column) for column in columns] for row in rows], title=title)


def message(text: str) -> None:
    """Something for the person at the terminal, kept out of what is piped on."""
    typer.echo(text, err=True)

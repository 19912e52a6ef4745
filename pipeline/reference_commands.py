"""The page of commands, from the program's own help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

import typer

from pipeline.cli.app import app
from pipeline.cli.commands import COMMANDS
from pipeline.cli.lazy import load
from pipeline.reference_made import MADE

_INTRO: Final = """\
`pipeline --help` and `pipeline COMMAND --help` say the same. Options of `pipeline` itself stand before the command:
`pipeline --config pipeline.toml config check`. Exit codes: 0 ok, 1 failed, 2 wrong usage or settings, 130 interrupted.
Results go to standard output, messages and logs to standard error.
"""


def commands() -> dict[str, Any]:
    """Every command that can be called, by its full name such as ``topics apply``."""
    found: dict[str, Any] = {}
    for name, entry in COMMANDS.items():
        loaded = load(name, entry.target)
        inner = getattr(loaded, "commands", None)
        if inner is None:
            found[name] = loaded
        else:
            found |= {f"{name} {each}": command for each, command in inner.items()}
    return found


def commands_page() -> str:
    """Every command: usage, meaning, arguments and options with their defaults."""
    lines = ["# Command line", "", MADE, _INTRO, "## `pipeline`", "", *_options(typer.main.get_command(app)), ""]
    for name, command in commands().items():
        arguments = "".join(f" {_argument(each)}" for each in command.params if each.param_type_name == "argument")
        lines += [f"## `pipeline {name}{arguments}`", "", inspect.cleandoc(command.help or ""), ""]
        options = list(_options(command))
        lines += [*options, ""] if options else []
    return "\n".join(lines).rstrip() + "\n"


def _argument(parameter: Any) -> str:
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _options(command: Any) -> Iterator[str]:
    shown = [each for each in command.params if each.name != "help"]
    if shown:
        yield from ["| argument or option | default | meaning |", "|---|---|---|"]
    for each in shown:
        yield f"| `{_name(each)}` | {_default(each)} | {_cell(each.help)} |"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name.upper())
    name = ", ".join((*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return name
    return f"{name} {parameter.name.upper()}" + (" …" if parameter.multiple else "")


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    return "" if value is None or value is False or value == () else f"`{value}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").replace("|", "\\|").split())

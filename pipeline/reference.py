"""Writes ``docs/reference/`` from the code: ``python -m pipeline.reference [FOLDER]`` (``make reference``)."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipeline.metrics import COUNTRIES, LABELS, PREFIX, Metrics
from pipeline.reference_commands import commands_page
from pipeline.reference_http import http_page
from pipeline.reference_made import MADE
from pipeline.reference_messages import messages_page
from pipeline.reference_providers import providers_page
from pipeline.reference_reasons import reasons_page
from pipeline.settings import KINDS, Settings
from pipeline.settings.problems import sections_in

_MANY: Final = 100
"""Closed lists longer than this (HTTP statuses) are shown as a range."""

_SETTINGS_INTRO: Final = """\
One TOML file (`--config`, `PIPELINE_CONFIG`, else `pipeline.toml` if there is one); every value also as
`PIPELINE_<SECTION>__<NAME>`, lists as JSON or with commas; secrets also as files named like the variable, with or
without `PIPELINE_`, in the folder `PIPELINE_SECRETS_DIR`. Environment wins over secret files, those over the file.
Unknown names are errors. `pipeline config check` tells every problem, `pipeline config show` what is in force;
`deploy/pipeline.example.toml` shows all of them. *Name* stands for a name of yours.
"""
_METRICS_INTRO: Final = f"""\
Each process serves them on `/metrics` of its metrics port (`[metrics]`). What stages count after a commit may miss,
but never doubles, what one crashed transaction counted. No label ever holds a recipient, an id or free text. `country`
is ISO 3166-1 alpha-2, or `other` for all but {len(COUNTRIES)} (`[metrics] countries`); `tenant` is a configured one or
`other`; a `reason` that does not apply is `none`.
"""


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "settings.md": settings_page(),
        "metrics.md": metrics_page(),
        "reasons.md": reasons_page(),
        "providers.md": providers_page(),
        "command-line.md": commands_page(),
        "messages.md": messages_page(),
        "http-api.md": http_page(),
    }


def settings_page() -> str:
    """All settings: section by section, with type, range, default and meaning."""
    lines = [
        "# Settings",
        "",
        MADE,
        _SETTINGS_INTRO,
    ]
    top = {name: field for name, field in Settings.model_fields.items() if not list(sections_in(field.annotation))}
    force = Settings()
    lines += ["## Top level", "", *_table(top, force), ""]
    for name, field in Settings.model_fields.items():
        if name == "providers":
            for kind, provider in KINDS.items():
                lines += _section(f"providers.*{kind}*", provider)
        elif name not in top:
            for section, stars in sections_in(field.annotation):
                listed = get_origin(field.annotation) is list
                path = name + (".*Name*" if stars and not listed else "")
                held = field if stars else None
                lines += _section(path, section, None if stars else getattr(force, name), listed=listed, held=held)
    return "\n".join(lines).rstrip() + "\n"


def metrics_page() -> str:
    """All metrics: name, type, labels and meaning."""
    lines = [
        "# Metrics",
        "",
        MADE,
        _METRICS_INTRO,
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for spec in Metrics.catalogue().values():
        labels = ", ".join(f"`{label}`" for label in spec.labels)
        lines.append(f"| `{spec.full_name}` | {spec.kind} | {labels} | {spec.meaning} |")
    lines += ["", "## Closed label values", "", "| label | values |", "|---|---|"]
    for label, values in LABELS.items():
        if isinstance(values, frozenset):
            lines.append(f"| `{label}` | {_values(values)} |")
    first: dict[frozenset[str], str] = {}
    for spec in Metrics.catalogue().values():
        for label, values in spec.closed.items():
            if len(values) > _MANY:
                lines.append(f"| `{label}` of `{spec.full_name}` | `{min(values)}` … `{max(values)}` |")
            elif values in first:
                lines.append(f"| `{label}` of `{spec.full_name}` | as {first[values]} |")
            else:
                lines.append(f"| `{label}` of `{spec.full_name}` | {_values(values)} |")
                first[values] = f"of `{spec.full_name}`"
    lines += ["", "## Buckets", "", "| histogram | upper bounds in seconds |", "|---|---|"]
    for spec in Metrics.catalogue().values():
        if spec.buckets:
            lines.append(f"| `{PREFIX}{spec.name}` | {' '.join(f'{bound:g}' for bound in spec.buckets)} |")
    return "\n".join(lines) + "\n"


def write(folder: Path) -> None:
    """Write every page into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _values(values: frozenset[str]) -> str:
    return " ".join(f"`{value}`" for value in sorted(map(str, values)))


def _section(
    path: str,
    section: type[BaseModel],
    force: BaseModel | None = None,
    *,
    listed: bool = False,
    held: FieldInfo | None = None,
) -> Iterator[str]:
    """``force`` is the section that is in force when nothing is set; those named by the operator have none.

    ``held`` is what holds such ones: it says which names there are, and what having none means.
    """
    yield from [f"## `[[{path}]]`" if listed else f"## `[{path}]`", "", _meaning(section.__doc__), ""]
    if held is not None:
        yield from [" ".join(filter(None, (_meaning(held.description), _named(held)))), ""]
    yield from [*_table(section.model_fields, force), ""]
    for name, field in section.model_fields.items():
        for inner, stars in sections_in(field.annotation):
            inner_listed = bool(stars) and get_origin(field.annotation) is list
            yield from _section(
                f"{path}.{name}" + (".*Name*" if stars and not inner_listed else ""),
                inner,
                None if stars or force is None else getattr(force, name),
                listed=inner_listed,
                held=field if stars else None,
            )


def _named(field: FieldInfo) -> str:
    """Which names a table's entries may have, where that is not the operator's choice."""
    names = get_args(field.annotation)[:1]
    return f"*Name* is one of {_kind(names[0])}." if names and get_origin(names[0]) is Literal else ""


def _table(fields: dict[str, FieldInfo], force: BaseModel | None) -> Iterator[str]:
    plain = {name: field for name, field in fields.items() if not list(sections_in(field.annotation))}
    if plain:
        yield from ["| name | type | default | meaning |", "|---|---|---|---|"]
    for name, field in plain.items():
        kind = (_kind(field.annotation) + _bounds(field.metadata)).replace("|", "\\|")
        default = field.default if force is None else getattr(force, name)
        yield f"| `{field.alias or name}` | {kind} | {_shown(default)} | {_meaning(field.description)} |"


def _meaning(text: str | None) -> str:
    return " ".join((text or "").replace("``", "`").split())


def _shown(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", [], {}, ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if not isinstance(value, list) else " ".join(f"`{each}`" for each in value)


def _bounds(metadata: list[Any]) -> str:
    signs = {annotated_types.Ge: ("≥", "ge"), annotated_types.Gt: (">", "gt"), annotated_types.Le: ("≤", "le")}
    found = [
        f"{signs[type(each)][0]} {getattr(each, signs[type(each)][1])}" for each in metadata if type(each) in signs
    ]
    lengths = ["not empty" for each in metadata if isinstance(each, annotated_types.MinLen)]
    return "".join(f", {each}" for each in (*found, *lengths))


def _kind(annotation: Any) -> str:
    """A type in the words of a TOML author."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0]) + _bounds(list(inner[1:]))
    if origin is Literal:
        return " ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(part) for part in inner if part is not type(None)))
    if origin is list:
        return f"list of {_kind(inner[0])}"
    if origin is dict:
        return f"table, {_kind(inner[0])} → {_kind(inner[1])}"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", SecretStr: "secret"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/reference"))

"""Every problem of a configuration as a line that names the path, what is wrong with the value, and the fix."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from pipeline.settings.providers import KINDS
from pipeline.settings.root import Settings
from pipeline.settings.sources import PREFIX, Source

Path = tuple[str | int, ...]

_SECTION_EXPECTED: Final = frozenset({"model_type", "model_attributes_type", "union_tag_not_found", "dict_type"})
_EXPECTED: Final = {
    "string_type": 'must be text, such as "this"',
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "int_": "must be a whole number",
    "float_": "must be a number",
    "bool_": "must be true or false",
    "path_type": 'must be a path, such as "/etc/pipeline/ca.pem"',
}
"""What to say instead of pydantic's own words, by how its kinds of error begin."""


def explain(error: ValidationError, data: Mapping[str, Any], sources: list[Source]) -> list[str]:
    """One line for each thing pydantic found."""
    lines = []
    for found in error.errors(include_url=False, include_context=True):
        path = path_of(found["loc"])
        lines.append(f"{shown(path)}{_origin(path, sources)}: {_problem(found, path, data)}")
    return list(dict.fromkeys(lines))


def unknown_variables(sources: list[Source]) -> list[str]:
    """Variables and secret files whose section does not exist (pydantic only sees those it can place)."""
    lines = []
    for source in sources:
        for name, written in source.names.items():
            if name.split("__")[0] in Settings.model_fields:
                continue
            if source.files:
                known = ["__".join(map(str, path)) for path in known_paths()]
                hint, form = _nearest(name, known), "name it <section>__<name>, two underscores between"
            else:
                known = [PREFIX + "__".join(str(part).upper() for part in path) for path in known_paths()]
                hint = _nearest((PREFIX + name).upper(), known)
                form = f"write {PREFIX}<SECTION>__<NAME>, two underscores between"
            lines.append(f"{written}: no such setting; {f'did you mean {hint}?' if hint else form}")
    return lines


def known_paths(model: type[BaseModel] = Settings) -> Iterator[Path]:
    """The path of each setting, ``*`` standing for a name of the operator's own or a place in a list."""
    for name, field in model.model_fields.items():
        shown = field.alias or name
        for inner, stars in sections_in(field.annotation):
            for path in known_paths(inner):
                yield (shown, *stars, *path)
        if not list(sections_in(field.annotation)):
            yield (shown,)


def model_at(path: Path, data: Mapping[str, Any]) -> type[BaseModel] | None:
    """The section that the last name of ``path`` would belong to."""
    if path[:1] == ("providers",) and len(path) > 2:
        section = data.get("providers", {}).get(path[1], {})
        kind = str((section.get("kind") if isinstance(section, Mapping) else None) or path[1])
        candidates: list[type[BaseModel]] = [KINDS[kind]] if kind in KINDS else []
        rest = path[2:-1]
    else:
        candidates, rest = [Settings], path[:-1]
    for part in rest:
        following: list[type[BaseModel]] = []
        for model in candidates:
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            if part in fields:
                following += [inner for inner, _ in sections_in(fields[str(part)].annotation)]
        candidates = following or candidates  # a name of the operator's own, or a place in a list: same section
    return candidates[0] if candidates else None


def is_secret(path: Path, data: Mapping[str, Any]) -> bool:
    """Whether the value at ``path`` must not be shown; so is everything that cannot be placed."""
    model = model_at(path, data)
    if model is None:
        return True
    for part in reversed(path):
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                return SecretStr in _leaves(field.annotation)
    return True


def path_of(location: tuple[int | str, ...]) -> Path:
    """Where an error of pydantic is in the settings."""
    # The discriminator of the provider union stands in the location, but not in the file.
    path = location[:2] + location[3:] if location[:1] == ("providers",) and len(location) > 2 else location
    return tuple(part for part in path if part != "[key]")


def shown(path: Path) -> str:
    """A path as messages show it: ``routes.rules[0].country``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "settings"


def _origin(path: Path, sources: list[Source]) -> str:
    # The variable or secret file may hold the whole list or section in which the value stands.
    around = ["__".join(str(part).lower() for part in path[:depth]) for depth in range(len(path), 0, -1)]
    for source in sources:
        if source.holds(path):
            return f" (from {next((source.names[name] for name in around if name in source.names), source.label)})"
    return ""


def _problem(found: ErrorDetails, path: Path, data: Mapping[str, Any]) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        model = model_at(path, data)
        known = sorted(field.alias or name for name, field in model.model_fields.items()) if model else []
        hint = _nearest(str(path[-1]), known)
        return "no such setting; " + (f"did you mean {hint}?" if hint else f"known here: {', '.join(known)}")
    if kind == "union_tag_invalid":
        hint = _nearest(str(context.get("tag", "")), list(KINDS))
        fix = f"did you mean {hint}?" if hint else f"set kind to one of {', '.join(KINDS)}"
        return f"no such kind of provider; {fix}"
    if kind == "missing":
        return "is missing; set it"
    if kind == "value_error":
        told = str(context.get("error", "is invalid"))
        return f"this name is not allowed; it {told}" if found["loc"][-1:] == ("[key]",) else told
    if kind in _SECTION_EXPECTED or kind == "list_type":
        return _shape(kind, path, data)
    for beginning, clear in _EXPECTED.items():
        if kind.startswith(beginning):
            return clear
    told = found["msg"]
    for clumsy, clear in (("Input should be", "must be"), ("String should", "must"), ("List should", "must")):
        told = told.replace(clumsy, clear)
    value = found["input"]
    if isinstance(value, int | float) and kind.startswith(("greater", "less")) and not is_secret(path, data):
        return f"{value} is out of range; it {told}"
    return told


def _shape(kind: str, path: Path, data: Mapping[str, Any]) -> str:
    """What to write where a section, a table or a list belongs and something else stands."""
    holder = model_at(path, data)
    fields = {field.alias or name: field for name, field in holder.model_fields.items()} if holder else {}
    field = fields.get(str(path[-1]))
    stars = [stars for _, stars in sections_in(field.annotation)] if field else [()]
    name = ".".join(str(part) for part in path if isinstance(part, str))
    if kind == "list_type":
        if any(stars):
            return f"is a list of sections; write each as [[{name}]], with two brackets"
        return 'must be a list, such as ["one", "two"]'
    if not stars:
        return 'must be a table, such as { en = "text" }'
    if isinstance(path[-1], int):
        return f"each is a section; write it as [[{name}]], with two brackets"
    header = f"[{name}.<name>]" if any(stars) else f"[{name}]"
    return f"is a section, not a value; write {header} and its settings below it"


def _nearest(name: str, known: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.6)), None)


def _leaves(annotation: Any) -> Iterator[Any]:
    """The plain types an annotation is made of."""
    if get_origin(annotation) is None:
        yield annotation
    for part in get_args(annotation):
        yield from _leaves(part)


def sections_in(annotation: Any, stars: Path = ()) -> Iterator[tuple[type[BaseModel], Path]]:
    """Sections inside an annotation, each with a ``*`` per mapping or list around it."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and origin is None:
        if issubclass(annotation, BaseModel):
            yield annotation, stars
    elif origin is Annotated:
        yield from sections_in(get_args(annotation)[0], stars)
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from sections_in(part, stars)
    elif origin in (dict, list) and get_args(annotation):
        yield from sections_in(get_args(annotation)[-1], (*stars, "*"))

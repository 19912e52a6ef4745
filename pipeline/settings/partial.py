"""As much of the settings as pydantic takes, so that one wrong value does not hide what else is wrong."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final, get_origin

from pydantic import BaseModel, ValidationError

from pipeline.settings.problems import Path, model_at, path_of, shown
from pipeline.settings.root import Settings

_EMPTY: Final[Mapping[Any, type]] = {dict: dict, list: list}


def partial(data: Mapping[str, Any], error: ValidationError) -> tuple[Settings, list[str]]:
    """The settings without the values that ``error`` names, and the paths that were left out.

    Defaults stand in their place, so nothing that rests on one of these paths may be said of the result. Places in
    lists stay what they are.
    """
    left: dict[str, Any] = copy.deepcopy(dict(data))
    out: list[str] = []
    while True:
        found = [(path_of(each["loc"]), each["type"] == "missing") for each in error.errors(include_url=False)]
        taken = [_take_out(left, path) for path, missing in found if not missing]
        # Only when all that stands there is right, as what is missing is written in beside it.
        taken = taken or [_write_in(left, path) for path, _ in found]
        if not any(taken):
            top = found[0][0][:1]
            left.pop(str(top[0]), None)
            taken.append(top)
        out += [shown(path) for path in taken if path]
        try:
            return Settings.model_validate(left), out
        except ValidationError as again:
            error = again


def _take_out(left: dict[str, Any], path: Path) -> Path:
    """Remove the value at ``path``, or the whole list it stands in; returns what is gone, nothing if it was already."""
    holders: list[Any] = [left]
    for part in path:
        here = holders[-1]
        if isinstance(here, dict) and part not in here:
            return ()
        if not isinstance(here, dict | list):
            break
        holders.append(here[part])  # type: ignore[index]
    for depth in reversed(range(len(holders) - 1)):
        if isinstance(holders[depth], dict):
            del holders[depth][path[depth]]
            return path[: depth + 1]
    return ()


def _write_in(left: dict[str, Any], path: Path) -> Path:
    """Let the section that lacks the value at ``path`` pass with an empty table, list or text there."""
    *above, last = path[:-1]
    holder: Any = left
    for part in above:
        holder = holder[part]
    section, model = holder[last], model_at(path, left)
    if isinstance(section, BaseModel):
        return path
    assert model is not None
    required = {name: field.annotation for name, field in model.model_fields.items() if field.is_required()}
    empty = {name: _EMPTY.get(get_origin(annotation), str)() for name, annotation in required.items()}
    # pydantic takes an instance as it is.
    holder[last] = model.model_construct(**{**empty, **section})
    return path

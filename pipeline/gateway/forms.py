"""JSON objects with known members: quick when all is well, and else every wrong member named by its path."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from pipeline.gateway.problems import FieldError, HttpProblem
from pipeline.model.reasons import ProblemReason, Reason

T = TypeVar("T", bound=msgspec.Struct)

_NAME_SHOWN: Final = 40
"""Characters shown of a member's name that we do not know: it may be as long as the body."""
_WORDS: Final[Mapping[object, str]] = {
    str: "text",
    int: "a whole number, without fraction or exponent",
    bool: "true or false",
    list: "a list",
    dict: "an object of texts",
    datetime: "a time in RFC 3339 with its offset, such as 2026-01-02T03:04:05Z",
}


class Form(Generic[T]):
    """Reads JSON objects as a struct.

    A word that is none of an enumeration becomes its ``unknown``, as it does in Avro: what is wrong with it is then
    said where it is for records, in the same words.
    """

    def __init__(self, struct: type[T], *, refused: Mapping[str, str] | None = None) -> None:
        """``refused``: members that there are, but not here, and why."""
        self._struct = struct
        self._decoder = msgspec.json.Decoder(struct)
        self._refused = refused or {}
        self._required = [field.name for field in msgspec.structs.fields(struct) if field.required]

    def read(self, body: bytes) -> T:
        """All of it; raises HttpProblem 400 for what is no JSON object, 422 with every member that is wrong."""
        found, errors = self.read_part(body)
        if found is None or errors:
            raise invalid_fields(errors)
        return found

    def read_part(self, body: bytes) -> tuple[T | None, list[FieldError]]:
        """What could be read, without the members that are wrong; None when a required one is missing.

        Raises HttpProblem 400 for what is no JSON object.
        """
        try:
            return self._decoder.decode(body), []
        except msgspec.ValidationError:
            return self._examine(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _malformed() from None

    def _examine(self, body: bytes) -> tuple[T | None, list[FieldError]]:
        try:
            given = msgspec.json.decode(body)
        except msgspec.ValidationError:
            return None, [FieldError("", Reason.INVALID_FIELD, "The body holds a number out of any range.")]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # The quick way ended at the first wrong member; what is no JSON may come after it.
            raise _malformed() from None
        if not isinstance(given, dict):
            raise _malformed()
        right = {name: value for name, value in given.items() if name not in self._refused}
        missing = [name for name in self._required if name not in given]
        errors = [FieldError(name, Reason.MISSING_FIELD, f"{name}: is missing") for name in missing]
        for name in given:
            if name in self._refused:
                errors.append(invalid(name, self._refused[name]))
            else:
                errors += _checked(self._struct, right, name, "")
        whole = all(name in right for name in self._required)
        return (msgspec.convert(right, self._struct) if whole else None), errors


def invalid(field: str, problem: str) -> FieldError:
    """What is wrong with a member or parameter."""
    return FieldError(field, Reason.INVALID_FIELD, f"{field}: {problem}")


def invalid_fields(errors: Sequence[FieldError]) -> HttpProblem:
    """422 with the first reason, and all of them in ``errors``."""
    first = errors[0]
    return HttpProblem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        Reason(first.reason),
        detail=first.detail,
        errors=errors,
    )


def _malformed() -> HttpProblem:
    return HttpProblem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED_JSON)


def _checked(struct: type[msgspec.Struct], members: dict[str, Any], name: str, path: str) -> Iterator[FieldError]:
    """What is wrong with one member; it is taken away then, and mended where only a word of it is unknown."""
    hints = _hints(struct)
    field = path + name
    if name not in hints:
        del members[name]
        yield invalid(path + name[:_NAME_SHOWN], "is unknown; see the contract for what there is")
        return
    kind, bounds, nullable = _meant(hints[name])
    value = members[name]
    if value is None and nullable:
        return
    if isinstance(kind, type) and issubclass(kind, StrEnum) and isinstance(value, str):
        members[name] = value if value in kind.__members__.values() else "unknown"
        return
    item = get_args(kind)[0] if get_origin(kind) is list else None
    if item is not None and isinstance(value, list) and issubclass(item, msgspec.Struct):
        errors = [error for at, each in enumerate(value) for error in _checked_item(item, each, f"{field}[{at}]")]
        if errors:
            del members[name]
            yield from errors
        return
    try:
        msgspec.convert(value, hints[name])
    except msgspec.ValidationError:
        del members[name]
        yield invalid(field, f"must be {_words(kind, bounds)}" + (", or null" if nullable else ""))


def _checked_item(struct: type[msgspec.Struct], value: object, path: str) -> list[FieldError]:
    if not isinstance(value, dict):
        return [invalid(path, "must be an object")]
    return [error for name in list(value) for error in _checked(struct, value, name, f"{path}.")]


_known_hints: dict[type[msgspec.Struct], dict[str, Any]] = {}


def _hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    if struct not in _known_hints:
        _known_hints[struct] = get_type_hints(struct, include_extras=True)
    return _known_hints[struct]


def _meant(hint: Any) -> tuple[Any, msgspec.Meta | None, bool]:
    """What a member's type comes down to, its bounds, and whether it may be null."""
    nullable = False
    bounds = None
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
        nullable = True
    for extra in getattr(hint, "__metadata__", ()):
        bounds = extra if isinstance(extra, msgspec.Meta) else bounds
    return (get_args(hint)[0] if bounds is not None else hint), bounds, nullable


def _words(kind: Any, bounds: msgspec.Meta | None) -> str:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _WORDS[str]
    words = _WORDS[get_origin(kind) or kind]
    if bounds is None:
        return words
    if bounds.max_length is not None:
        return f"{words} of {bounds.min_length}-{bounds.max_length} characters"
    return words if bounds.le is None else f"{words}, of {bounds.ge}-{bounds.le}"

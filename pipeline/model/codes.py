"""Codes as people give and type them: the caller's own, and what somebody reads off a screen and enters."""

from __future__ import annotations

import hmac
import re
import unicodedata
from typing import Final

from pipeline.errors import Refused
from pipeline.model.reasons import Reason

SHORTEST: Final = 4
LONGEST: Final = 12
_OWN: Final = re.compile(r"[A-Za-z0-9]+")
_MAX_TYPED: Final = 64
# What people and autofill put between the digits; hyphens of every kind, dots and invisible marks.
_BETWEEN: Final = re.compile(r"[\s\-.\u00ad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060-\u2069\u2212\ufeff]+")


def normalise_typed(typed: str) -> str:
    """What the person meant: digits of any script as 0-9, letters as capitals, without what stands between.

    Two codes are the same when their normalised forms are. Text that can be no code (far too long, or with signs other
    than letters and digits) normalises to the empty string, which no code equals.
    """
    if len(typed) > _MAX_TYPED:
        return ""
    if typed.isascii() and typed.isalnum():
        return typed.upper()
    plain = _BETWEEN.sub("", unicodedata.normalize("NFKC", typed))
    plain = "".join(str(unicodedata.digit(sign)) if sign.isdigit() else sign for sign in plain)
    return plain.upper() if plain.isascii() and plain.isalnum() else ""


def bounded_typed(typed: str) -> str:
    """The typed text as it may be kept: unchanged, or empty when it is too long to be any code; both equal the same."""
    return typed if len(typed) <= _MAX_TYPED else ""


def same_code(one: str, other: str) -> bool:
    """Whether two codes are the same to a person; takes the same time wherever they differ. Two empty codes are not."""
    first, second = normalise_typed(one).encode(), normalise_typed(other).encode()
    return hmac.compare_digest(first, second) and bool(first)


def own_code(code: str, *, code_length: int | None, min_code_length: int, field: str = "code") -> str:
    """A caller's own code in ASCII, as typed; raises Refused ``invalid_code`` or ``invalid_code_length``.

    ``code_length`` is the request's, when given; ``min_code_length`` the tenant's.
    """
    # Only full-width and the like are folded: the person is sent exactly the letters the caller chose.
    plain = code if code.isascii() else unicodedata.normalize("NFKC", code)
    span = f"{max(SHORTEST, min_code_length)}-{LONGEST}"
    if not _OWN.fullmatch(plain):
        raise Refused(Reason.INVALID_CODE, f"{field}: use ASCII letters and digits only, {span} of them", field)
    if not SHORTEST <= len(plain) <= LONGEST:
        raise Refused(Reason.INVALID_CODE_LENGTH, f"{field}: has too few or too many characters; use {span}", field)
    if code_length is not None and len(plain) != code_length:
        raise Refused(
            Reason.INVALID_CODE_LENGTH,
            f"code_length: is not the length of {field}; leave it out or make them agree",
            field,
        )
    if len(plain) < min_code_length:
        raise Refused(
            Reason.INVALID_CODE_LENGTH,
            f"{field}: is shorter than the tenant's min_code_length; use {span} characters",
            field,
        )
    return plain


def wished_length(code_length: int | None, *, default: int, min_code_length: int) -> int:
    """The length of a code of ours; raises Refused ``invalid_code_length``."""
    length = default if code_length is None else code_length
    if not SHORTEST <= length <= LONGEST:
        raise Refused(
            Reason.INVALID_CODE_LENGTH,
            f"code_length: is out of range; use {max(SHORTEST, min_code_length)}-{LONGEST}",
            "code_length",
        )
    if length < min_code_length:
        raise Refused(
            Reason.INVALID_CODE_LENGTH,
            f"code_length: is less than the tenant's min_code_length; use {min_code_length}-{LONGEST}",
            "code_length",
        )
    return length

"""Message texts of callers and templates: which placeholders they may use, and filling them in."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from pipeline.errors import Refused
from pipeline.model.reasons import Reason

PLACEHOLDERS: Final = ("code", "brand", "minutes", "amount", "payee")
MAX_TEXT: Final = 1_600
"""Ten SMS segments; what the smallest limit among the providers with own texts allows."""
MAX_SUBJECT: Final = 200
PART: Final = re.compile(r"\{([^{}]*)\}")


def check_text(
    text: str, *, field: str, brand: bool, payment: bool, required: bool = True, longest: int = MAX_TEXT
) -> str:
    """A text that can be rendered; raises Refused ``invalid_text``.

    ``brand`` and ``payment`` say whether the request gives what ``{brand}`` and ``{amount} {payee}`` need; with
    ``required`` the text must show ``{code}`` one to three times (repeating it is for spoken text), else not at all.
    """

    def refuse(problem: str) -> Refused:
        return Refused(Reason.INVALID_TEXT, f"{field}: {problem}", field)

    if not text.strip():
        raise refuse("is empty; leave it out or write a text with {code}")
    if len(text) > longest:
        raise refuse(f"has {len(text)} characters; use at most {longest}")
    if any((sign < " " and sign not in "\n\t") or sign == "\x7f" for sign in text):
        raise refuse("holds control characters; remove them")
    used = placeholders(text)
    if text.count("{") != len(used) or text.count("}") != len(used):
        raise refuse("has a brace without its partner; braces are only for placeholders")
    if any(name not in PLACEHOLDERS for name in used):
        raise refuse("uses a placeholder that does not exist; there are {code} {brand} {minutes} {amount} {payee}")
    codes = used.count("code")
    if required and not 1 <= codes <= 3:
        raise refuse(f"shows {{code}} {codes} times; show it one to three times")
    if not required and codes:
        raise refuse("shows {code}; only the text may, as previews and logs show the rest")
    if problem := missing_values(used, brand=brand, payment=payment):
        raise refuse(problem)
    return text


def placeholders(text: str) -> list[str]:
    """The names of a text's placeholders, in order, as often as they stand there."""
    return PART.findall(text)


def missing_values(used: Collection[str], *, brand: bool, payment: bool) -> str | None:
    """What is wrong when a text with these placeholders is to be sent for a request; None when it has every value."""
    if "brand" in used and not brand:
        return "uses {brand}, but neither the request nor the tenant has a brand"
    if ("amount" in used or "payee" in used) and not payment:
        return "uses {amount} or {payee}, but the request gives none"
    return None


def render(text: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders in one pass, so that a value that looks like one stays as it is.

    Raises KeyError for a placeholder without a value: :func:`check_text` has ruled that out.
    """
    return PART.sub(lambda part: values[part[1]], text)

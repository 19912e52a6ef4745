"""The reference an attempt carries at its provider, and the way back from it.

It begins with the caller's own verification id, so that both sides can reconcile, and ends with a piece of the
decision, so that an id used again after its horizon never meets receipts of its former life.
"""

from __future__ import annotations

import base64
import re
from typing import Final, NamedTuple

REFERENCE_HEADER: Final = "reference"
"""Header of delivery reports: the full reference of the message reported on."""
_DECISION_CHARACTERS: Final = 6
_DECISION_DIGITS: Final = 10
"""Hex digits those are made of: five bytes are eight characters of base32 without padding."""
_REFERENCE: Final = re.compile(r"([A-Za-z0-9_-]{1,48})_([1-9][0-9]{0,5})_([a-z2-7]{6})", re.ASCII)


class Reference(NamedTuple):
    """What a reference says: whose attempt it is, and of which decision."""

    verification_id: str
    attempt_id: str
    decision: str
    """The first six lower-case base32 characters of the decision id's bytes."""


def reference(verification_id: str, n: int, decision_id: str) -> str:
    """The reference of attempt ``n`` (from 1) made under ``decision_id`` (hex, at least 4 bytes)."""
    characters = base64.b32encode(bytes.fromhex(decision_id[:_DECISION_DIGITS])).decode().lower()[:_DECISION_CHARACTERS]
    return f"{verification_id}_{n}_{characters}"


def told_reference(header: bytes | None) -> str | None:
    """What the header :data:`REFERENCE_HEADER` says; None without one."""
    return None if header is None else header.decode("utf-8", "replace")


def parse_reference(text: str) -> Reference | None:
    """Read a reference back; None when it is not one of ours (another system on the same provider account).

    Neither a number nor base32 holds an underscore, so the last two separators are certain although the
    verification id may hold any number of them.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    verification_id, n, decision = found.groups()
    return Reference(verification_id, f"{verification_id}.{n}", decision)

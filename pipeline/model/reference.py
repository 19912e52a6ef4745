"""The reference an attempt carries at its provider, and the way back from it.

It begins with the caller's own verification id, so that both sides can reconcile, and ends with a piece of the
decision, so that an id used again after its horizon never meets receipts of its former life.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

REFERENCE_HEADER: Final = "reference"
"""Header of delivery reports: the full reference of the message reported on."""
_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_DECISION_DIGITS: Final = 10
"""Hex digits its six characters of base32 are taken from."""
_PAIRS: Final = [first + second for first in _BASE32 for second in _BASE32]
"""Ten bits as two characters: a sixth of the cost of ``base64.b32encode``, which pads and looks for its alphabet."""
_REFERENCE: Final = re.compile(r"([A-Za-z0-9_-]{1,48})_([1-9][0-9]{0,5})_([a-z2-7]{6})", re.ASCII)


class Reference(NamedTuple):
    """What a reference says: whose attempt it is, and of which decision."""

    verification_id: str
    attempt_id: str
    decision: str
    """The first six lower-case base32 characters of the decision id's bytes."""


def reference(verification_id: str, n: int, decision_id: str) -> str:
    """The reference of attempt ``n`` (from 1) made under ``decision_id`` (hex, at least 4 bytes)."""
    bits = int(decision_id[:_DECISION_DIGITS].ljust(_DECISION_DIGITS, "0"), 16)
    return f"{verification_id}_{n}_{_PAIRS[bits >> 30]}{_PAIRS[bits >> 20 & 1023]}{_PAIRS[bits >> 10 & 1023]}"


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

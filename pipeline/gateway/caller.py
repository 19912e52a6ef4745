"""Who sent a request, as its API key says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["start", "check", "read", "manage"]
"""What an API key may do: start verifications, check codes, read, and manage (resend, fail over, cancel)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The holder of an API key."""

    name: str
    """Of the key."""
    tenant: str
    """Whose verifications it starts and sees."""
    scopes: frozenset[str]

"""What a verdict consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it must be."""

    name: str
    """The verification id, or what else it is about."""
    kind: str
    problem: str

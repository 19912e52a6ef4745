"""Verify objects of ThunderSMS, and how its API and its webhooks show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.simulator.providers.thundersms.fields import Channel, Start

ARRIVED: Final = frozenset({"DELIVRD", "ANSWER", "delivered", "read"})
_SEARCHED: Final = {"DELIVRD": "delivered", "UNDELIV": "failed"}
"""A search shows ``failed`` for an SMS; the codes of its report are shown for what has no such word."""


def shown_time(time_ms: int) -> str:
    """``2026-01-15 09:30:11``: no zone."""
    return datetime.fromtimestamp(time_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(slots=True, kw_only=True)
class Leg:
    """One message of a verify object."""

    id: str
    event_id: str
    channel: Channel
    created_ms: int
    status: str = "sent"

    @property
    def arrived(self) -> bool:
        """Whether the person has it."""
        return self.status in ARRIVED

    def shown(self) -> dict[str, Any]:
        """As a search lists it."""
        return {
            "id": self.id,
            "to": self.channel.to,
            "from": self.channel.sender,
            "channel": self.channel.name,
            "event_id": self.event_id,
            "created_at": shown_time(self.created_ms),
            "status": _SEARCHED.get(self.status, self.status),
        }


@dataclass(slots=True, kw_only=True)
class Verify:
    """One request to verify somebody."""

    id: str
    account: str
    start: Start
    code: str
    created_ms: int
    legs: list[Leg] = field(default_factory=list)
    """Those that were begun."""
    verified: bool = False
    deleted: bool = False

    @property
    def expires_ms(self) -> int:
        """When its code dies."""
        return self.created_ms + self.start.timeout_s * 1_000

    def status(self, now_ms: int) -> str:
        """Of the whole."""
        if self.verified or self.deleted:
            return "verified" if self.verified else "deleted"
        if now_ms >= self.expires_ms:
            return "expired"
        over = len(self.legs) == len(self.start.channels)
        return "failed" if over and all(leg.status not in ("sent", *ARRIVED) for leg in self.legs) else "sent"

    def started(self, *, old_style: bool) -> dict[str, Any]:
        """The answer to its start; older deployments name the recipient and call the reference so."""
        times = {"created_at": shown_time(self.created_ms), "expire_at": shown_time(self.expires_ms)}
        if old_style:
            first = self.start.channels[0]
            return {"id": self.id, "to": first.to, "reference": self.start.foreign_id, "status": "sent"} | times
        return {"id": self.id, "status": "sent", "foreign_id": self.start.foreign_id} | times

    def shown(self, now_ms: int) -> dict[str, Any]:
        """The answer to a search."""
        return self.started(old_style=True) | {
            "status": self.status(now_ms),
            "channels": [leg.shown() for leg in self.legs],
        }

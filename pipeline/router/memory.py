"""What the router remembers of a recipient, as pure changes of its entry.

Guesses are reserved: whoever starts many verifications for one recipient at once would otherwise get ``max_checks``
guesses in each of them before the first wrong one is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.records.router_state import RecentFailures, RecentRoute, ReservedChecks, RouterState, SeenRequest
from pipeline.records.types import Channel

RESERVATION_SLACK_MS: Final = 3_600_000
"""How long past its last possible check a verification may stay open (late receipts, a stopped tracker)."""


ROUTES_KEPT: Final = 32
"""Routes remembered per recipient, the newest: senders are the caller's, so there may be one more with each request."""


def id_key(verification_id: str) -> bytes:
    """State key of an id."""
    return b"id:" + verification_id.encode()


def recipient_state_key(recipient_key: str) -> bytes:
    """State key of a recipient, from its tenant-free hash."""
    return b"to:" + recipient_key.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """How long things are remembered (ms) and how many wrong codes a recipient may have within the window."""

    id_horizon_ms: int
    repeat_window_ms: int
    failures_window_ms: int
    max_failures: int

    def seen(self, content_hash: str, decision_id: str, now_ms: int) -> RouterState:
        """The entry of an id that was just decided."""
        return RouterState(
            seen=SeenRequest(content_hash=content_hash, decision_id=decision_id, seen_at=now_ms),
            keep_until_at=now_ms + self.id_horizon_ms,
        )

    def of_recipient(self, entry: RouterState | None, now_ms: int) -> RouterState:
        """A recipient's entry without what is out of its window."""
        if entry is None:
            return RouterState()
        return self._kept(
            routes=[route for route in entry.routes if route.used_at + self.repeat_window_ms > now_ms],
            failures=[one for one in entry.failures if one.failed_at + self.failures_window_ms > now_ms],
            reserved=[one for one in entry.reserved if one.until_at > now_ms],
        )

    def checks_left(self, entry: RouterState) -> int:
        """How many guesses a new verification of this recipient may still be given; may be negative."""
        failed = sum(one.failed_checks for one in entry.failures)
        return self.max_failures - failed - sum(one.checks for one in entry.reserved)

    def reserve(self, entry: RouterState, reservation: ReservedChecks) -> RouterState:
        """Take guesses for a verification that starts."""
        others = [one for one in entry.reserved if one.verification_id != reservation.verification_id]
        return self._kept(routes=entry.routes, failures=entry.failures, reserved=[*others, reservation])

    def close(self, entry: RouterState, verification_id: str, failed_checks: int, now_ms: int) -> RouterState:
        """Return a verification's guesses and count its wrong ones; doing so again changes nothing."""
        failures = entry.failures
        if failed_checks > 0:
            before = max((one.failed_checks for one in failures if one.verification_id == verification_id), default=0)
            failures = [one for one in failures if one.verification_id != verification_id]
            failures.append(
                RecentFailures(
                    verification_id=verification_id, failed_checks=max(before, failed_checks), failed_at=now_ms
                )
            )
        reserved = [one for one in entry.reserved if one.verification_id != verification_id]
        return self._kept(routes=entry.routes, failures=self._decisive(failures), reserved=reserved)

    def _decisive(self, failures: list[RecentFailures]) -> list[RecentFailures]:
        """The newest failures that reach the limit; older ones leave the window first and change nothing before."""
        kept: list[RecentFailures] = []
        total = 0
        for one in sorted(failures, key=lambda one: one.failed_at, reverse=True):
            if total >= self.max_failures:
                break
            kept.append(one)
            total += one.failed_checks
        return kept[::-1]

    def use_route(
        self, entry: RouterState, channel: Channel, provider: str, sender: str | None, now_ms: int
    ) -> RouterState:
        """Remember the route a recipient was just served by."""
        others = [
            route
            for route in entry.routes
            if (route.channel, route.provider, route.sender) != (channel, provider, sender)
        ]
        used = RecentRoute(channel=channel, provider=provider, sender=sender, used_at=now_ms)
        return self._kept(routes=[*others, used][-ROUTES_KEPT:], failures=entry.failures, reserved=entry.reserved)

    def _kept(
        self, *, routes: list[RecentRoute], failures: list[RecentFailures], reserved: list[ReservedChecks]
    ) -> RouterState:
        ends = [route.used_at + self.repeat_window_ms for route in routes]
        ends += [one.failed_at + self.failures_window_ms for one in failures]
        ends += [one.until_at for one in reserved]
        return RouterState(routes=routes, failures=failures, reserved=reserved, keep_until_at=max(ends, default=0))


def recent_routes(entry: RouterState, channel: Channel) -> Sequence[tuple[str, str | None]]:
    """``(provider, sender)`` of a channel's remembered routes, the one used longest ago first."""
    routes = sorted((route for route in entry.routes if route.channel is channel), key=lambda route: route.used_at)
    return [(route.provider, route.sender) for route in routes]


def is_empty(entry: RouterState) -> bool:
    """Whether a recipient's entry holds nothing worth writing."""
    return entry.seen is None and not (entry.routes or entry.failures or entry.reserved)

"""Delivery reports that came after the final outcome, joined to the verification as the API shows it.

The tracker writes no outcome after the final one, so what providers report later would be seen by nobody who asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson

from pipeline.model import delivery
from pipeline.model.reasons import Reason
from pipeline.readmodel.view import rfc3339
from pipeline.records.types import AttemptStatus

EARLIER_LIFE_MS: Final = 600_000
"""A report written this long before a verification was requested is of another, whose id was free again: more than a
caller's clock may be ahead (5 min), less than the shortest id horizon. Attempts of both have the same names."""


class Late(NamedTuple):
    """One report of one attempt."""

    attempt_id: str
    provider: str
    reference: str | None
    """Of the message reported on; None when its writer did not tell."""
    status: AttemptStatus
    reason: str | None
    occurred_at: int
    """Epoch milliseconds; believed already (``pipeline.model.told_time``)."""
    cost: str | None
    currency: str | None
    recorded_at: int
    """Of its record; epoch milliseconds."""

    @property
    def named(self) -> delivery.Named:
        """The attempt it names."""
        return delivery.Named(self.attempt_id, self.provider, self.reference)


def merged(view: bytes, reports: Iterable[Late]) -> bytes:
    """The view with every report that tells more of an attempt than it does; the attempts' states only ever rise."""
    shown = orjson.loads(view)
    changed = False
    # One with a reference and one without may tell of the same attempt: the lower first, as each may add to it.
    for report in sorted(
        reports, key=lambda each: (delivery.RANK[each.status], each.occurred_at, each.reference or "")
    ):
        attempt = _attempt_of(shown, report)
        if attempt is not None:
            _join(attempt, report)
            changed = True
    return orjson.dumps(shown) if changed else view


def is_needless(view: bytes, report: Late, *, is_final: bool) -> bool:
    """Whether the report need not be kept: :func:`merged` would not show it, now or after the final outcome."""
    shown = orjson.loads(view)
    if _is_of_earlier_life(shown, report):
        # At once, as a report of this life that tells less could not take its place.
        return True
    if is_final:
        return _attempt_of(shown, report) is None
    named = _named(shown, report)
    return named is not None and not _tells_more(report, named)


def _attempt_of(shown: dict[str, Any], report: Late) -> dict[str, Any] | None:
    """The attempt that a report tells something new of."""
    attempt = _named(shown, report)
    if attempt is None or not _tells_more(report, attempt):
        return None
    return None if report.status in delivery.NEGATIVE and _may_walk_on(shown, attempt) else attempt


def _is_of_earlier_life(shown: dict[str, Any], report: Late) -> bool:
    created_at: str = shown["created_at"]
    return rfc3339(report.recorded_at + EARLIER_LIFE_MS) < created_at


def _named(shown: dict[str, Any], report: Late) -> dict[str, Any] | None:
    if _is_of_earlier_life(shown, report):
        return None
    for attempt in shown["attempts"]:
        named = delivery.Named(attempt["attempt_id"], attempt["provider"], attempt["reference"])
        if delivery.is_of(report.named, named):
            found: dict[str, Any] = attempt
            return found
    return None


def _tells_more(report: Late, attempt: dict[str, Any]) -> bool:
    return delivery.RANK[report.status] > delivery.RANK[AttemptStatus(attempt["status"])]


def _may_walk_on(shown: dict[str, Any], attempt: dict[str, Any]) -> bool:
    """Whether the attempt may stand for several steps.

    Its provider then goes on by itself, so that a failure is one of its channels only. An outcome does not say so
    outright, but the next step has the same provider and no attempt of its own.
    """
    following = attempt["step_index"] + 1
    return any(
        step["index"] == following and step["provider"] == attempt["provider"] for step in shown["steps"]
    ) and all(other["step_index"] != following for other in shown["attempts"])


def _join(attempt: dict[str, Any], report: Late) -> None:
    attempt["status"] = report.status
    if report.status in delivery.DELIVERED:
        occurred_at = rfc3339(report.occurred_at)
        attempt["delivered_at"] = min(attempt["delivered_at"] or occurred_at, occurred_at)
        attempt["reason"] = None
    elif report.status in delivery.NEGATIVE:
        attempt["reason"] = delivery.known_reason(report.reason) or Reason.UNDELIVERED
    if delivery.is_dearer(report.cost, report.currency, shown_cost=attempt["cost"], shown_currency=attempt["currency"]):
        attempt["cost"], attempt["currency"] = report.cost, report.currency

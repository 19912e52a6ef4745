"""How delivery reports of one attempt are joined: the tracker and the read model must judge them alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from pipeline.model.reasons import Reason
from pipeline.model.reference import parse_reference
from pipeline.records.types import AttemptStatus

RANK: Final[Mapping[AttemptStatus, int]] = {
    AttemptStatus.UNKNOWN: 0,
    AttemptStatus.NONE: 0,
    AttemptStatus.QUEUED: 1,
    AttemptStatus.SENT: 2,
    AttemptStatus.EXPIRED: 3,
    AttemptStatus.FAILED: 4,
    AttemptStatus.UNDELIVERED: 5,
    # Networks do report "undelivered" first and deliver on a later try.
    AttemptStatus.DELIVERED: 6,
    AttemptStatus.READ: 7,
}
"""Of two reports of one attempt the higher counts, in whatever order they come."""

NEGATIVE: Final = frozenset((AttemptStatus.EXPIRED, AttemptStatus.FAILED, AttemptStatus.UNDELIVERED))
"""The message did not reach the person."""

DELIVERED: Final = frozenset((AttemptStatus.DELIVERED, AttemptStatus.READ))
"""The message reached the person's device."""

_DECIMAL: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_REASONS: Final = frozenset(Reason)


class Named(NamedTuple):
    """What tells an attempt from all others: as outcomes show it, or as a report names it."""

    attempt_id: str
    provider: str
    reference: str | None
    """Of a report None when its writer did not tell; an attempt always has one."""


def is_of(report: Named, attempt: Named) -> bool:
    """Whether a report tells of this attempt.

    Two decisions can exist for one id, and the attempts of both have the same names, maybe at the same provider: only
    the reference tells whose message it is. Believed, a report of the one that lost would call a message delivered
    that never was.
    """
    same = (report.attempt_id, report.provider) == (attempt.attempt_id, attempt.provider)
    return same and report.reference in (None, attempt.reference)


def is_sound(report: Named) -> bool:
    """Whether the reference, if any, is one of the attempt reported on; anybody may write to this topic."""
    if report.reference is None:
        return True
    parsed = parse_reference(report.reference)
    return parsed is not None and parsed.attempt_id == report.attempt_id


def known_reason(reason: str | None) -> str | None:
    """Only words of the closed list go into outcomes and metrics."""
    return reason if reason is None or reason in _REASONS else Reason.PROVIDER_ERROR


def is_dearer(cost: str | None, currency: str | None, *, shown_cost: str | None, shown_currency: str | None) -> bool:
    """Whether a cost as told replaces the one shown.

    The highest cost told for the attempt, in the currency told first: an estimate and its receipt add to nothing.
    """
    if not cost or not currency or not _DECIMAL.fullmatch(cost) or not _CURRENCY.fullmatch(currency):
        return False
    return shown_cost is None or (currency == shown_currency and Decimal(cost) > Decimal(shown_cost))

"""How delivery reports of one attempt are joined: the tracker and the read model must judge them alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from pipeline.model.reasons import Reason
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

"""The answers that every provider's table is made of."""

from __future__ import annotations

from dataclasses import replace

from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, ResultClass
from pipeline.senders.provider import Answer


def in_doubt(detail: str, *, unmapped: bool = False) -> Answer:
    """Nobody knows whether the provider took it."""
    return Answer(result=AttemptResult.IN_DOUBT, reason=Reason.IN_DOUBT, detail=detail, unmapped=unmapped)


def rejected(kind: ResultClass, reason: Reason) -> Answer:
    """A definite no."""
    return Answer(result=AttemptResult.REJECTED, result_class=kind, reason=reason)


def not_sent(reason: Reason = Reason.ROUTE_UNAVAILABLE, detail: str | None = None) -> Answer:
    """Certainly nothing went out; another provider may try at once."""
    return Answer(result=AttemptResult.NOT_SENT, result_class=ResultClass.ROUTE, reason=reason, detail=detail)


def throttled(retry_after_s: float = 1.0, *, pauses_provider: bool = True) -> Answer:
    """Certainly nothing went out; the same attempt asks again after a while."""
    return replace(
        not_sent(Reason.THROTTLED), throttled=True, retry_after_s=retry_after_s, pauses_provider=pauses_provider
    )


def judged(valid: bool) -> Answer:
    """A verdict on a typed code."""
    return Answer(result=AttemptResult.ACCEPTED, valid=valid)


NOT_FOUND = Answer(result=AttemptResult.IN_DOUBT, reason=Reason.IN_DOUBT, not_found=True)
"""A look-up that found no message."""
DONE = Answer(result=AttemptResult.ACCEPTED)
"""A report or a cancel that the provider took."""

"""What records become in the database: pure, so that a fold from the first record gives the same rows at any time."""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.model import delivery
from pipeline.model.told_time import plausible
from pipeline.readmodel.late import Late
from pipeline.readmodel.view import to_json
from pipeline.records.public import DeliveryStatus, VerificationOutcome
from pipeline.records.types import AttemptStatus

LISTED_CHARS: Final = 256
"""Longest text that lists are filtered by: no external id or job id of ours comes near."""


class Row(NamedTuple):
    """One verification; the columns of the table ``verifications`` in their order."""

    id: str
    tenant: str
    version: int
    state: str
    is_final: bool
    external_id: str | None
    job_id: str | None
    created_at: int
    updated_at: int
    expires_at: int
    view: bytes

    @property
    def age(self) -> tuple[int, int]:
        """Of two rows of one id the higher counts, in whatever order they come.

        By the version, within one life of the id: ids may be used again after the id horizon, and a later life begins
        anew with version 1. All versions of a life have one creation time.
        """
        return (self.created_at, self.version)


class DeliveryRow(NamedTuple):
    """One report; the columns of the table ``deliveries`` in their order."""

    verification_id: str
    attempt_id: str
    provider: str
    reference: str
    """Empty where the report named none."""
    status: str
    rank: int
    reason: str | None
    occurred_at: int
    recorded_at: int
    cost: str | None
    currency: str | None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Of two reports of one key the one with the higher rank counts."""
        return (self.verification_id, self.attempt_id, self.provider, self.reference)


def outcome_row(outcome: VerificationOutcome) -> Row:
    """The row of an outcome."""
    return Row(
        id=outcome.verification_id,
        tenant=outcome.tenant,
        version=outcome.version,
        state=outcome.state.value,
        is_final=outcome.is_final,
        external_id=_listed(outcome.external_id),
        job_id=_listed(outcome.job_id),
        created_at=outcome.created_at,
        updated_at=outcome.updated_at,
        expires_at=outcome.expires_at,
        view=to_json(outcome),
    )


def _listed(text: str | None) -> str | None:
    """What a list can be filtered by; longer than any filter may be it is only shown, as no index could hold it."""
    return text if text is None or len(text) <= LISTED_CHARS else None


def delivery_row(status: DeliveryStatus, recorded_at: int, reference: str | None) -> DeliveryRow | None:
    """The row of a report; None when it tells nothing, or of no attempt there can be.

    ``recorded_at`` is the time of its record, ``reference`` that of the message reported on, when its writer told it.

    It occurred when the tracker would say so: the first plausible time told, else that of the record.
    """
    rank = delivery.RANK[status.status]
    if rank == 0 or not delivery.is_sound(delivery.Named(status.attempt_id, status.provider, reference)):
        return None
    told = (plausible(at, received_at=recorded_at) for at in (status.occurred_at, status.received_at))
    return DeliveryRow(
        verification_id=status.verification_id,
        attempt_id=status.attempt_id,
        provider=status.provider,
        reference=reference or "",
        status=status.status.value,
        rank=rank,
        reason=delivery.known_reason(status.reason),
        occurred_at=next((at for at in told if at is not None), recorded_at),
        recorded_at=recorded_at,
        cost=status.cost,
        currency=status.currency,
    )


def late(row: DeliveryRow) -> Late:
    """The report of a row."""
    return Late(
        row.attempt_id,
        row.provider,
        row.reference or None,
        AttemptStatus(row.status),
        row.reason,
        row.occurred_at,
        row.cost,
        row.currency,
        row.recorded_at,
    )


class Folding:
    """Records of one batch, reduced to what is to be written: per verification and per attempt only what counts."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.reports: dict[tuple[str, str, str, str], DeliveryRow] = {}

    def add(
        self, record: VerificationOutcome | DeliveryStatus, *, recorded_at: int, reference: str | None = None
    ) -> None:
        """Take one more record, in the order of its partition.

        ``recorded_at`` is its time in the log, ``reference`` what a report's header says.
        """
        if isinstance(record, VerificationOutcome):
            known = self.rows.get(record.verification_id)
            if known is None or (record.created_at, record.version) > known.age:
                self.rows[record.verification_id] = outcome_row(record)
        elif (told := delivery_row(record, recorded_at, reference)) is not None:
            before = self.reports.get(told.key)
            if before is None or told.rank > before.rank:
                self.reports[told.key] = told

    def __bool__(self) -> bool:
        return bool(self.rows or self.reports)

"""What the contract tests need of a read model, whatever keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from pipeline.readmodel.ports import ApiKeys, Begun, Ledger, Start, Verifications
from pipeline.readmodel.view import to_json
from pipeline.records.public import Attempt, DeliveryStatus, StepView, VerificationOutcome
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, VerificationState

NOW = 1_763_769_600_000
HOUR = 3_600_000
HORIZON_MS = 48 * HOUR


class ReadModelUnderTest(Protocol):
    """One gateway's view of a database."""

    @property
    def ledger(self) -> Ledger: ...
    @property
    def verifications(self) -> Verifications: ...
    @property
    def api_keys(self) -> ApiKeys: ...

    async def fold(self, *records: VerificationOutcome | DeliveryStatus, reference: str | None = None) -> None:
        """Fold records as the projector does; records of one call are one batch, ``reference`` is of its reports."""

    async def another(self) -> ReadModelUnderTest:
        """A second gateway with connections of its own to the same database."""

    async def away(self) -> None:
        """From now on the database does not answer."""


def attempt(verification_id: str, n: int = 1, **changes: Any) -> Attempt:
    told: dict[str, Any] = {
        "attempt_id": f"{verification_id}.{n}",
        "step_index": n - 1,
        "channel": Channel.SMS,
        "provider": "ycloud",
        "reference": f"{verification_id}_{n}_abcdef",
        "result": AttemptResult.ACCEPTED,
        "status": AttemptStatus.SENT,
        "sent_at": NOW + 100,
    }
    return Attempt(**(told | changes))


def outcome(verification_id: str, version: int = 1, **changes: Any) -> VerificationOutcome:
    """An outcome of the tenant ``acme`` with one sent attempt."""
    told: dict[str, Any] = {
        "verification_id": verification_id,
        "version": version,
        "tenant": "acme",
        "state": VerificationState.SENT,
        "recipient_masked": "+49*******678",
        "recipient_hash": "ab" * 16,
        "steps": [StepView(index=0, channel=Channel.SMS, provider="ycloud")],
        "attempts": [attempt(verification_id)] if version else [],
        "code_length": 6,
        "checks_left": 3,
        "max_checks": 3,
        "created_at": NOW,
        "updated_at": NOW + version,
        "expires_at": NOW + 300_000,
    }
    return VerificationOutcome(**(told | changes))


def final(verification_id: str, version: int = 2, **changes: Any) -> VerificationOutcome:
    return outcome(verification_id, version, **({"state": VerificationState.VERIFIED, "is_final": True} | changes))


def report(verification_id: str, n: int = 1, **changes: Any) -> DeliveryStatus:
    told: dict[str, Any] = {
        "verification_id": verification_id,
        "attempt_id": f"{verification_id}.{n}",
        "provider": "ycloud",
        "status": AttemptStatus.DELIVERED,
        "occurred_at": NOW + 5_000,
        "received_at": NOW + 5_100,
    }
    return DeliveryStatus(**(told | changes))


def start(verification_id: str, *, key: str | None = None, body: str = "body", **changes: Any) -> Start:
    """A start as a gateway makes it; ``key`` and ``body`` stand for those of the HTTP request."""
    begun = None if key is None else Begun(key, body)
    pending = outcome(verification_id, 0, state=VerificationState.PENDING)
    told: dict[str, Any] = {
        "verification_id": verification_id,
        "tenant": "acme",
        "content_hash": "content",
        "state": VerificationState.PENDING,
        "external_id": None,
        "created_at": NOW,
        "expires_at": NOW + 300_000,
        "view": to_json(pending),
        "begun": begun,
    }
    return Start(**(told | changes))


def ids(views: Sequence[bytes]) -> list[str]:
    return [orjson.loads(view)["verification_id"] for view in views]


def shown(view: bytes | None) -> dict[str, Any]:
    assert view is not None
    found: dict[str, Any] = orjson.loads(view)
    return found

"""``POST /v1/verifications``: from a body to a record in Kafka, refusing at once what the router would refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from pipeline import topics
from pipeline.clock import Clock, Seldom
from pipeline.errors import PipelineError, Refused
from pipeline.gateway import bodies
from pipeline.gateway.caller import Caller
from pipeline.gateway.door import RETRY_AFTER_S
from pipeline.gateway.forms import invalid_fields
from pipeline.gateway.idempotency import IdempotencyKey, read_key
from pipeline.gateway.problems import FieldError, HttpProblem
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.reports import Encoder
from pipeline.gateway.trace import trace_of
from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.keys import KeyRing, seal_public
from pipeline.model.reasons import ProblemReason, Reason
from pipeline.model.validate import Planned, Validator
from pipeline.readmodel.ports import Known, Ledger, Start, Started
from pipeline.readmodel.view import to_json
from pipeline.records.public import VerificationRequest
from pipeline.records.tracker_state import TrackerState
from pipeline.records.types import VerificationState
from pipeline.router.content import content_hash
from pipeline.runtime.api import Emit, Headers
from pipeline.settings import Settings
from pipeline.tracker.outcome import build

LOCATION: Final = "/v1/verifications/"
ACK_BY: Final = "ack_by"
"""Header of a request's record: epoch milliseconds, decimal. Appended later, it is ended by the router unsent."""
_FROM_ABSENCE: Final = (Reason.MISSING_FIELD, Reason.NO_CHANNEL)

_log = structlog.get_logger("gateway")


def planning(*, settings: Settings, key_ring: KeyRing, providers: Mapping[str, ProviderCapabilities]) -> Validator:
    """The router's own rules, without what only a router needs: nothing is sealed, no place is computed."""
    return Validator(
        key_ring=key_ring,
        tenants=settings.tenants,
        policy=settings.policy,
        providers=providers,
        place=lambda canonical: 0,
        test_numbers=settings.test_numbers,
        templates=settings.templates,
        seals=False,
    )


class Starts:
    """Starts verifications."""

    def __init__(
        self,
        *,
        validator: Validator,
        key_ring: KeyRing,
        ledger: Ledger,
        publisher: Publisher,
        encoder: Encoder,
        clock: Clock,
        new_id: Callable[[], str],
        produce_timeout_s: float,
        max_body_bytes: int,
    ) -> None:
        """``validator`` of :func:`planning`; ``new_id`` makes verification ids nobody can guess."""
        self._validator = validator
        self._key_ring = key_ring
        self._ledger = ledger
        self._publisher = publisher
        self._encoder = encoder
        self._clock = clock
        self._new_id = new_id
        self._produce_timeout_ms = round(produce_timeout_s * 1_000)
        self._max_body_bytes = max_body_bytes
        self._seldom = Seldom()

    async def start(self, request: Request, caller: Caller) -> Response:
        """202 once Kafka has it; raises HttpProblem and ReadModelUnavailable."""
        body = await bodies.read_raw(request, self._max_body_bytes)
        key = read_key(request, caller, self._key_ring)
        started = bodies.start_body(body)
        now_ms = self._clock.now_ms()
        given = started.verification_id
        wanted = started.request(
            verification_id=given if given is not None else key.verification_id if key else self._new_id(),
            tenant=caller.tenant,
            requested_at=now_ms,
        )
        planned = self._validator.plan(wanted, bulk=False, recorded_at=now_ms, partition=0)
        if planned.refusals or started.errors:
            raise invalid_fields(_all_errors(started, planned))
        known = await self._ledger.start(self._entry(wanted, planned, body, key, now_ms))
        if known.known is Known.CONFLICT:
            raise HttpProblem(HTTPStatus.CONFLICT, ProblemReason.ID_CONFLICT)
        if known.known is Known.KEY_REUSED:
            raise HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, ProblemReason.IDEMPOTENCY_KEY_REUSED)
        if known.version == 0:
            # Also when it was seen before: whoever asked then may have been told 503, and Kafka may never have had it.
            repeatable = given is not None or key is not None
            ack_by_at = None if repeatable else now_ms + self._produce_timeout_ms
            await self._publish(self._emit(wanted, planned, request, ack_by_at))
        return _accepted(wanted.verification_id, known)

    def _entry(
        self, wanted: VerificationRequest, planned: Planned, body: bytes, key: IdempotencyKey | None, now_ms: int
    ) -> Start:
        state = TrackerState(verification_id=wanted.verification_id, plan=planned.plan, updated_at=now_ms)
        first = build(state)
        return Start(
            verification_id=wanted.verification_id,
            tenant=wanted.tenant,
            content_hash=content_hash(wanted, self._key_ring, self._validator),
            state=VerificationState.PENDING,
            external_id=wanted.external_id,
            created_at=first.created_at,
            expires_at=first.expires_at,
            view=to_json(first),
            begun=None if key is None else key.begun(body),
        )

    async def _publish(self, emit: Emit) -> None:
        try:
            await self._publisher.publish_one(emit)
        except PipelineError as error:
            if (left_out := self._seldom.passes(self._clock.monotonic_s())) is not None:
                _log.warning("start_not_written", error=type(error).__name__, cause=str(error), left_out=left_out)
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                ProblemReason.LOG_UNAVAILABLE,
                headers={"Retry-After": RETRY_AFTER_S},
            ) from None

    def _emit(self, wanted: VerificationRequest, planned: Planned, request: Request, ack_by_at: int | None) -> Emit:
        """``ack_by_at`` only for an id that was made at random.

        A caller who is told 503 asks again. With an id that it can repeat the second record is the first one's
        duplicate, whichever comes first, and a first one ended for being late would take the second with it. With a
        new random id they are two verifications, and the late one would send a message that nobody waits for.
        """
        record = wanted
        if wanted.code is not None:
            sealed = seal_public(
                self._key_ring.public_key(), wanted.code, verification_id=wanted.verification_id, field="code"
            )
            record = replace(wanted, code=None, code_sealed=sealed)
        headers: Headers = (*self._encoder.headers(record), *trace_of(request))
        if ack_by_at is not None:
            headers = (*headers, (ACK_BY, str(ack_by_at).encode()))
        assert planned.key is not None, "without one it would have been refused"
        key = planned.key.canonical.encode()
        return Emit(topic=topics.REQUESTS, key=key, value=self._encoder.encode(record), headers=headers)


def _all_errors(started: bodies.Started, planned: Planned) -> list[FieldError]:
    """What is wrong with the body, and what the router would refuse of the rest.

    Fields that are wrong were left out for the router's rules, so nothing that follows from their absence is told.
    """
    wrong = started.wrong
    return [*started.errors, *(_error(each) for each in planned.refusals if not _follows(each, wrong))]


def _follows(refused: Refused, wrong: frozenset[str]) -> bool:
    return bool(wrong) and (bodies.root_of(refused.field or "") in wrong or refused.reason in _FROM_ABSENCE)


def _error(refused: Refused) -> FieldError:
    return FieldError(refused.field or "", refused.reason, refused.detail)


def _accepted(verification_id: str, known: Started) -> Response:
    return Response(
        known.view,
        status_code=HTTPStatus.ACCEPTED,
        headers={"Location": LOCATION + verification_id},
        media_type="application/json",
    )

"""Delivery reports of the providers: size, signature, age, meaning, log; and only then a 2xx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, Protocol

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pipeline import topics
from pipeline.clock import Clock, Seldom
from pipeline.errors import PipelineError
from pipeline.gateway.edge import Measures
from pipeline.gateway.problems import problem
from pipeline.gateway.publisher import Publisher
from pipeline.http_body import read_body
from pipeline.model.reasons import ProblemReason
from pipeline.model.reference import REFERENCE_HEADER
from pipeline.model.trace import TRACEPARENT, carried
from pipeline.records.types import AttemptStatus, AvroRecord
from pipeline.runtime.api import Emit, Headers
from pipeline.senders.provider import BadWebhook, Report, Unplaced, Webhook

OTHER_PROVIDER: Final = "other"
"""Label of webhooks for a provider that is not configured."""
_RETRY_AFTER_S: Final = "5"

_log = structlog.get_logger("gateway")


class Webhooks(Protocol):
    """The part of a provider that reads its webhooks (``pipeline.senders.providers``)."""

    @property
    def webhooks_enabled(self) -> bool:
        """Whether a secret is configured."""

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """Whether the raw body was signed with one of the secrets; constant time.

        Where the signature holds a time, at most ``max_age_s`` from when it was received, earlier or later.
        """

    def statuses(self, webhook: Webhook) -> Sequence[Report | Unplaced]:
        """The delivery reports of our attempts; empty for other events. Raises BadWebhook."""


class Encoder(Protocol):
    """How records are written (``pipeline.records.codec.Codec``)."""

    def encode(self, record: AvroRecord) -> bytes:
        """The framed record."""

    def headers(self, record: AvroRecord) -> Headers:
        """The headers every record of ours carries."""


class WebhookReceiver:
    """``POST /v1/webhooks/{provider}``."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Webhooks],
        publisher: Publisher,
        encoder: Encoder,
        measures: Measures,
        clock: Clock,
        max_body_bytes: int,
        max_age_s: float,
    ) -> None:
        """``providers`` by instance name: those that report deliveries, with or without a secret.

        Signatures made more than ``max_age_s`` ago are refused, where a provider's signature tells when that was.
        """
        self._providers = providers
        self._publisher = publisher
        self._encoder = encoder
        self._measures = measures
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._max_age_s = max_age_s
        self._seldom = Seldom()

    async def receive(self, request: Request) -> Response:
        """Answer one webhook and count what became of it."""
        name = request.path_params["provider"]
        provider = self._providers.get(name)
        if provider is None:
            self._count(OTHER_PROVIDER, "unknown_provider")
            return problem(HTTPStatus.NOT_FOUND, ProblemReason.UNKNOWN_PROVIDER)
        if not provider.webhooks_enabled:
            self._count(name, "disabled")
            return _unavailable(ProblemReason.WEBHOOK_DISABLED)
        try:
            body = await read_body(request, self._max_body_bytes)
        except ClientDisconnect:
            self._count(name, "incomplete")
            return problem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED)
        if body is None:
            self._count(name, "too_large")
            # The rest of the body stays unread, so the connection cannot be used again.
            return problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ProblemReason.TOO_LARGE, headers={"Connection": "close"}
            )
        received_at = self._clock.now_ms()
        webhook = Webhook(body=body, headers=request.headers, received_at=received_at)
        if not provider.verify_signature(webhook, max_age_s=self._max_age_s):
            self._count(name, "bad_signature")
            if (left_out := self._seldom.passes(self._clock.monotonic_s(), name)) is not None:
                _log.warning("webhook_refused", provider=name, reason="bad_signature", left_out=left_out)
            return problem(
                HTTPStatus.UNAUTHORIZED, ProblemReason.BAD_SIGNATURE, headers={"WWW-Authenticate": "Signature"}
            )
        try:
            reports = [report for report in provider.statuses(webhook) if isinstance(report, Report)]
        except BadWebhook:
            self._count(name, "malformed")
            return problem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED)
        return await self._publish(name, reports, request, received_at)

    async def _publish(self, name: str, reports: list[Report], request: Request, received_at: int) -> Response:
        try:
            await self._publisher.publish([self._emit(name, report, request) for report in reports])
        except PipelineError as error:
            # Anything short of an acknowledgement of all: the provider sends it again, and repeats are harmless.
            _log.warning("webhook_not_written", provider=name, error=type(error).__name__, cause=str(error))
            self._count(name, "unavailable")
            return _unavailable(ProblemReason.LOG_UNAVAILABLE)
        self._count(name, "accepted" if reports else "ignored")
        self._measures.apply(
            ("receipts_total", 1.0, {"provider": name, "status": report.status.status.value}) for report in reports
        )
        # Taken all the same: a word that a provider has added must not make it send the report again and again.
        unmapped = sum(report.status.status is AttemptStatus.UNKNOWN for report in reports)
        if unmapped:
            self._measures.apply([("unmapped_answers_total", float(unmapped), {"provider": name})])
        if reports:
            self._measures.apply([("last_receipt_timestamp_seconds", received_at / 1_000, {"provider": name})])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _emit(self, name: str, report: Report, request: Request) -> Emit:
        """One record for the plain topic, whatever lane the verification travels in.

        A webhook does not tell the lane, and guessing wrong in one direction costs people: an interactive delivery
        behind a bulk backlog would be read after its step's deadline, and the person would be called or texted
        again. In the other direction it costs the tracker some reading ahead of its interactive work. The header
        ``reference`` tells the tracker which message it was, as the record has no field for the decision.
        """
        status = msgspec.structs.replace(report.status, provider=name)
        trace = carried([(TRACEPARENT, request.headers.get(TRACEPARENT, "").encode())])
        headers = (*self._encoder.headers(status), (REFERENCE_HEADER, report.reference.encode()), *trace)
        return Emit(
            topic=topics.STATUSES,
            key=status.verification_id.encode(),
            value=self._encoder.encode(status),
            headers=headers,
        )

    def _count(self, provider: str, result: str) -> None:
        self._measures.apply([("webhooks_total", 1.0, {"provider": provider, "result": result})])


def _unavailable(reason: ProblemReason) -> Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, headers={"Retry-After": _RETRY_AFTER_S})

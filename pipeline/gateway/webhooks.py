"""Delivery reports of the providers: size, signature, age, meaning, log; and only then a 2xx.

A report that says which attempt it is about becomes a DeliveryStatus at once. One that does not becomes a Receipt; the
correlator finds its attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pipeline.clock import Clock, Seldom
from pipeline.errors import PipelineError
from pipeline.gateway.door import unavailable
from pipeline.gateway.edge import Measures
from pipeline.gateway.problems import HttpProblem, problem
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.reports import Reports
from pipeline.gateway.trace import trace_of
from pipeline.http_body import ACCEPTED, COMPRESSED, encodings, read_body
from pipeline.model.reasons import ProblemReason
from pipeline.records.types import AttemptStatus
from pipeline.senders.provider import BadWebhook, Report, Unplaced, Webhook

OTHER_PROVIDER: Final = "other"
"""Label of webhooks for a provider that is not configured."""

_log = structlog.get_logger("gateway")


class Webhooks(Protocol):
    """The part of a provider that reads its webhooks (``pipeline.senders.providers``)."""

    @property
    def webhooks_enabled(self) -> bool:
        """Whether a secret is configured."""

    def handshake(self, webhook: Webhook) -> bytes | None:
        """The JSON to answer with when the provider only asks whether we are there; asked before the signature."""

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """Whether the raw body was signed with one of the secrets; constant time.

        Where the signature holds a time, at most ``max_age_s`` from when it was received, earlier or later.
        """

    def statuses(self, webhook: Webhook) -> Sequence[Report | Unplaced]:
        """The delivery reports of our attempts; empty for other events. Raises BadWebhook."""


class WebhookReceiver:
    """``POST /v1/webhooks/{provider}``, and ``/{token}`` behind it where the provider was told such an address."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Webhooks],
        publisher: Publisher,
        reports: Reports,
        measures: Measures,
        clock: Clock,
        public_url: str,
        max_body_bytes: int,
        max_age_s: float,
    ) -> None:
        """``providers`` by instance name: those that report deliveries, with or without a secret.

        ``public_url`` is how providers reach us, as some sign it too; empty takes what the request itself was sent to.
        Signatures made more than ``max_age_s`` ago are refused, where a provider's signature tells when that was.
        """
        self._providers = providers
        self._publisher = publisher
        self._reports = reports
        self._measures = measures
        self._clock = clock
        self._public_url = public_url.rstrip("/")
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
            return unavailable(ProblemReason.WEBHOOK_DISABLED)
        try:
            body = await read_body(request, self._max_body_bytes)
        except ClientDisconnect:
            self._count(name, "incomplete")
            return problem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED)
        except HttpProblem:
            # It came too slowly (408).
            self._count(name, "incomplete")
            raise
        if body is None:
            self._count(name, "too_large")
            # The rest of the body stays unread, so the connection cannot be used again.
            return problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ProblemReason.TOO_LARGE, headers={"Connection": "close"}
            )
        if body and encodings(request) & COMPRESSED:
            # No provider is known to. Whether the signature is over these bytes or over the others nobody could say.
            self._count(name, "encoded")
            return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ProblemReason.UNSUPPORTED_ENCODING, headers=ACCEPTED)
        webhook = self._webhook(request, body)
        greeting = provider.handshake(webhook)
        if greeting is not None:
            self._count(name, "handshake")
            return Response(greeting, media_type="application/json")
        if not provider.verify_signature(webhook, max_age_s=self._max_age_s):
            self._count(name, "bad_signature")
            if (left_out := self._seldom.passes(self._clock.monotonic_s(), name)) is not None:
                _log.warning("webhook_refused", provider=name, reason="bad_signature", left_out=left_out)
            return problem(
                HTTPStatus.UNAUTHORIZED, ProblemReason.BAD_SIGNATURE, headers={"WWW-Authenticate": "Signature"}
            )
        try:
            reports = provider.statuses(webhook)
        except BadWebhook:
            self._count(name, "malformed")
            return problem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED)
        return await self._publish(name, reports, request, webhook.received_at)

    def _webhook(self, request: Request, body: bytes) -> Webhook:
        path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
        base = self._public_url or f"{request.scope['scheme']}://{request.headers.get('host', '')}"
        return Webhook(
            body=body,
            headers=request.headers,
            url=f"{base}{path}?{query}" if query else base + path,
            token=request.path_params.get("token"),
            query=request.query_params,
            received_at=self._clock.now_ms(),
        )

    async def _publish(
        self, name: str, reports: Sequence[Report | Unplaced], request: Request, received_at: int
    ) -> Response:
        trace = trace_of(request)
        emits = [self._reports.emit(name, report, trace) for report in reports]
        try:
            await self._publisher.publish([emit for emit in emits if emit is not None])
        except PipelineError as error:
            # Anything short of an acknowledgement of all: the provider sends it again, and repeats are harmless.
            _log.warning("webhook_not_written", provider=name, error=type(error).__name__, cause=str(error))
            self._count(name, "unavailable")
            return unavailable(ProblemReason.LOG_UNAVAILABLE)
        self._count(name, "accepted" if reports else "ignored")
        # Taken all the same: a word that a provider has added must not make it send the report again and again.
        told = [report[0].status for report in reports]
        self._measures.apply(("receipts_total", 1.0, {"provider": name, "status": status.value}) for status in told)
        for metric, times in (
            ("unmapped_answers_total", told.count(AttemptStatus.UNKNOWN)),
            ("receipts_unmatched_total", emits.count(None)),
        ):
            if times:
                self._measures.apply([(metric, float(times), {"provider": name})])
        if reports:
            self._measures.apply([("last_receipt_timestamp_seconds", received_at / 1_000, {"provider": name})])
        # Not 204: some providers take nothing but 200 for a yes, and tell every receipt again.
        return Response(status_code=HTTPStatus.OK)

    def _count(self, provider: str, result: str) -> None:
        self._measures.apply([("webhooks_total", 1.0, {"provider": provider, "result": result})])

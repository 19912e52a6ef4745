"""Checks and commands over HTTP: published as a producer would, answered with the tracker's reply.

The rules are the tracker's, the same as for whoever writes to the topics; here is only what HTTP says differently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any, Final, Protocol

import msgspec
import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from pipeline.clock import Clock, Seldom
from pipeline.errors import DeadlinePassed, Infrastructure, ReadModelUnavailable, Refused
from pipeline.gateway import bodies
from pipeline.gateway.caller import Caller
from pipeline.gateway.edge import Measures
from pipeline.gateway.idempotency import Once, read_key, retry_after_s
from pipeline.gateway.presence import while_there
from pipeline.gateway.problems import HttpProblem
from pipeline.gateway.trace import trace_of
from pipeline.model.fields import VERIFICATION_ID, check_ip
from pipeline.model.keys import KeyRing
from pipeline.model.limits import UNKNOWN_ID_WAIT_MS
from pipeline.model.public_seal import seal_public
from pipeline.model.reasons import ProblemReason, ReplyReason
from pipeline.readmodel.ports import Verifications
from pipeline.readmodel.view import rfc3339
from pipeline.records.public import CodeCheck, Command, Reply
from pipeline.records.types import CommandAction, ReplyKind
from pipeline.runtime.api import Headers

RETRY_AFTER_S: Final = "1"
"""When Kafka may take the record again."""
GONE: Final = 499
"""What nginx made customary for a client that left before the answer; nobody sees it but our own figures."""
UNKNOWN_AFTER_S: Final = UNKNOWN_ID_WAIT_MS / 1_000
"""When an unknown verification is told, from the beginning of the question. The tracker knows at once of another
tenant's, and of one that nobody has only after that time: whoever is told sooner would know which of the two it is."""

_log = structlog.get_logger("gateway")


class Asker(Protocol):
    """Asks a verification something over the log (``pipeline.request_reply.Asking``)."""

    def ask(self, request: CodeCheck | Command, *, timeout_s: float, trace: Headers = ()) -> Coroutine[Any, Any, Reply]:
        """The reply; raises DeadlinePassed when none came in time, LogUnavailable when it was not written or cannot be
        answered now. A cancellation leaves nothing behind."""


class _CheckBody(msgspec.Struct, forbid_unknown_fields=True):
    code: str
    """Any text: one that can be no code is a wrong one, as it is for who writes to the topic."""
    end_user_ip: str | None = None


class _StepBody(msgspec.Struct, forbid_unknown_fields=True):
    step_index: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None


class _NoBody(msgspec.Struct, forbid_unknown_fields=True):
    pass


_CHECK_BODY: Final = msgspec.json.Decoder(_CheckBody)
_STEP_BODY: Final = msgspec.json.Decoder(_StepBody)
_NO_BODY: Final = msgspec.json.Decoder(_NoBody)


class Asks:
    """``POST /v1/verifications/{id}/check``, ``/resend``, ``/failover`` and ``/cancel``."""

    def __init__(
        self,
        *,
        asker: Asker,
        once: Once,
        verifications: Verifications,
        key_ring: KeyRing,
        clock: Clock,
        measures: Measures,
        new_id: Callable[[], str],
        reply_timeout_s: float,
        max_body_bytes: int,
    ) -> None:
        """``once`` recognises an ``Idempotency-Key``; ``verifications`` tells what is known when no reply came.

        ``new_id`` makes the ids of checks and commands that come without a key.
        """
        self._asker = asker
        self._once = once
        self._verifications = verifications
        self._key_ring = key_ring
        self._clock = clock
        self._measures = measures
        self._new_id = new_id
        self._reply_timeout_s = reply_timeout_s
        self._max_body_bytes = max_body_bytes
        self._seldom = Seldom()

    async def check(self, request: Request, caller: Caller) -> Response:
        """200 with what the code is worth."""
        verification_id = _id_of(request)
        raw = await bodies.read_raw(request, self._max_body_bytes, optional=False)
        body = bodies.read_fields(raw, _CHECK_BODY)
        try:
            end_user_ip = check_ip(body.end_user_ip)
        except Refused as error:
            raise bodies.refused("end_user_ip", error.detail) from None

        def made(request_id: str) -> CodeCheck:
            return CodeCheck(
                check_id=request_id,
                verification_id=verification_id,
                tenant=caller.tenant,
                code_sealed=seal_public(
                    self._key_ring.public_key(),
                    body.code,
                    verification_id=verification_id,
                    field="code",
                    record="CodeCheck",
                ),
                end_user_ip=end_user_ip,
                checked_at=self._clock.now_ms(),
            )

        return await self._answered(request, caller, raw, made, _checked)

    async def resend(self, request: Request, caller: Caller) -> Response:
        """202 when the step is sent once more, 409 when not."""
        return await self._command(request, caller, CommandAction.RESEND)

    async def failover(self, request: Request, caller: Caller) -> Response:
        """202 when the step begins, 409 when not."""
        return await self._command(request, caller, CommandAction.FAILOVER)

    async def cancel(self, request: Request, caller: Caller) -> Response:
        """202 when the verification is ended, 409 when it had ended before."""
        return await self._command(request, caller, CommandAction.CANCEL)

    async def _command(self, request: Request, caller: Caller, action: CommandAction) -> Response:
        verification_id = _id_of(request)
        raw = await bodies.read_raw(request, self._max_body_bytes, optional=True)
        step_index = None
        if action is CommandAction.CANCEL:
            bodies.read_fields(raw, _NO_BODY)
        else:
            step_index = bodies.read_fields(raw, _STEP_BODY).step_index

        def made(request_id: str) -> Command:
            return Command(
                command_id=request_id,
                verification_id=verification_id,
                tenant=caller.tenant,
                action=action,
                step_index=step_index,
                issued_at=self._clock.now_ms(),
            )

        return await self._answered(request, caller, raw, made, self._commanded)

    async def _answered(
        self,
        request: Request,
        caller: Caller,
        raw: bytes,
        made: Callable[[str], CodeCheck | Command],
        answer: Callable[[Reply], Response],
    ) -> Response:
        key = read_key(request, caller, self._key_ring)
        asked = made(self._new_id() if key is None else key.key)
        trace = trace_of(request)

        async def work() -> Response:
            reply = await self._reply(request, caller, asked, trace)
            return Response(status_code=GONE) if reply is None else answer(reply)

        return await self._once.run(None if key is None else key.begun(raw), work)

    async def _reply(
        self, request: Request, caller: Caller, asked: CodeCheck | Command, trace: Headers
    ) -> Reply | None:
        """The tracker's reply, None for a client that left; raises HttpProblem 404, 503, 504."""
        try:
            reply = await while_there(request, self._asked(asked, trace))
        except DeadlinePassed:
            raise await self._timed_out(caller, asked) from None
        except Infrastructure as error:
            if (left_out := self._seldom.passes(self._clock.monotonic_s())) is not None:
                _log.warning("not_asked", error=type(error).__name__, cause=str(error), left_out=left_out)
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, ProblemReason.LOG_UNAVAILABLE, headers={"Retry-After": RETRY_AFTER_S}
            ) from None
        if reply is not None and reply.reason == ReplyReason.UNKNOWN_VERIFICATION:
            raise _unknown()
        return reply

    async def _asked(self, asked: CodeCheck | Command, trace: Headers) -> Reply:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        reply = await self._asker.ask(asked, timeout_s=self._reply_timeout_s, trace=trace)
        if reply.reason == ReplyReason.UNKNOWN_VERIFICATION:
            await asyncio.sleep(began_s + min(UNKNOWN_AFTER_S, self._reply_timeout_s) - loop.time())
            if self._reply_timeout_s < UNKNOWN_AFTER_S:
                # Of one that nobody has the tracker would not have told in time.
                raise DeadlinePassed("an unknown verification is told later than callers wait")
        return reply

    async def _timed_out(self, caller: Caller, asked: CodeCheck | Command) -> HttpProblem:
        """504 with the id to ask again with, and where the verification stood when it was last heard of."""
        is_check = isinstance(asked, CodeCheck)
        kind = ReplyKind.CHECK if is_check else ReplyKind.COMMAND
        self._measures.apply([("reply_timeouts_total", 1.0, {"kind": kind.value})])
        members: dict[str, Any] = {
            "verification_id": asked.verification_id,
            "request_id": asked.check_id if isinstance(asked, CodeCheck) else asked.command_id,
        }
        try:
            view = await self._verifications.get(caller.tenant, asked.verification_id)
        except ReadModelUnavailable:
            view = None
        if view is not None:
            known = orjson.loads(view)
            members |= {"state": known["state"], "checks_left": known["checks_left"]}
        return HttpProblem(HTTPStatus.GATEWAY_TIMEOUT, ProblemReason.REPLY_TIMEOUT, members=members)

    def _commanded(self, reply: Reply) -> Response:
        members = {
            "ok": reply.ok,
            "reason": reply.reason,
            "state": reply.state.value,
            "step_index": reply.step_index,
            "retry_at": None if reply.retry_at is None else rfc3339(reply.retry_at),
        }
        if reply.ok:
            return _json(members, HTTPStatus.ACCEPTED)
        headers = {}
        if reply.retry_at is not None:
            headers["Retry-After"] = str(retry_after_s(reply.retry_at, self._clock.now_ms()))
        known = reply.reason in set(ReplyReason)
        raise HttpProblem(
            HTTPStatus.CONFLICT,
            ReplyReason(reply.reason) if known else ReplyReason.INVALID_FIELD,
            # A tracker of a later release may have a reason that this one knows no sentence for.
            detail=None if known else "The tracker refused it.",
            members=members,
            headers=headers,
        )


def _checked(reply: Reply) -> Response:
    return _json(
        {
            "valid": reply.ok,
            "reason": reply.reason,
            "checks_left": reply.checks_left,
            "state": reply.state.value,
        },
        HTTPStatus.OK,
    )


def _id_of(request: Request) -> str:
    """The verification id of the address; raises HttpProblem 404 for what none can be."""
    verification_id = str(request.path_params["id"])
    if not VERIFICATION_ID.fullmatch(verification_id):
        raise _unknown()
    return verification_id


def _unknown() -> HttpProblem:
    return HttpProblem(HTTPStatus.NOT_FOUND, ReplyReason.UNKNOWN_VERIFICATION)


def _json(members: dict[str, Any], status: HTTPStatus) -> Response:
    return Response(orjson.dumps(members), status_code=status, media_type="application/json")

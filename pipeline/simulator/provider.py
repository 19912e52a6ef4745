"""The way of one request through a simulated HTTP API, the same for all of them."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from pipeline.http_body import read_body
from pipeline.simulator.answers import Answer, deliver
from pipeline.simulator.behaviour import Fault, sample_s
from pipeline.simulator.history import Call
from pipeline.simulator.simulated import Asked, Refused, Simulated

__all__ = ["UNKNOWN_OPERATION", "Asked", "Provider", "Refused"]

UNKNOWN_OPERATION: Final = "unknown"
_NOTHING: Final = Answer(status=500, body=b"", said="")


class Provider(Simulated[Answer]):
    """A simulated provider with an HTTP API: an ASGI application below its ``base_path``.

    Order: what must not be read, body, credentials and fields, limits, behaviour, effects, delay, answer.
    """

    base_path: ClassVar[str]
    """Where its API begins."""
    max_body: ClassVar[int] = 1_048_576
    nothing = _NOTHING

    @property
    def place(self) -> str:
        """Its path below the simulator's address."""
        return self.base_path

    @abstractmethod
    def operation(self, method: str, path: str) -> str:
        """The operation a request line asks for, or ``unknown``."""

    @abstractmethod
    def read(self, operation: str, request: Request, raw: bytes) -> Asked:
        """Check credentials and fields; raises Refused with the provider's own answer."""

    @abstractmethod
    def too_large(self) -> Answer:
        """The provider's answer to a body above ``max_body``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        operation = self.operation(scope["method"], scope["path"].removeprefix(self.base_path))
        call = self.world.calls.begin(at=self.world.clock.now_ms(), provider=self.name, operation=operation)
        unread = self.behaviours.before_reading(operation, operation in self.sending)
        if unread is not None:
            call.answered = Fault.CLOSE_BEFORE_READING.value
            await self._deliver(_NOTHING, Fault.CLOSE_BEFORE_READING, scope, receive, send)
            return
        try:
            raw = await read_body(request, self.max_body)
        except ClientDisconnect:
            call.answered = "client_left"
            return
        if raw is None:
            answer = self.too_large()
            call.answered = answer.said
            answer.headers += ((b"connection", b"close"),)
            await answer.send(send)
            return
        try:
            asked = self.read(operation, request, raw)
        except Refused as refused:
            call.answered = refused.answer.said
            await refused.answer.send(send)
            return
        call.channel, call.recipient = asked.channel, asked.recipient
        call.reference, call.code = asked.reference, asked.code
        await self._answer(asked, call, scope, receive, send)

    async def _answer(self, asked: Asked, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        throttling, wait_s = self.begun(asked)
        if wait_s is not None:
            answer = self.throttled(max(1, round(wait_s + 0.499)), asked)
            call.answered = answer.said
            await answer.send(send)
            return
        try:
            behaviour = self.chosen(asked)
            answer = self.effects(asked, behaviour, call)
            delay_s = sample_s(behaviour.delay_ms, self.behaviours.rng)
            if delay_s > 0:
                await self.pause(delay_s)
            call.answered = answer.said if behaviour.fault is Fault.NONE else behaviour.fault.value
            await self._deliver(answer, behaviour.fault, scope, receive, send)
        finally:
            throttling.leave()

    async def _deliver(self, answer: Answer, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await deliver(answer, fault, scope=scope, receive=receive, send=send, closing=self.world.closing)

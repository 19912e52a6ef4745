"""The far end of a line to a provider: it does what its API says, unless a test has something else happen first."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import httpx

from pipeline.senders.exchange import InDoubt, NotSent
from pipeline.testing.http import Answer, Lost, Step, Unreachable

Q = TypeVar("Q")
TIMEOUT_S = 10.0


@dataclass(kw_only=True)
class Message:
    """One message a provider took."""

    id: str
    recipient: str
    code: str
    channels: tuple[str, ...]
    reference: str | None = None
    callback_url: str | None = None
    made: bool = False
    """The provider made the code."""
    used: bool = False
    """Its code was typed rightly."""
    canceled: bool = False
    status: Any = None
    """As a look-up tells it; None while there is nothing to tell."""


class Asked(NamedTuple):
    """One request that arrived."""

    operation: str
    at_s: float
    request: Any


@dataclass(kw_only=True)
class FarEnd(ABC, Generic[Q]):
    """What all providers have; each adds what its requests mean."""

    messages: list[Message] = field(default_factory=list)
    """Those it took, oldest first."""
    asked: list[Asked] = field(default_factory=list)
    """All that arrived, in order."""
    takes_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By operation: how long the answer takes after the request was carried out."""
    on_the_way_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By operation: how long a request that has left takes to arrive, whatever becomes of its sender meanwhile."""
    timeout_s: float = TIMEOUT_S
    _next: dict[str, deque[Step]] = field(default_factory=lambda: defaultdict(deque))

    def then(self, operation: str, *steps: Step) -> None:
        """What the next requests of this kind meet: an answer in place of its own (the request is not carried out),
        no connection, or a loss of the answer (it is carried out)."""
        self._next[operation].extend(steps)

    def count(self, operation: str) -> int:
        return sum(each.operation == operation for each in self.asked)

    def times(self, operation: str) -> list[float]:
        """When they arrived, seconds of the loop."""
        return [each.at_s for each in self.asked if each.operation == operation]

    @property
    def last(self) -> Message:
        return self.messages[-1]

    async def exchange(self, request: Q, before_first_byte: Callable[[], None]) -> Any:
        """See :class:`pipeline.senders.exchange.Exchange`."""
        operation = self.operation(request)
        planned = self._next[operation]
        step = planned.popleft() if planned else None
        if isinstance(step, Unreachable):
            await asyncio.sleep(step.delay_s)
            raise NotSent(step.cause)
        # A connection takes at least one turn of the loop, and others may act in it.
        await asyncio.sleep(0)
        before_first_byte()
        self.asked.append(Asked(operation, asyncio.get_running_loop().time(), request))
        if isinstance(step, Answer):
            await asyncio.sleep(step.delay_s)
            return self.reply(step, request)
        done = await self._arrived(operation, request)
        takes_s = self.takes_s[operation] if step is None else step.delay_s
        await asyncio.sleep(min(takes_s, self.timeout_s))
        if isinstance(step, Lost):
            raise InDoubt(step.cause)
        if takes_s >= self.timeout_s:
            raise InDoubt("timeout")
        return done

    async def _arrived(self, operation: str, request: Q) -> Any:
        if not self.on_the_way_s[operation]:
            return self.carry_out(operation, request)
        # No part of the sender's process, which may die while it is on its way.
        arriving = asyncio.get_running_loop().create_task(
            self._arrive(self.on_the_way_s[operation], operation, request), context=Context()
        )
        await asyncio.wait({arriving}, timeout=self.timeout_s)
        if not arriving.done():
            raise InDoubt("timeout")
        return arriving.result()

    async def _arrive(self, on_the_way_s: float, operation: str, request: Q) -> Any:
        await asyncio.sleep(on_the_way_s)
        return self.carry_out(operation, request)

    async def aclose(self) -> None:
        """It goes on when a sender ends."""

    def take(self, **fields: Any) -> Message:
        message = Message(**fields)
        self.messages.append(message)
        return message

    def message(self, message_id: str) -> Message | None:
        return next((each for each in self.messages if each.id == message_id), None)

    def made_code(self, length: int) -> str:
        """Another one each time, and none that is derived by chance."""
        return str(len(self.messages) + 1).ljust(length, "8")

    @abstractmethod
    def operation(self, request: Q) -> str:
        """What kind of request it is: send, check, lookup, list, report or cancel."""

    @abstractmethod
    def carry_out(self, operation: str, request: Q) -> Any:
        """Do it, and give the whole answer."""

    def reply(self, answer: Answer, request: Q) -> Any:
        """A scripted answer as the transport gives it."""
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.content)


def told(document: Mapping[str, Any], status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=document)

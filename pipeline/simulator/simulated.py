"""What every simulated provider has, whatever its protocol: behaviours, limits, effects, the inbox."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from pipeline.simulator.behaviour import Behaviour, Fault, Limits, ProviderBehaviour, Refusal
from pipeline.simulator.behaviours import Behaviours, Throttling
from pipeline.simulator.history import Call
from pipeline.simulator.history import Message as InboxMessage
from pipeline.simulator.webhooks import RetryPolicy
from pipeline.simulator.world import Account, World

_UNLIMITED: Final = Limits()
_SHORT_S: Final = 0.5


class Said(Protocol):
    """An answer, as the list of calls needs it."""

    @property
    def said(self) -> str:
        """Its status and the provider's error code."""


A = TypeVar("A", bound=Said)


@dataclass(slots=True, kw_only=True)
class Asked:
    """A request that was read and found right."""

    operation: str
    account: Account
    channel: str | None = None
    """In our words."""
    recipient: str | None = None
    """Canonical, as a behaviour's pattern and the inbox have it."""
    reference: str | None = None
    code: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    """The checked fields as the provider names them."""


class Refused(Exception):
    """The request is wrong in itself; carries the provider's answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__(answer.said)
        self.answer = answer


class Simulated(ABC, Generic[A]):
    """A simulated provider that answers with ``A``.

    The effects of a request come before its delay, so a client that stops waiting has sent its message all the same.
    """

    name: ClassVar[str]
    required_credentials: ClassVar[Collection[str]]
    """What an account must have; without a secret for webhooks, none are sent."""
    sending: ClassVar[Collection[str]]
    """Operations that send a message."""
    operations: ClassVar[Collection[str]]
    """All operations, for rules that name one."""
    channels: ClassVar[Collection[str]]
    answers: ClassVar[Sequence[str]]
    """Good answers, the usual one first."""
    unhappy_answers: ClassVar[tuple[str, ...]]
    """The two good answers with bad news, in the order the magic recipients use them; empty where there are none."""
    error_codes: ClassVar[Collection[str]]
    refusals: ClassVar[Mapping[Refusal, str]]
    """The error code for each class of refusal this provider knows."""
    retries: ClassVar[RetryPolicy | None] = None
    """None: this provider reports nothing."""
    operation_limits: ClassVar[Mapping[str, Limits]] = {}
    """Documented limits; a behaviour may give those that send others."""
    nothing: ClassVar[Any]
    """Stands for the answer of a request that was not handled; it never reaches the wire."""

    def __init__(self, world: World, accounts: Sequence[Account]) -> None:
        self.world = world
        self.accounts = tuple(accounts)
        self.behaviours = Behaviours(self.unhappy_answers)
        self._throttling: dict[tuple[str, str], Throttling] = {}
        """By account, as providers limit those, and operation."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for people."""

    @abstractmethod
    def perform(self, asked: Asked, answer: str) -> A:
        """Do what is asked without sending anything yet, and answer well; ``answer`` is one of ``answers``."""

    @abstractmethod
    def send_message(self, asked: Asked, behaviour: Behaviour) -> bool:
        """Let the message out: inbox and receipts. Called after :meth:`perform` (also when its answer is lost).

        Returns whether it went out; a provider may know better than the behaviour (a number that does not exist).
        """

    @abstractmethod
    def error(self, code: str, asked: Asked | None = None) -> A:
        """The provider's answer for one of ``error_codes``."""

    @abstractmethod
    def throttled(self, retry_after_s: int, asked: Asked | None = None) -> A:
        """The provider's answer to too many requests."""

    def sends(self, answer: str) -> bool:
        """Whether a message goes out with this good answer."""
        return answer not in self.unhappy_answers

    def problems(self, behaviour: ProviderBehaviour) -> list[tuple[str, str]]:
        """What of a behaviour this provider cannot do: field and sentence."""
        found = self._part_problems("default", behaviour.default)
        for index, rule in enumerate(behaviour.rules):
            where = f"rules.{index}"
            found += self._part_problems(where, rule)
            operation, channel = rule.when.operation, rule.when.channel
            if operation not in (None, "*", *self.operations):
                known = ", ".join(sorted(self.operations))
                found.append(
                    (f"{where}.when.operation", f"{self.name} has no operation {operation!r}: use {known} or *")
                )
            if channel is not None and channel not in self.channels:
                known = ", ".join(sorted(self.channels))
                found.append((f"{where}.when.channel", f"{self.name} has no channel {channel!r}: use {known}"))
        return found

    def _part_problems(self, where: str, part: Behaviour) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if part.error is not None and str(part.error) not in self.error_codes:
            known = ", ".join(self.error_codes)
            found.append((f"{where}.error", f"{self.name} has no error {part.error!r}: use one of {known}"))
        if part.refusal is not None and part.refusal not in self.refusals:
            known = ", ".join(self.refusals)
            found.append((f"{where}.refusal", f"{self.name} cannot refuse for {part.refusal.value}: use {known}"))
        if part.answer is not None and part.answer not in self.answers:
            known = ", ".join(self.answers)
            found.append((f"{where}.answer", f"{self.name} has no answer {part.answer!r}: use {known}"))
        if self.retries is None and "receipt" in part.model_fields_set:
            found.append((f"{where}.receipt", f"{self.name} sends no receipts: leave it out"))
        return found

    def begun(self, asked: Asked) -> tuple[Throttling, float | None]:
        """Count a request against its limits: what to leave at its end, and seconds to wait if it is one too many.

        One too many is not begun, and must not be left.
        """
        wished = self.behaviours.current.limits if asked.operation in self.sending else None
        limits = self.operation_limits.get(asked.operation, _UNLIMITED) if wished is None else wished
        counted = (asked.account.instance, asked.operation if wished is None else "send")
        throttling = self._throttling.setdefault(counted, Throttling())
        return throttling, throttling.enter(limits)

    def chosen(self, asked: Asked) -> Behaviour:
        """How this request is treated."""
        behaviour = self.behaviours.choose(
            operation=asked.operation,
            sends=asked.operation in self.sending,
            channel=asked.channel,
            recipient=asked.recipient,
        )
        if behaviour.refusal is not None and behaviour.refusal not in self.refusals:
            # A magic recipient may ask for a class that this provider does not have: it is then an ordinary one.
            behaviour = behaviour.model_copy(update={"refusal": None})
        return behaviour

    def refused(self, asked: Asked, behaviour: Behaviour) -> A | None:
        """The bad answer that the behaviour wants, if it wants one."""
        if behaviour.error is not None:
            return self.error(str(behaviour.error), asked)
        if behaviour.refusal is not None:
            return self.error(self.refusals[behaviour.refusal], asked)
        if behaviour.throttle is not None:
            return self.throttled(behaviour.throttle.retry_after_s, asked)
        return None

    def effects(self, asked: Asked, behaviour: Behaviour, call: Call) -> A:
        """Decide the answer and let the message out where the behaviour lets it."""
        good = behaviour.answer or self.answers[0]
        goes_out = asked.operation in self.sending and behaviour.message_goes_out and self.sends(good)
        happens = not behaviour.refuses and behaviour.fault is not Fault.CLOSE_BEFORE_READING
        answer: A = self.nothing
        if goes_out or happens:
            try:
                answer = self.perform(asked, good)
            except Refused as refused:
                return refused.answer  # type: ignore[no-any-return]
        if goes_out:
            call.code = asked.code
            call.sent = self.send_message(asked, behaviour)
        return self.refused(asked, behaviour) or answer

    async def pause(self, delay_s: float) -> None:
        """Let time pass, unless the simulator ends."""
        if delay_s <= _SHORT_S:
            await asyncio.sleep(delay_s)
            return
        with contextlib.suppress(TimeoutError):
            # A long pause must not hold up the end of the simulator; for short ones this would cost too much.
            async with asyncio.timeout(delay_s):
                await self.world.closing.wait()

    def show(self, asked: Asked, *, text: str, code: str, channel: str | None = None) -> None:
        """Put a message into the inbox of its person."""
        assert asked.recipient is not None
        self.world.inbox.add(
            InboxMessage(
                recipient=asked.recipient,
                channel=channel or asked.channel or "",
                provider=self.name,
                text=text,
                code=code,
                at=self.world.clock.now_ms(),
            )
        )

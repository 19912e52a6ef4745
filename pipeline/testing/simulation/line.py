"""The line between a sender and its provider's far end: weather on the way, and a history of what went over it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pipeline import topics
from pipeline.records.internal import SendCommand
from pipeline.records.journal import JournalEntry, JournalState
from pipeline.records.types import CommandKind
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.partition import partition_for
from pipeline.senders.keys import work_key
from pipeline.testing.http import Answer, Lost, Step, Unreachable
from pipeline.testing.memory_log.partition import Fate
from pipeline.testing.simulation.deployed import Deployed
from pipeline.testing.simulation.far_end import FarEnd, Message
from pipeline.testing.simulation.machine import acts_outside, here
from pipeline.testing.simulation.steps import Steps
from pipeline.testing.simulation.swarm import Swarm

_SLOW_DOWN: Final = Answer(429, b"{}", {"Retry-After": "2"})
NOT_TAKEN: Final = (429, 451)
"""Answers by which a provider says that it took nothing and may be asked again."""


class Call(NamedTuple):
    """A request of which a byte may have left."""

    command: SendCommand
    provider: str
    step: Step | None
    at_ms: int
    """By the clock of the process that made it."""
    latest_ms: int
    """No first byte after this, by the same clock."""
    journalled: bool
    """Whether STARTED of it was committed by then; True for what needs none."""
    started_ms: int | None
    """When that was written, by the clock of its process."""


class Taken(NamedTuple):
    """A message that a provider took."""

    command: SendCommand
    provider: str
    message: Message


class Lines:
    """What all lines of a run share, and what went over them."""

    def __init__(self, world: Deployed, swarm: Swarm, chance: random.Random, steps: Steps) -> None:
        self.world = world
        self.swarm = swarm
        self.chance = chance
        self.steps = steps
        self.rages: Callable[[], bool] = lambda: False
        self.ordered: dict[int, tuple[SendCommand, Any]] = {}
        """By the identity of its request (kept, so that no other gets the same)."""
        self.calls: list[Call] = []
        self.taken: list[Taken] = []
        for name, provider in world.providers.items():
            self._note_requests(provider)
            world.lines[name] = Line(self, name)

    def _note_requests(self, provider: Any) -> None:
        build = provider.build

        def noted(command: SendCommand, *arguments: Any) -> Any:
            request = build(command, *arguments)
            self.ordered[id(request)] = (command, request)
            return request

        provider.build = noted

    def weather(self, provider: str) -> Step | None:
        """What the next request meets; None: nothing in particular."""
        odd: tuple[Step, ...] = (Answer(554), Answer(399))
        if provider != "smtp":
            odd = (Answer(500), Answer(200, b"<html>it works</html>"))
        kinds: dict[str, tuple[Step, ...]] = {
            "unreachable": (Unreachable(), Unreachable(delay_s=1)),
            "lost_answers": (Lost(), Lost(delay_s=4, cause="timeout")),
            "throttled": (Answer(451),) if provider == "smtp" else (_SLOW_DOWN, _SLOW_DOWN),
            "odd_answers": odd,
            "rejecting": (Answer(550) if provider == "smtp" else Answer(400, b"{}"),),
        }
        known = [kinds[name] for name in kinds if name in self.swarm]
        if not known or not self.rages() or self.chance.random() < 0.4:
            return None
        return self.chance.choice(self.chance.choice(known))

    def started(self, command: SendCommand, provider: str) -> tuple[bool, int | None]:
        """Whether STARTED of a command is committed now, and when it was written."""
        if command.kind not in (CommandKind.SEND, CommandKind.CHECK):
            return True, None
        cluster = self.world.cluster
        number = partition_for(command.verification_id.encode(), self.world.partitions)
        where = TopicPartition(topics.attempts(provider), number)
        open_now = cluster.transactions.undecided(f"sender.{provider}.{number}")
        undecided = open_now.spans.get(where) if open_now is not None else None
        key = work_key(command).encode()
        for entry in reversed(cluster.partition(where).entries):
            if entry.key != key or entry.span is undecided or entry.value is None:
                continue
            if entry.span is not None and entry.span.fate is Fate.ABORTED:
                continue
            known = self.world.codec.decode(JournalEntry, entry.value, public=False)
            return known.state is JournalState.STARTED, entry.timestamp_ms
        return False, None


class Line:
    """To one provider."""

    def __init__(self, lines: Lines, name: str) -> None:
        self._lines = lines
        self._name = name
        self._end: FarEnd[Any] = lines.world.ends[name]
        self._end.timeout_s = lines.world.timeout_s
        self._carry_out = self._end.carry_out
        self._end.carry_out = self._noted  # type: ignore[method-assign]

    def _noted(self, operation: str, request: Any) -> Any:
        known = len(self._end.messages)
        answer = self._carry_out(operation, request)
        for message in self._end.messages[known:]:
            command, _ = self._lines.ordered[id(request)]
            self._lines.taken.append(Taken(command, self._name, message))
            self._lines.steps.note(f"{self._name} took {command.attempt_id}")
        return answer

    async def exchange(self, request: Any, before_first_byte: Callable[[], None]) -> Any:
        """See :class:`pipeline.senders.exchange.Exchange`."""
        lines, chance = self._lines, self._lines.chance
        operation = self._end.operation(request)
        command, _ = lines.ordered[id(request)]
        step = lines.weather(self._name)
        if step is not None:
            self._end.then(operation, step)
        slow = "slow_providers" in lines.swarm and lines.rages()
        late = "late_arrivals" in lines.swarm and lines.rages()
        self._end.takes_s[operation] = chance.choice((0.0, 0.2, 2.0, 5.0)) if slow else 0.0
        self._end.on_the_way_s[operation] = chance.choice((0.0, 0.1, 1.0, 5.0)) if late else 0.0
        acts_outside()

        def noted() -> None:
            before_first_byte()
            machine = here()
            clock = lines.world.clock if machine is None else lines.world.clocks[machine]
            journalled, started_ms = lines.started(command, self._name)
            latest_ms = _latest_ms(command)
            lines.calls.append(Call(command, self._name, step, clock.now_ms(), latest_ms, journalled, started_ms))
            lines.steps.note(f"calls {self._name}: {operation} of {command.command_id}, meets {_named(step)}")

        return await self._end.exchange(request, noted)

    async def aclose(self) -> None:
        """It goes on when a sender ends."""


def _latest_ms(command: SendCommand) -> int:
    """By what the command says: its queue deadline, and the end of a code that lives; not by the sender's own rule."""
    ends = [command.send_by_at or command.issued_at + command.expires_in_s * 1_000, command.valid_until_at]
    return min(each for each in ends if each)


def _named(step: Step | None) -> str:
    if isinstance(step, Answer):
        return f"answer {step.status}"
    return "nothing in particular" if step is None else type(step).__name__.lower()

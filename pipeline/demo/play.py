"""Playing the cases: publish the request, be the person at the other end, wait for the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pipeline import topics
from pipeline.client import VerificationClient, request_key
from pipeline.clock import Clock
from pipeline.demo.case import Case, Person, Posting
from pipeline.demo.cast import PARTITIONS
from pipeline.demo.configuration import kind_of
from pipeline.demo.evidence import Played
from pipeline.demo.inbox import Inbox
from pipeline.demo.rest import Rest
from pipeline.errors import DeadlinePassed, PipelineError
from pipeline.model.reasons import ReplyReason
from pipeline.records.codec import Codec
from pipeline.records.public import Reply, VerificationOutcome, VerificationRequest
from pipeline.records.types import AttemptResult, VerificationState
from pipeline.runtime.api import Emit
from pipeline.runtime.log import Producer
from pipeline.runtime.partition import partition_for

PUBLISH_S: Final = 20.0
"""Over which time the requests are published, or longer: a queue would say nothing of latency, and what is to expire
takes longer anyway."""
MOST_PER_S: Final = 30
"""Requests a second, however many: two cores run everything here, and more would measure them."""
MESSAGE_S: Final = 60.0
"""How long a message may take, with the failovers before it; long enough for a machine that has much else to do."""
END_S: Final = 60.0
"""How long the end may take, beyond the life of a code that is to expire."""
REPLY_S: Final = 30.0
PATIENCE_S: Final = 60.0
"""How long a person goes on typing a code that nobody can judge."""
PAUSE_S: Final = 1.0


@dataclass(slots=True, kw_only=True)
class Player:
    """Plays cases side by side over one client."""

    client: VerificationClient
    rest: Rest
    producer: Producer
    codec: Codec
    inbox: Inbox
    clock: Clock
    on_end: Callable[[Case], None]
    """Told each time a case has ended, well or not."""

    async def play(self, cases: Sequence[Case]) -> dict[str, Played]:
        """Play all of them, each begun when those it waits for have ended; what happened, by the cases' names."""
        played: dict[str, Played] = {}
        ended = {case.name: asyncio.Event() for case in cases}

        async def one(case: Case, delay_s: float) -> None:
            played[case.name] = Played()
            try:
                await asyncio.sleep(delay_s)
                for name in case.after:
                    await ended[name].wait()
                await self._act(case, played)
            except PipelineError as error:
                # One that cannot be played is a finding about this case; the others go on.
                played[case.name] = replace(played[case.name], problem=str(error))
            finally:
                ended[case.name].set()
                self.on_end(case)

        each_s = max(PUBLISH_S / len(cases), 1 / MOST_PER_S)
        async with asyncio.TaskGroup() as group:
            for number, case in enumerate(cases):
                group.create_task(one(case, number * each_s), name=case.name)
        return played

    async def _act(self, case: Case, played: dict[str, Played]) -> None:
        began_at = self.clock.now_ms()
        positions = await self._publish(case)
        played[case.name] = Played(published_at=began_at, positions=positions)
        if case.expected.state is None or case.request is None:
            return  # it has no outcome of its own; the dead letter is looked for at the end
        end_s = END_S + (case.request.expires_in_s or 0 if case.person in (Person.ABSENT, Person.TOO_LATE) else 0)
        if case.person in (Person.ABSENT, Person.TOO_LATE):
            await self.client.wait(case.name, timeout_s=end_s)
        if case.person is not Person.ABSENT:
            await self._answer(case, played, since=began_at)
        await self.client.wait(case.name, timeout_s=end_s)

    async def _answer(self, case: Case, played: dict[str, Played], *, since: int) -> None:
        """Read the message and type what this person types."""
        assert case.read_at is not None
        expected = case.expected
        if case.person is Person.ASKS_FOR_A_CALL:
            # Once the first message is there: before that a failover would join whatever is under way.
            await self.client.wait(case.name, until=_is_sent, timeout_s=MESSAGE_S)
            await self._command(case, "failover", played)
        message = await self.inbox.read(
            case.read_at,
            channel=case.read_on or expected.channel,
            provider=None if expected.provider is None else kind_of(expected.provider),
            since=since,
            timeout_s=MESSAGE_S,
        )
        code: str = message["code"]
        played[case.name] = replace(played[case.name], code=code, text=message["text"])
        if case.is_patient:
            await self.client.wait(case.name, until=partial(_is_answered, case), timeout_s=MESSAGE_S)
        wrong = _another(code)
        match case.person:
            case Person.TYPES_TWICE:
                await asyncio.gather(self._check(case, code, played), self._check(case, code, played))
            case Person.CLICKS_TWICE:
                for _ in range(2):
                    await self._check(case, code, played, check_id=f"{case.name}-click")
            case Person.MISTYPES:
                await self._check(case, wrong, played)
                await self._check(case, code, played)
            case Person.GUESSES:
                for _ in case.replies:
                    await self._check(case, wrong, played)
            case Person.LEAVES:
                await self._command(case, "cancel", played)
                await self._check(case, code, played)
            case Person.PERSISTS:
                await self._persist(case, code, played)
            case _:
                await self._check(case, code, played)

    async def _persist(self, case: Case, code: str, played: dict[str, Played]) -> None:
        gives_up_s = self.clock.monotonic_s() + PATIENCE_S
        while await self._check(case, code, played) is ReplyReason.PROVIDER_UNAVAILABLE:
            if self.clock.monotonic_s() > gives_up_s:
                raise DeadlinePassed(f"nobody could judge the code for {PATIENCE_S:g} s")
            await asyncio.sleep(PAUSE_S)

    async def _check(
        self, case: Case, code: str, played: dict[str, Played], *, check_id: str | None = None
    ) -> ReplyReason:
        began_s = self.clock.monotonic_s()
        if case.posting is Posting.HTTP:
            reason = await self.rest.check(case.name, code, check_id=check_id)
        else:
            reply: Reply = await self.client.check(case.name, code, check_id=check_id, timeout_s=REPLY_S)
            reason = ReplyReason(reply.reason)
        self._note(case, reason, began_s, played)
        return reason

    async def _command(self, case: Case, action: str, played: dict[str, Played]) -> None:
        began_s = self.clock.monotonic_s()
        self._note(case, await self.rest.command(case.name, action), began_s, played)

    def _note(self, case: Case, reason: ReplyReason, began_s: float, played: dict[str, Played]) -> None:
        took_ms = (self.clock.monotonic_s() - began_s) * 1_000
        so_far = played[case.name]
        played[case.name] = replace(so_far, replies=(*so_far.replies, reason), reply_ms=(*so_far.reply_ms, took_ms))

    async def _publish(self, case: Case) -> tuple[tuple[int, int], ...]:
        """Put the case's records into the request topic; their partitions and offsets."""
        request = case.request
        if request is None:
            return (await self.producer.send(Emit(topics.REQUESTS, case.name.encode(), case.payload)),)
        key = request_key(request)
        match case.posting:
            case Posting.HTTP:
                await self.rest.start(request)
                return ()
            case Posting.CLIENT | Posting.BULK:
                await self.client.start(request, bulk=case.posting is Posting.BULK)
                return ()
            case Posting.TWICE:
                return (await self._raw(request, key), await self._raw(request, key))
            case Posting.NO_KEY:
                return (await self._raw(request, None),)
            case Posting.WRONG_PARTITION:
                wrong = (partition_for(key or b"", PARTITIONS) + 1) % PARTITIONS
                return (await self._raw(request, key, wrong),)

    async def _raw(
        self, request: VerificationRequest, key: bytes | None, partition: int | None = None
    ) -> tuple[int, int]:
        value = self.codec.encode(request)
        return await self.producer.send(Emit(topics.REQUESTS, key, value, partition, self.codec.headers(request)))


def _is_sent(outcome: VerificationOutcome) -> bool:
    return outcome.is_final or outcome.state in (VerificationState.SENT, VerificationState.DELIVERED)


def _is_answered(case: Case, outcome: VerificationOutcome) -> bool:
    """Whether the provider's answer to the last send is known."""
    made = outcome.attempts
    return outcome.is_final or (len(made) == case.expected.attempts and made[-1].result is not AttemptResult.PENDING)


def _another(code: str) -> str:
    """A code of the same form that is not this one."""
    last = code[-1]
    return code[:-1] + ("1" if last != "1" else "2")

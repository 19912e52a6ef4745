"""Everything at once, in an order that a seed chose: providers that fail in every way, processes that die, people who
type, callers who resend, fail over and cancel, reports that come twice.

The same seed gives the same run, but for what hangs on addresses in memory (the order of some sets).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from pipeline import topics
from pipeline.records.internal import SendCommand
from pipeline.records.journal import JournalEntry
from pipeline.records.public import VerificationOutcome
from pipeline.records.types import CommandAction
from pipeline.testing.http import Answer, Lost, Step, Unreachable
from tests.unit.together.far_end import FarEnd, Message
from tests.unit.together.webhooks import from_bird, from_telesign, from_thundersms, from_ycloud
from tests.unit.together.world import BIRD_SMS, BIRD_WHATSAPP, ENDS, GOING_ON, MAIL, PHONES, WRONG, World

CHANNELS: Final = {
    "bird": ("sms", "whatsapp"),
    "neutrino": ("sms", "voice"),
    "smtp": ("email",),
    "telesign": ("sms", "voice"),
    "thundersms": ("sms", "whatsapp", "voice", "viber"),
    "ycloud": ("sms", "voice", "whatsapp"),
}
SETTINGS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "bird": (PHONES, PHONES | {"list_path": "/verify", "get_path": "/verify/{id}"}, PHONES | GOING_ON),
    "telesign": ({}, {"smart_verify": True}),
    "thundersms": ({}, {"walk_channels": True, "requires_receipts": True}),
}
POLICY: Final = {"provider_check_s": 12, "max_attempts_total": 5, "no_receipt_wait_s": 10, "min_time_left_s": 5}
RESENDS: Final = ({"resend_code": "same"}, {"resend_code": "new", "resend_cooldown_s": [1, 4], "max_resends": 4})
VERIFICATIONS: Final = 6
STORM_S: Final = 40.0
LIFE_S: Final = 45
LATEST_END_S: Final = 200.0
_DELIVERY: Final = ("delivered", "delivery_failed")
_SLOW_DOWN: Final = Answer(429, b"{}", {"Retry-After": "3"})


class Call(NamedTuple):
    """A request of which a byte may have left."""

    command: SendCommand
    step: Step | None
    at_s: float


class Typed(NamedTuple):
    """A code somebody typed, and the attempt whose message held it; None: it was in no message."""

    verification_id: str
    attempt_id: str | None


class Line:
    """To one provider, in weather that ``chance`` makes."""

    def __init__(self, storm: Storm, name: str) -> None:
        self._storm = storm
        self._name = name
        self._end: FarEnd[Any] = storm.world.ends[name]
        self._carry_out = self._end.carry_out
        self._end.carry_out = self._noted  # type: ignore[method-assign]

    def _noted(self, operation: str, request: Any) -> Any:
        known = len(self._end.messages)
        answer = self._carry_out(operation, request)
        for message in self._end.messages[known:]:
            self._storm.messages.append((self._storm.ordered[id(request)][0], self._name, message))
        return answer

    async def exchange(self, request: Any, before_first_byte: Callable[[], None]) -> Any:
        storm = self._storm
        operation = self._end.operation(request)
        command, _ = storm.ordered[id(request)]
        step = storm.weather(self._name)
        if step is not None:
            self._end.then(operation, step)
        self._end.takes_s[operation] = storm.chance.choice((0.0, 0.2, 2.0)) if storm.rages else 0.0

        def noted() -> None:
            before_first_byte()
            storm.calls.append(Call(command, step, asyncio.get_running_loop().time()))

        return await self._end.exchange(request, noted)

    async def aclose(self) -> None:
        """It goes on when a sender ends."""


class Storm:
    """One run: what was done, and what came of it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        names = self.chance.sample(sorted(ENDS), 3)
        chosen: dict[str, Any] = {name: dict(self.chance.choice(SETTINGS.get(name, ({},)))) for name in names}
        tenants = {"default": {"code_length": 6, "min_code_length": 4}, "long": {"code_length": 12}}
        self.world = World(tenants=tenants, policy=POLICY | RESENDS[seed % 2], **chosen)
        self.rages = True
        self.ordered: dict[int, tuple[SendCommand, Any]] = {}
        """By the identity of its request (kept, so that no other gets the same)."""
        self.calls: list[Call] = []
        self.messages: list[tuple[SendCommand, str, Message]] = []
        self.typed: dict[str, Typed] = {}
        self.asked: list[str] = []
        self.people: dict[str, str] = {}
        for name, provider in self.world.providers.items():
            self._note_requests(provider)
            self.world.lines[name] = Line(self, name)

    def _note_requests(self, provider: Any) -> None:
        build = provider.build

        def noted(command: SendCommand, *arguments: Any) -> Any:
            request = build(command, *arguments)
            self.ordered[id(request)] = (command, request)
            return request

        provider.build = noted

    def weather(self, provider: str) -> Step | None:
        """What the next request meets; None: nothing in particular."""
        if not self.rages or self.chance.random() < 0.45:
            return None
        odd: tuple[Step, ...] = (
            (Answer(451), Answer(554), Answer(399))
            if provider == "smtp"
            else (_SLOW_DOWN, _SLOW_DOWN, Answer(500), Answer(200, b"<html>it works</html>"))
        )
        return self.chance.choice((Unreachable(), Lost(), Lost(delay_s=10, cause="timeout"), *odd))

    # --- what happens ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        over = asyncio.Event()
        processes = [("router", 0), ("tracker", 0), ("correlator", 0), ("sender", 0), ("sender", 1)]
        if self.chance.random() < 0.5:
            processes.pop()
        lives = [asyncio.create_task(self._live(over, stage, number)) for stage, number in processes]
        try:
            await asyncio.gather(*(self._verification(f"v{n}") for n in range(VERIFICATIONS)))
            self.rages = False
            await self._settled()
        finally:
            over.set()
            await asyncio.gather(*lives)

    async def _live(self, over: asyncio.Event, stage: str, instance: int) -> None:
        """Run a process, let it die or stop at some moment, and begin again, until the storm is over."""
        while not over.is_set():
            async with self.world.running(stage, instance=instance) as process:
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), self.chance.uniform(2, 25) if self.rages else None)
                if not over.is_set() and self.chance.random() < 0.8:
                    process.crash()
            await asyncio.sleep(self.chance.choice((0.0, 0.5, 4.0)) if self.rages else 0)

    async def _verification(self, verification_id: str) -> None:
        chance, world = self.chance, self.world
        await asyncio.sleep(chance.uniform(0, 8))
        mail = list(world.ends) == ["smtp"] or ("smtp" in world.ends and chance.random() < 0.2)
        names = ["smtp"] if mail else [name for name in world.ends if name != "smtp"]
        steps = []
        for _ in range(chance.randint(1, 3)):
            name = chance.choice(names)
            pinned = f"@{name}" if chance.random() < 0.6 else ""
            steps.append(f"{chance.choice(CHANNELS[name])}{pinned}:{chance.choice((8, 15))}")
        # Some share a person, so that reports by recipient may mean either.
        person = MAIL if mail else f"+4915123456{chance.randint(780, 783)}"
        self.people[verification_id] = person
        automatic = {"steps": " ".join(steps)} if mail or chance.random() < 0.8 else {}
        await world.start(
            verification_id, recipient=person, tenant=chance.choice(("default", "long")), expires_in_s=LIFE_S,
            max_checks=chance.randint(2, 5), wait_s=0, **automatic,
        )  # fmt: skip
        ends_at = asyncio.get_running_loop().time() + STORM_S
        while asyncio.get_running_loop().time() < ends_at:
            await asyncio.sleep(chance.expovariate(0.3))
            await chance.choice((self._type, self._type, self._type, self._command, self._report))(verification_id)

    async def _type(self, verification_id: str) -> None:
        own = [
            (each.attempt_id, message) for each, _, message in self.messages if each.verification_id == verification_id
        ]
        check_id = f"c{len(self.typed)}"
        if own and self.chance.random() < 0.4:
            attempt_id, message = self.chance.choice(own)
            self.typed[check_id] = Typed(verification_id, attempt_id)
            code = message.code
        else:
            self.typed[check_id] = Typed(verification_id, None)
            code = self.chance.choice((WRONG, "99999", "0", "x7", "999999999999"))
        await self.world.type(code, check_id=check_id, wait_s=0, verification_id=verification_id)
        if self.chance.random() < 0.2:
            await self.world.type(code, check_id=check_id, wait_s=0, verification_id=verification_id)

    async def _command(self, verification_id: str) -> None:
        actions = (CommandAction.RESEND, CommandAction.FAILOVER, CommandAction.FAILOVER, CommandAction.CANCEL)
        action = self.chance.choices(actions, (4, 2, 2, 1))[0]
        self.asked.append(verification_id)
        await self.world.command(action, wait_s=0, verification_id=verification_id)

    async def _report(self, verification_id: str) -> None:
        own = [each for each in self.messages if each[0].verification_id == verification_id]
        if not own:
            return
        _, name, message = self.chance.choice(own)
        for _ in range(self.chance.choice((1, 1, 2))):
            if name == "bird":
                status, channel_id = self.chance.choice(_DELIVERY), self.chance.choice((BIRD_SMS, BIRD_WHATSAPP))
                await from_bird(self.world, message.recipient, status, channel_id=channel_id)
            elif name == "telesign":
                await from_telesign(self.world, message, self.chance.choice((200, 207, 203)))
            elif name == "thundersms":
                word = self.chance.choice(("DELIVRD", "UNDELIV", "sent"))
                await from_thundersms(self.world, message, message.channels[0], word)
            elif name == "ycloud":
                await from_ycloud(self.world, message, self.chance.choice(("delivered", "undelivered", "sent")))

    async def _settled(self) -> None:
        """Wait until everything has ended, and nothing is under way any more."""
        latest = asyncio.get_running_loop().time() + LATEST_END_S
        while asyncio.get_running_loop().time() < latest:
            await asyncio.sleep(10)
            ended = {each.verification_id for each in await self.outcomes() if each.is_final}
            if len(ended) == VERIFICATIONS:
                break
        await asyncio.sleep(20)

    # --- what came of it ------------------------------------------------------------------------------------------

    async def outcomes(self) -> list[VerificationOutcome]:
        return list(await self.world.read(topics.OUTCOMES, VerificationOutcome))

    async def journal(self) -> dict[bytes, JournalEntry]:
        found: dict[bytes, JournalEntry] = {}
        for name in self.world.ends:
            for record in await self.world.records(topics.attempts(name)):
                key = name.encode() + b"/" + (record.key or b"")
                if record.value is None:
                    found.pop(key, None)
                else:
                    with suppress(Exception):  # its position is no entry
                        found[key] = self.world.codec.decode(JournalEntry, record.value, public=False)
        return found

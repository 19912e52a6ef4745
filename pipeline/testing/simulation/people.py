"""Callers who publish, and persons who type: what they did is the truth that the promises are held against."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from pipeline import topics
from pipeline.errors import PipelineError
from pipeline.records.public import CodeCheck, Command, VerificationRequest
from pipeline.records.types import AvroRecord, CommandAction
from pipeline.testing.simulation.deployed import POISON_RUN, Deployed
from pipeline.testing.simulation.line import Lines, Taken
from pipeline.testing.simulation.world import MAIL, WRONG, steps_of

CHANNELS: Final = {
    "bird": ("sms", "whatsapp"),
    "neutrino": ("sms", "voice"),
    "smtp": ("email",),
    "telesign": ("sms", "voice"),
    "thundersms": ("sms", "whatsapp", "voice", "viber"),
    "ycloud": ("sms", "voice", "whatsapp"),
}
LIFE_S: Final = 30
ACTIVE_S: Final = 12.0
RETRIES: Final = 100


class Typed(NamedTuple):
    """A code somebody typed, and the attempt whose message held it; None: it was in no message."""

    verification_id: str
    attempt_id: str | None


class Bad(NamedTuple):
    """A record that can only become a dead letter, where it is, and why."""

    topic: str
    partition: int
    offset: int
    reason: str


@dataclass(kw_only=True)
class Done:
    """All that was asked of the pipeline."""

    requests: dict[str, list[VerificationRequest]] = field(default_factory=dict)
    """By id what was published, without repetitions."""
    typed: dict[str, Typed] = field(default_factory=dict)
    checks: dict[str, CodeCheck] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    conflicting: set[str] = field(default_factory=set)
    """Ids under which different things were asked."""
    broken: set[str] = field(default_factory=set)
    """Ids on whose records a stage breaks."""
    codes: set[str] = field(default_factory=set)
    persons: set[str] = field(default_factory=set)


class People:
    """Everybody who wants something of the pipeline in one run."""

    def __init__(self, world: Deployed, lines: Lines, chance: random.Random) -> None:
        self.world = world
        self.lines = lines
        self.chance = chance
        self.swarm = lines.swarm
        self.done = Done()

    async def publish(self, topic: str, value: AvroRecord | bytes | None, key: bytes) -> tuple[int, int]:
        """As a producer that tries again until it is told that the record is written; where it then is."""
        odd = "misplaced" in self.swarm and self.chance.random() < 0.5
        partition = self.chance.randrange(self.world.partitions) if odd else None
        for _ in range(RETRIES):
            try:
                return await self.world.write(topic, value, key=key, partition=partition)
            except PipelineError:
                await asyncio.sleep(0.3)
        raise AssertionError("the log was away for longer than any simulated outage")

    # --- one verification -----------------------------------------------------------------------------------------

    async def verification(self, verification_id: str) -> None:
        """From its request to the last code anybody types."""
        chance = self.chance
        await asyncio.sleep(chance.uniform(0, 3))
        await self._start(verification_id)
        if chance.random() < 0.1:
            await self._type(verification_id)  # before anybody knows the id
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        acts = [self._type, self._type]
        if "commands" in self.swarm:
            acts.append(self._command)
        if "guessing" in self.swarm:
            acts += [self._guess, self._guess]
        if "absence" in self.swarm:
            # So that right codes lie unread while something falls due.
            acts += [self._right, self._right, self._right]
        if "impatient" in self.swarm:
            acts += [self._resend, self._resend, self._resend]
        while loop.time() < began_s + ACTIVE_S:
            await asyncio.sleep(chance.expovariate(0.5))
            await chance.choice(acts)(verification_id)
        if "rush" in self.swarm:
            await asyncio.gather(self._right(verification_id), self._right(verification_id))
        if "late_typing" in self.swarm:
            own = self._own(verification_id)
            left_s = LIFE_S + chance.choice((-1.5, -0.3, -0.05, 0.05, 0.3, 3.0)) - (loop.time() - began_s)
            if own:
                called_s = next((each.at_s for each in self.lines.world.ends[own[0].provider].asked), began_s)
                left_s += called_s - began_s
            await asyncio.sleep(max(0.0, left_s))
            await self._right(verification_id)
            if chance.random() < 0.5:
                await self._command(verification_id)

    async def _start(self, verification_id: str) -> None:
        chance, world = self.chance, self.world
        mail = list(world.ends) == ["smtp"] or ("smtp" in world.ends and chance.random() < 0.3)
        names = ["smtp"] if mail else [name for name in world.ends if name != "smtp"]
        steps = []
        for _ in range(chance.randint(1, 3)):
            name = chance.choice(names)
            pinned = f"@{name}" if chance.random() < 0.6 else ""
            steps.append(f"{chance.choice(CHANNELS[name])}{pinned}:{chance.choice((5, 8))}")
        # Some share a person, so that reports by recipient may mean either.
        person = MAIL if mail else f"+4915123456{chance.randint(780, 781)}"
        self.done.persons.add(person)
        fields: dict[str, Any] = {}
        if mail or chance.random() < 0.8:
            fields["steps"] = steps_of(" ".join(steps))
        if chance.random() < 0.1:
            fields["code"] = chance.choice(("AB12CD34EF", "0123456789"))
            self.done.codes.add(fields["code"])
        request = VerificationRequest(
            verification_id=verification_id, recipient=person, tenant=chance.choice(("default", "long")),
            expires_in_s=LIFE_S, max_checks=chance.randint(2, 4), **fields,
        )  # fmt: skip
        if chance.random() < 0.08:
            request = replace(request, language="not a language", steps=[])
        topic = topics.REQUESTS
        if "bulk" in self.swarm and chance.random() < 0.6:
            topic = topics.bulk(topic)
            request = replace(request, send_before_at=world.clock.now_ms() + 25_000)
        elif chance.random() < 0.25:
            # Some are waited for in the sender's queue beyond their deadline: by throttling, or while it is away.
            request = replace(request, send_before_at=world.clock.now_ms() + chance.choice((-1, 300, 2_000, 6_000)))
        self.done.requests[verification_id] = [request]
        if "bug" in self.swarm and not self.done.broken and verification_id == "v0":
            self.done.broken.add(verification_id)
        await self.publish(topic, request, person.encode())
        if "doubled_requests" in self.swarm:
            await asyncio.sleep(chance.choice((0.0, 0.1, 3.0)))
            await self.publish(topic, request, person.encode())
        if "bad_input" in self.swarm and chance.random() < 0.3:
            other = replace(request, brand="another")
            if not mail and chance.random() < 0.5:
                other = replace(request, recipient="+4915123456799")
                self.done.persons.add("+4915123456799")
            self.done.requests[verification_id].append(other)
            self.done.conflicting.add(verification_id)
            await self.publish(topic, other, str(other.recipient).encode())

    def _own(self, verification_id: str) -> list[Taken]:
        return [each for each in self.lines.taken if each.command.verification_id == verification_id]

    async def _right(self, verification_id: str) -> None:
        own = self._own(verification_id)
        if own:
            taken = self.chance.choice(own)
            await self._ask(verification_id, taken.message.code, taken.command.attempt_id)
            if "insisting" in self.swarm:
                # Sooner and later than a provider's answer to the first time is given up.
                await asyncio.sleep(self.chance.choice((1.0, 3.0, 7.0)))
                await self._ask(verification_id, taken.message.code, taken.command.attempt_id)

    async def _guess(self, verification_id: str) -> None:
        await self._ask(verification_id, self.chance.choice((WRONG, "99999", "0", "x7", "999999999999")), None)

    async def _type(self, verification_id: str) -> None:
        await (self._right if self.chance.random() < 0.35 else self._guess)(verification_id)

    async def _ask(self, verification_id: str, code: str, attempt_id: str | None) -> None:
        check_id = f"c{len(self.done.typed)}"
        self.done.typed[check_id] = Typed(verification_id, attempt_id)
        unknown = self.chance.random() < 0.03
        asked = CodeCheck(
            check_id=check_id, verification_id=f"{verification_id}x" if unknown else verification_id, code=code
        )
        self.done.checks[check_id] = asked
        await self.publish(topics.CHECKS, asked, verification_id.encode())
        if "doubled_checks" in self.swarm:
            await asyncio.sleep(self.chance.choice((0.0, 0.0, 2.0)))
            await self.publish(topics.CHECKS, asked, verification_id.encode())

    async def _command(self, verification_id: str) -> None:
        actions = (CommandAction.RESEND, CommandAction.FAILOVER, CommandAction.CANCEL)
        told = Command(
            command_id=f"k{len(self.done.commands)}",
            verification_id=verification_id,
            action=self.chance.choices(actions, (5, 4, 1))[0],
            step_index=self.chance.choice((None, None, 0, 1, 7)),
        )
        if told.action is CommandAction.CANCEL:
            told = replace(told, step_index=None)
        await self._tell(told)

    async def _resend(self, verification_id: str) -> None:
        count = len(self.done.commands)
        await self._tell(Command(command_id=f"k{count}", verification_id=verification_id, action=CommandAction.RESEND))

    async def _tell(self, told: Command) -> None:
        self.done.commands[told.command_id] = told
        await self.publish(topics.COMMANDS, told, told.verification_id.encode())

    # --- input nobody can read ------------------------------------------------------------------------------------

    async def nonsense(self) -> None:
        """Some records that can only become dead letters."""
        if "poison_runs" in self.swarm:
            await self._poison_run()
        if "bad_input" not in self.swarm:
            return
        chance = self.chance
        good = self.world.codec.encode(CodeCheck(check_id="cut", verification_id="v0", code="87654321"))
        wide = VerificationRequest(
            verification_id="wide", recipient="+4915123456780", metadata={f"name{n}": "x" * 250 for n in range(10)}
        )
        kinds: tuple[tuple[str, AvroRecord | bytes | None, str], ...] = (
            (topics.CHECKS, b"\x07what is this", "unknown_framing"),
            (topics.CHECKS, b"\xc3\x01" + b"nobody's" + b"x", "unknown_schema"),
            (topics.CHECKS, good[:-6], "undecodable"),
            (topics.COMMANDS, None, "undecodable"),
            (topics.REQUESTS, b"{}", "unknown_framing"),
            (topics.REQUESTS, wide, "too_large"),
        )
        for topic, value, reason in chance.sample(kinds, 3):
            await asyncio.sleep(chance.uniform(0, 5))
            while True:
                # Once only: where it stands must be known for certain. The wide one where it is handled.
                key = b"+4915123456780" if value is wide else b"nobody"
                partition = None if value is wide else chance.randrange(self.world.partitions)
                try:
                    found = await self.world.write(topic, value, key=key, partition=partition, surely=True)
                    break
                except PipelineError:
                    await asyncio.sleep(0.3)
            self.done.bad.append(Bad(topic, found[0], found[1], reason))

    async def _poison_run(self) -> None:
        """Of one faulty producer, with nothing good between; twice as many as stop a stage."""
        await asyncio.sleep(self.chance.uniform(1, 10))
        topic = self.chance.choice((topics.CHECKS, topics.REQUESTS))
        partition = self.chance.randrange(self.world.partitions)
        for _ in range(2 * POISON_RUN):
            where = await self.world.write(topic, b"\x07rubbish", key=b"nobody", partition=partition, surely=True)
            self.done.bad.append(Bad(topic, *where, "unknown_framing"))

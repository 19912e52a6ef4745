"""One run: processes that live and die, people who ask, and the time until everything has ended."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from typing import Any, Final

import structlog
from structlog.testing import capture_logs

from pipeline import topics
from pipeline.errors import DeadLetterReason
from pipeline.records.public import DeadLetter, VerificationOutcome
from pipeline.runtime.log import TopicPartition
from pipeline.testing import virtual_time
from pipeline.testing.deployment import Process
from pipeline.testing.simulation.deployed import Deployed
from pipeline.testing.simulation.history import History
from pipeline.testing.simulation.line import Lines
from pipeline.testing.simulation.machine import Machine, task_factory
from pipeline.testing.simulation.people import People
from pipeline.testing.simulation.reports import Reporters
from pipeline.testing.simulation.steps import Steps
from pipeline.testing.simulation.swarm import Swarm

RAGE_S: Final = 18.0
"""From then on nothing goes wrong any more, so that everything can end."""
LATEST_S: Final = 170.0
ABSENCES_S: Final = (6.0, 12.0, 25.0, 40.0)
"""Longer than the waits of steps, and the last ones reach beyond the end of a code."""
QUIET_S: Final = 7.0
"""What is under way when the last outcome is written has ended then: a call, a receipt, a report to a provider."""


def simulate(seed: int, tell: Callable[[str], None] | None = None) -> History:
    """Run one seed to its end; what there is to see of it. ``tell`` is told each step."""
    with capture_logs() as lines:
        if tell is not None:
            structlog.get_config()["processors"].insert(0, _told(tell))
        history = virtual_time.run(_Run(seed, Steps(tell)).run())
    history.lines = lines
    return history


def _told(tell: Callable[[str], None]) -> Any:
    def processor(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        said = {name: value for name, value in event.items() if name not in ("event", "exc_info")}
        tell(f"{'':10}  {'log':<24} {event['event']} {said}")
        return event

    return processor


class _Run:
    def __init__(self, seed: int, steps: Steps) -> None:
        self.seed = seed
        self.steps = steps
        self.swarm = Swarm.of(self._chance("swarm"))
        self.chance = self._chance("lives")
        self.rages = True
        self.over = asyncio.Event()
        self.ends: list[BaseException] = []
        self.killed = 0
        self.leaves: dict[str, tuple[float, float]] = {}
        """Who is not there for long: from when, and for how long."""
        self.still_until_s = 0.0
        """Until then some process stands still, or is not there, and answers nobody."""

    def _chance(self, of: str) -> random.Random:
        """A stream of its own for each, so that one decision more in one does not change all others."""
        return random.Random(f"{self.seed}/{of}")  # noqa: S311 - to be repeated, not to be secret

    async def run(self) -> History:
        asyncio.get_running_loop().set_task_factory(task_factory)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        self.world = world = Deployed(self.swarm, self._chance("world"), self.steps)
        self.lines = Lines(world, self.swarm, self._chance("weather"), self.steps)
        self.people = People(world, self.lines, self._chance("people"))
        world.broken = self.people.done.broken
        reporters = Reporters(world, self.lines, self._chance("reports"))
        for part in (world.moods, self.lines):
            part.rages = lambda: self.rages
        self.steps.note(f"seed {self.seed}: {', '.join(sorted(self.swarm.on))}; providers {', '.join(world.ends)}")
        if "absence" in self.swarm:
            absent = self.chance.choice(("tracker", "tracker", "tracker", "correlator", "router", "sender"))
            self.leaves[absent] = self.chance.uniform(3, 10), self.chance.choice(ABSENCES_S)
        lives = [asyncio.create_task(self._live(name, 0)) for name in ("router", "tracker", "correlator", "sender")]
        if "members" in self.swarm:
            lives += [
                asyncio.create_task(self._live(name, 1))
                for name in ("router", "tracker", "sender")
                if name not in self.leaves
            ]
        troubles = asyncio.create_task(self._troubles())
        reporting = asyncio.create_task(reporters.run(RAGE_S))
        self.ids = [f"v{n}" for n in range(self.chance.randint(2, 3))]
        await asyncio.gather(*(self.people.verification(each) for each in self.ids), self.people.nonsense())
        await asyncio.gather(troubles, reporting)
        settled = await self._settled()
        history = History(
            seed=self.seed,
            swarm=self.swarm,
            world=world,
            done=self.people.done,
            lines_=self.lines,
            reporters=reporters,
            ids=self.ids,
            settled=settled,
            killed=self.killed,
        )
        self.over.set()
        await asyncio.gather(*lives)
        history.ends = self.ends
        await history.read()
        history.digest = self._digest()
        await self._bury()
        return history

    # --- processes ------------------------------------------------------------------------------------------------

    async def _live(self, name: str, instance: int) -> None:
        """Run a process, let it die or end at some moment, and begin again, until the run is over."""
        chance, loop = self.chance, asyncio.get_running_loop()
        if instance or ("away" in self.swarm and chance.random() < 0.5):
            await asyncio.sleep(chance.uniform(1, 7))
        while not self.over.is_set():
            process = Process(self.world.cluster, instance, self.world.host_clock(f"{name}-{instance}"))
            machine = self.world.machine(f"{name}-{instance}", process)
            stop = asyncio.Event()
            self.steps.note(f"{machine.name} starts")
            serving = machine.start(self._serve(process, stop, name))
            fate = loop.create_task(self._fate(machine, stop, is_guest=instance > 0))
            over = loop.create_task(self.over.wait())
            leave = loop.create_task(self._leave(name if not instance else ""))
            await asyncio.wait({serving, fate, over, leave}, return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            away_s = self.leaves.pop(name)[1] if leave.done() else 0.0
            if not machine.dead:
                # An end has its deadline; one that takes longer is killed as by a supervisor.
                dead = loop.create_task(_death(machine))
                await asyncio.wait({serving, dead}, timeout=40, return_when=asyncio.FIRST_COMPLETED)
                dead.cancel()
            for each in (fate, over, leave):
                each.cancel()
            self.steps.note(f"{machine.name} {'is dead' if machine.dead else 'has ended'}")
            self.killed += machine.dead
            machine.kill()
            if instance and not self.rages:
                return
            if away_s:
                self.steps.note(f"{machine.name} is not there for {away_s} s")
                self.still_until_s = max(self.still_until_s, loop.time() + away_s)
                await asyncio.sleep(away_s)
                continue
            pauses = (0.05, 0.05, 0.5, 3.0, 8.0 if instance or chance.random() < 0.2 else 1.0)
            await asyncio.sleep(chance.choice(pauses) if self.rages else 0.05)

    async def _leave(self, name: str) -> None:
        """Return when that stage is to be away for long; its process ends in good order."""
        if name not in self.leaves:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(max(0.0, self.leaves[name][0] - asyncio.get_running_loop().time()))

    async def _serve(self, process: Process, stop: asyncio.Event, name: str) -> None:
        runners, health = self.world.runners(process, name)
        running = [asyncio.create_task(runner.run()) for runner in runners]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
        for runner in runners:
            runner.stop()
        ended = await asyncio.gather(*running, return_exceptions=True)
        self.ends += [each for each in ended if isinstance(each, BaseException)]
        await health.stop()
        stopping.cancel()

    async def _fate(self, machine: Machine, stop: asyncio.Event, *, is_guest: bool) -> None:
        """Return when it is time for the process to end, or when it is dead."""
        chance, swarm = self.chance, self.swarm
        if self.rages and "kills" in swarm and chance.random() < 0.7:
            if chance.random() < 0.7:
                machine.dies_after_acts(chance.choice((1, 2, 3, 5, 8, 13, 25)), chance.randint(0, 12))
            else:
                machine.dies_after_steps(int(10 ** chance.uniform(0.5, 3)))
        if self.rages and "freezes" in swarm and chance.random() < 0.5:
            await asyncio.sleep(chance.uniform(0.5, 8))
            seconds = chance.choice((0.3, 2.5, 4.0, 9.0))
            if self.rages and not machine.dead:
                self.steps.note(f"{machine.name} stands still for {seconds} s")
                self.still_until_s = max(self.still_until_s, asyncio.get_running_loop().time() + seconds)
                frozen = asyncio.create_task(machine.stand_still(seconds))
                if seconds > 6 and chance.random() < 0.7:
                    # It sends no heartbeats: the group goes on without it.
                    await asyncio.sleep(6)
                    self._expel(machine.name)
                await frozen
        if is_guest or ("stops" in swarm and self.rages and chance.random() < 0.7):
            await asyncio.wait({asyncio.create_task(_death(machine))}, timeout=chance.uniform(1, 8))
            return
        await _death(machine)

    def _expel(self, machine: str) -> None:
        name, _, instance = machine.rpartition("-")
        groups = [f"sender.{each}" for each in self.world.ends] if name == "sender" else [name]
        for group in groups:
            self.steps.note(f"{group} forgets {group}-{instance}")
            self.world.cluster.expire(group, f"{group}-{instance}")

    async def _troubles(self) -> None:
        """What befalls the log and the clocks, until nothing goes wrong any more."""
        chance, world, loop = self.chance, self.world, asyncio.get_running_loop()
        while (left_s := RAGE_S - loop.time()) > 0:
            await asyncio.sleep(min(left_s, chance.uniform(1, 6)))
            if "outages" in self.swarm and chance.random() < 0.4:
                world.moods.away_until_s = loop.time() + chance.uniform(0.5, 4)
                self.steps.note("the log is away")
            if "jumps" in self.swarm and world.hosts:
                world.jump(chance.choice(sorted(world.hosts)))
            if "expulsions" in self.swarm and chance.random() < 0.5:
                self._expel(f"{chance.choice(('router', 'tracker', 'correlator', 'sender'))}-0")
        self.rages = False
        self.steps.note("nothing goes wrong any more")

    # --- the end --------------------------------------------------------------------------------------------------

    async def _settled(self) -> bool:
        """Wait until everything has ended; False when it did not in time."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(2)
            refused = self.people.done.broken if self._is_refused() else set()
            if {*self.ids} <= self._final() | refused and self._is_bad_input_told():
                break
            if loop.time() > LATEST_S:
                return False
        await asyncio.sleep(max(0.0, self.still_until_s - loop.time()) + QUIET_S)
        return True

    def _is_refused(self) -> bool:
        """Whether a stage refused a record; a letter about input that nobody can read says nothing of that."""
        return any(each.reason == DeadLetterReason.HANDLER_REFUSED for each in self._letters())

    def _is_bad_input_told(self) -> bool:
        """A stage that breaks on the records before may come to it long after all else has ended."""
        told = {(each.topic, each.partition, each.offset) for each in self._letters()}
        return told >= {(each.topic, each.partition, each.offset) for each in self.people.done.bad}

    def _letters(self) -> list[DeadLetter]:
        return [
            self.world.codec.decode(DeadLetter, entry.value, public=False)
            for _, _, entry in self.world_entries(topics.DEAD_LETTERS)
            if entry.is_visible and entry.value is not None
        ]

    def _final(self) -> set[str]:
        found: set[str] = set()
        for _, _, entry in self.world_entries(topics.OUTCOMES):
            if entry.is_visible and entry.value is not None:
                outcome = self.world.codec.decode(VerificationOutcome, entry.value, public=False)
                if outcome.is_final:
                    found.add(outcome.verification_id)
        return found

    def world_entries(self, *names: str) -> Any:
        """Every entry of these topics, or of all, in order."""
        for topic in names or sorted(each.name for each in self.world.topics):
            for number in range(self.world.cluster.partition_count(topic)):
                for entry in self.world.cluster.partition(TopicPartition(topic, number)).entries:
                    yield topic, number, entry

    def _digest(self) -> str:
        """Of every byte in every topic, whatever became of its transaction."""
        digest = hashlib.sha256()
        for topic, number, entry in self.world_entries():
            fate = entry.span.fate.name if entry.span else ""
            digest.update(
                repr(
                    (topic, number, entry.offset, entry.timestamp_ms, entry.key, entry.value, entry.headers, fate)
                ).encode()
            )
        return digest.hexdigest()

    async def _bury(self) -> None:
        for machine in self.world.machines:
            machine.bury()
        left = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in left:
            each.cancel()
        await asyncio.wait(left, timeout=1) if left else None


async def _death(machine: Machine) -> None:
    while not machine.dead:  # noqa: ASYNC110 - it dies between two resumes, where nothing can be set
        await asyncio.sleep(0.25)

"""All that runs for a demo: broker, simulator, pipeline; begun in this order and ended in the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from pipeline import topics_admin
from pipeline.clock import Clock
from pipeline.demo.cast import PARTITIONS
from pipeline.demo.place import Place, command, environment, home
from pipeline.dev.broker import DevBroker
from pipeline.dev.jars import Progress
from pipeline.dev.process import LeashedProcess
from pipeline.errors import Infrastructure
from pipeline.settings import Settings
from pipeline.topics_file import load, wanted_topics

READY_S: Final = 90.0
"""How long the pipeline may take to be ready; it joins its groups in a few seconds."""
_GRACE_S: Final = 10.0
_LAST_LINES: Final = 15

Say = Callable[[str], None]


class ChildEnded(Infrastructure):
    """A child process ended by itself; the message has the last lines of its log."""


@dataclass(slots=True)
class Child:
    """One process of ours and its log."""

    name: str
    log: Path
    process: LeashedProcess

    def check(self) -> None:
        """Raises ChildEnded when it is gone."""
        if not self.process.running:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
            raise ChildEnded(f"the {self.name} has ended by itself:\n" + "\n".join(lines))


@dataclass(slots=True)
class Running:
    """What is up; :func:`everything` makes it."""

    settings: Settings
    broker: DevBroker
    children: list[Child] = field(default_factory=list)

    def check(self) -> None:
        """Raises ChildEnded when one of them has ended by itself."""
        for child in self.children:
            child.check()
        if not self.broker.running:
            raise ChildEnded(f"Kafka has ended by itself:\n{self.broker.last_lines()}")


@asynccontextmanager
async def everything(place: Place, *, clock: Clock, say: Say, progress: Progress) -> AsyncIterator[Running]:
    """Start it all and wait until it is ready; end it all afterwards, whatever happened.

    ``say`` is told what begins and how long it took. Raises UsageError (no Java, no port), Infrastructure (no jars,
    not ready in time, ended at start).
    """
    timed = _Timed(clock, say)
    broker = DevBroker(data_dir=place.folder / "kafka", progress=progress)
    children: list[Child] = []
    try:
        async with timed("Apache Kafka " + broker.kafka_version):
            await broker.start()
        settings = place.configure(broker.bootstrap_servers, clock)
        async with timed("topics"):
            await _apply_topics(settings)
        async with timed("simulated providers"):
            children.append(_begin(place, "simulator", "simulator"))
            await _ready(f"{place.simulator}/healthz", children, clock)
        async with timed("pipeline: router, tracker, senders, gateway"):
            children.append(_begin(place, "pipeline", "run", "all"))
            await _ready(f"{place.status}/readyz", children, clock)
        yield Running(settings=settings, broker=broker, children=children)
    finally:
        for child in reversed(children):
            # In a thread, as it waits; shielded, so that a second Ctrl-C does not leave the rest running.
            await asyncio.shield(asyncio.to_thread(child.process.end))
        await asyncio.shield(broker.stop())


class _Timed:
    """Says what begins, and how long it took."""

    def __init__(self, clock: Clock, say: Say) -> None:
        self._clock = clock
        self._say = say

    @asynccontextmanager
    async def __call__(self, what: str) -> AsyncIterator[None]:
        self._say(f"Starting {what} …")
        began = self._clock.monotonic_s()
        yield
        self._say(f"  ready after {self._clock.monotonic_s() - began:.1f} s")


def _begin(place: Place, name: str, *arguments: str) -> Child:
    log = place.log(name)
    process = LeashedProcess(
        command(place.config, *arguments), log=log, folder=home(), grace_s=_GRACE_S, environment=environment()
    )
    return Child(name=name, log=log, process=process)


async def _apply_topics(settings: Settings) -> None:
    wanted = wanted_topics(
        load(),
        providers=settings.providers,
        partitions=PARTITIONS,
        replication_factor=1,
        id_horizon_s=settings.policy.id_horizon_s,
    )
    await topics_admin.apply(settings.kafka, wanted, partitions=PARTITIONS)


async def _ready(url: str, children: list[Child], clock: Clock) -> None:
    """Until ``url`` answers 200; raises Infrastructure with what is still missing."""
    began = clock.monotonic_s()
    missing = "it does not answer"
    async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
        while True:
            for child in children:
                child.check()
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.get(url)
                if answer.status_code == 200:
                    return
                missing = _missing(answer)
            if clock.monotonic_s() - began > READY_S:
                raise Infrastructure(f"the {children[-1].name} was not ready within {READY_S:.0f} s: {missing}")
            await asyncio.sleep(0.1)


def _missing(answer: httpx.Response) -> str:
    try:
        return "; ".join(answer.json()["missing"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"it answers {answer.status_code}"

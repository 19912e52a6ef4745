"""A whole demo from its first process to its last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from pipeline.client import VerificationClient
from pipeline.clock import Clock, SystemClock
from pipeline.demo.case import Case
from pipeline.demo.evidence import Evidence, Played, gather
from pipeline.demo.finding import Finding
from pipeline.demo.inbox import Inbox
from pipeline.demo.place import Place, new_place
from pipeline.demo.play import REPLY_S, Player
from pipeline.demo.rest import Rest
from pipeline.demo.running import Running, everything
from pipeline.demo.scenario import behaviours, kinds, scenario
from pipeline.demo.screen import Screen
from pipeline.demo.verdict import findings
from pipeline.dev.jars import Progress
from pipeline.errors import UsageError
from pipeline.process import connected

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a demo came to."""

    place: Place
    cases: Sequence[Case]
    evidence: Evidence
    findings: Sequence[Finding]
    took_s: float

    @property
    def good(self) -> bool:
        """Whether every case came out as it must."""
        return not self.findings


async def demo(
    *,
    verifications: int,
    stay: bool,
    screen: Screen,
    progress: Progress,
    on_ready: Callable[[Place], None],
    on_report: Callable[[Report], None],
    clock: Clock | None = None,
) -> bool:
    """Start everything, play, judge, end everything; whether all was good.

    ``on_ready`` is told where it runs, ``on_report`` what came of it, both while all is up. With ``stay`` it is only
    ended when this is cancelled. The folder goes with it, except after a failure. Raises
    UsageError (no Java, no port) and Infrastructure (no jars, a process that does not start or ends by itself).
    """
    clock = clock or SystemClock()
    began_s = clock.monotonic_s()
    place = new_place()
    report: Report | None = None
    keep = True
    try:
        async with everything(place, clock=clock, say=screen.say, progress=progress) as running:
            on_ready(place)
            cases = scenario(verifications, now_ms=clock.now_ms())
            screen.say(f"Playing {len(cases)} verifications of {kinds(cases)} kinds …")
            evidence = await _watched(_played(cases, place, running, clock, screen), running)
            report = Report(
                place=place,
                cases=cases,
                evidence=evidence,
                findings=findings(cases, evidence),
                took_s=clock.monotonic_s() - began_s,
            )
            keep = not report.good
            on_report(report)
            if stay:
                await _watched(asyncio.Event().wait(), running)
    except asyncio.CancelledError:
        if report is None:
            keep = False  # ended before its end: nothing to look into
            raise
    except UsageError:
        keep = False  # nothing has run that left anything to look at
        raise
    finally:
        if keep and any(place.folder.iterdir()):
            screen.say(f"Logs and settings are kept in {place.folder}")
        else:
            place.remove()
    return report.good


async def _watched(work: Coroutine[Any, Any, T], running: Running) -> T:
    """Do it; raises ChildEnded as soon as one of the processes is gone, instead of waiting in vain."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            running.check()
            await asyncio.wait((task,), timeout=0.5)
        return task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(task, return_exceptions=True)


async def _played(cases: Sequence[Case], place: Place, running: Running, clock: Clock, screen: Screen) -> Evidence:
    """As any outside client: requests and checks over Kafka and HTTP, messages from the simulator's inbox."""
    async with (
        httpx.AsyncClient(base_url=place.simulator, timeout=10.0, trust_env=False) as simulator,
        httpx.AsyncClient(base_url=place.gateway, timeout=REPLY_S, trust_env=False, headers=place.api_auth) as gateway,
        connected(running.settings, client_id="demo") as (log, codec),
        VerificationClient(log=log, codec=codec, clock=clock) as client,
        Inbox(simulator) as inbox,
    ):
        for kind, behaviour in behaviours(cases).items():
            (await simulator.put(f"/behaviour/{kind}", json=behaviour)).raise_for_status()
        producer = await log.producer()
        screen.begin(len(cases))
        try:
            player = Player(
                client=client,
                rest=Rest(gateway),
                producer=producer,
                codec=codec,
                inbox=inbox,
                clock=clock,
                on_end=screen.ended,
            )
            played: dict[str, Played] = await player.play(cases)
        finally:
            screen.end()
            await producer.stop()
        return await gather(
            log=log,
            codec=codec,
            simulator=simulator,
            played=played,
            complete=lambda evidence: not findings(cases, evidence),
        )

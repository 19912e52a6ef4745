"""No fault sends one attempt twice, whichever provider it is: each kind with its real client against its simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from pipeline.clock import SystemClock
from pipeline.dev.ports import free_port
from pipeline.records.types import AttemptResult
from pipeline.senders import registry
from pipeline.senders.calls import CallFinished
from pipeline.senders.engine import SenderEngine
from pipeline.senders.registry import Limits
from pipeline.senders.stage import SenderStage
from pipeline.settings import SimulatorSettings
from pipeline.simulator.server import Simulator
from tests.integration.senders.kinds import KINDS, due, engine, settings
from tests.unit.senders.doubles import Lost, Partition, Task

LIMITS = Limits(max_concurrency=4, rate_per_s=1_000, timeout_s=0.6, connect_timeout_s=0.3)


@dataclass
class Host:
    """A process around a real engine."""

    engine: SenderEngine
    clock: SystemClock = field(default_factory=SystemClock)

    def stage(self, partition: int, max_held: int) -> SenderStage:
        return self.engine.stage(partition)


@dataclass
class World:
    """One attempt at one provider, and the processes that try to send it."""

    kind: str
    simulator: Simulator
    log: Partition = field(default_factory=Partition)
    hosts: list[Host] = field(default_factory=list)

    def process(self, **section: Any) -> Task:
        """A process that takes the partition over."""
        configured = settings(self.kind, self.simulator, **section)
        self.hosts.append(Host(engine(configured, self.kind, LIMITS)))
        return Task(self.hosts[-1], self.log)  # type: ignore[arg-type]

    async def behave(self, **default: Any) -> None:
        async with httpx.AsyncClient() as http:
            put = await http.put(f"{self.simulator.url}/behaviour/{self.kind}", json={"default": default})
            put.raise_for_status()

    @property
    def messages(self) -> int:
        """How many reached the person."""
        return len(self.simulator.world.inbox.find(recipient=KINDS[self.kind].recipient))

    @property
    def asked(self) -> int:
        """How many requests to send the provider saw."""
        return len(list(self.simulator.world.calls.lines()))

    @property
    def result(self) -> AttemptResult:
        [(_, result)] = self.log.results
        return result.result

    async def close(self) -> None:
        for host in self.hosts:
            await host.engine.close()


@pytest.fixture(params=sorted(KINDS))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    simulator = Simulator(SimulatorSettings(port=0, smtp_port=0))
    await simulator.start()
    made = World(request.param, simulator)
    yield made
    await made.close()
    await simulator.stop()


async def run(task: Task, until: Callable[[], bool], *, turn: Callable[[], None] | None = None) -> None:
    """Let the task take turn after turn, or only time pass with a ``turn`` that does nothing."""
    async with asyncio.timeout(8):
        while not until():
            (turn or task.run)()
            await asyncio.sleep(0.005)


def test_every_kind_of_provider_is_here() -> None:
    assert set(KINDS) == set(registry.KINDS)


async def test_without_a_fault_the_person_gets_one_message(world: World) -> None:
    task = world.process()
    world.log.write(due(world.kind))
    await run(task, lambda: bool(world.log.results))
    assert (world.result, world.messages, world.asked) == (AttemptResult.ACCEPTED, 1, 1)


@pytest.mark.parametrize(
    ("fault", "messages"),
    [
        ({"fault": "close_before_reading"}, 0),
        ({"fault": "close_after_reading"}, 1),
        ({"fault": "reset_after_reading"}, 1),
        ({"fault": "close_after_reading", "sends": False}, 0),
        ({"fault": "no_answer"}, 1),
        ({"fault": "garbage"}, 1),
        ({"fault": "truncated"}, 1),
        ({"refusal": "internal", "sends": True}, 1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
async def test_a_fault_leaves_the_attempt_in_doubt_and_never_sends_it_again(
    world: World, fault: dict[str, Any], messages: int
) -> None:
    await world.behave(**fault)
    task = world.process()
    world.log.write(due(world.kind))
    await run(task, lambda: bool(world.log.results))
    await world.behave()
    again = world.process()
    await run(again, lambda: True)
    await asyncio.sleep(0.1)
    believed = "refusal" in fault and KINDS[world.kind].believed
    assert world.result is (AttemptResult.REJECTED if believed else AttemptResult.IN_DOUBT)
    assert (world.messages, world.asked) == (messages, 1)


async def test_a_refused_connection_is_certainly_not_sent(world: World) -> None:
    task = world.process(**_nowhere(world.kind))
    world.log.write(due(world.kind))
    await run(task, lambda: bool(world.log.results))
    assert (world.result, world.messages, world.asked) == (AttemptResult.NOT_SENT, 0, 0)


def _nowhere(kind: str) -> dict[str, Any]:
    port = free_port("127.0.0.1")
    return {"port": port} if kind == "smtp" else {"base_url": f"http://127.0.0.1:{port}"}


# A process that dies -------------------------------------------------------------------------------------------------


async def test_killed_before_started_is_committed_it_is_sent_by_the_next_process(world: World) -> None:
    task = world.process()
    task.run()
    world.log.write(due(world.kind))
    with pytest.raises(Lost):
        task.feed(lose="before")
    await run(world.process(), lambda: bool(world.log.results))
    assert (world.result, world.messages, world.asked) == (AttemptResult.ACCEPTED, 1, 1)


async def test_killed_between_started_and_the_call_it_is_in_doubt(world: World) -> None:
    task = world.process()
    task.run()
    world.log.write(due(world.kind))
    with pytest.raises(Lost):
        task.feed(lose="after")
    await run(world.process(), lambda: bool(world.log.results))
    assert (world.result, world.messages, world.asked) == (AttemptResult.IN_DOUBT, 0, 0)


async def test_killed_during_the_call_it_is_in_doubt(world: World) -> None:
    await world.behave(delay_ms=400)
    task = world.process()
    world.log.write(due(world.kind))
    await run(task, lambda: world.asked == 1)
    await world.hosts[0].engine.close()
    await run(world.process(), lambda: bool(world.log.results))
    await asyncio.sleep(0.5)
    assert (world.result, world.asked) == (AttemptResult.IN_DOUBT, 1)
    assert world.messages <= 1


async def test_killed_between_the_answer_and_its_commit_it_is_in_doubt(world: World) -> None:
    task = await _answered(world)
    with pytest.raises(Lost):
        task.settle_one(lose="before")
    await run(world.process(), lambda: bool(world.log.results))
    assert (world.result, world.messages, world.asked) == (AttemptResult.IN_DOUBT, 1, 1)


async def test_killed_after_the_commit_everything_is_said(world: World) -> None:
    task = await _answered(world)
    with pytest.raises(Lost):
        task.settle_one(lose="after")
    after = world.process()
    await run(after, lambda: True)
    await asyncio.sleep(0.1)
    assert (world.result, world.messages, world.asked) == (AttemptResult.ACCEPTED, 1, 1)


async def _answered(world: World) -> Task:
    """A task that has heard of the end of its call and handled nothing of it."""
    task = world.process()
    task.run()
    world.log.write(due(world.kind))
    task.feed()
    await run(task, lambda: any(isinstance(event, CallFinished) for event in task.events), turn=lambda: None)
    task.events = [event for event in task.events if isinstance(event, CallFinished)]
    return task

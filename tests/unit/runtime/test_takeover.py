"""The moment in which a task changes its owner, on the in-memory log."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.restore import POSITION_KEY, encode_position
from pipeline.testing import virtual_time
from pipeline.testing.memory_log import Faults, MemoryLog, MemoryWriter
from tests.unit.runtime.waiting import PERSON, WaitingStage, World

QUESTION = TopicPartition("questions", 0)


class LastWord(Faults):
    """The former owner commits what it has in hand just before the next one fences it."""

    def __init__(self) -> None:
        self.former: MemoryWriter | None = None
        self.outputs = [Emit("told", PERSON, b"wait", 0)]

    async def before_start(self, writer: str) -> None:
        former, self.former = self.former, None
        if former is not None and writer == "waiting.0":
            await former.commit(self.outputs, {QUESTION: 1}, WaitingStage.name)


async def story(*, with_state: bool) -> list[bytes | None]:
    faults = LastWord()
    world = World(faults)
    await world.write("questions", b"wait")
    former = MemoryLog(world.cluster).writer("waiting.0")
    await former.start()
    if with_state:
        position = encode_position({"questions": 1, "answers": 0}, 1)
        faults.outputs += [
            Emit(WaitingStage.changelog, PERSON, str(world.clock.now_ms() + 600_000).encode(), 0),
            Emit(WaitingStage.changelog, POSITION_KEY, position, 0),
        ]
    faults.former = former
    await world.run_for(5)
    return await world.told()


def test_what_the_former_owner_committed_last_is_not_handled_again() -> None:
    """Positions read before the fence would be those from before its last commit: one input, two outputs."""
    assert virtual_time.run(story(with_state=False)) == [b"wait"]


def test_what_the_former_owner_wrote_last_to_its_state_is_found() -> None:
    assert virtual_time.run(story(with_state=True)) == [b"wait"]


class SlowGroup(Faults):
    """Who joins a second time needs a second to begin with it, and is not answered before the test says so."""

    def __init__(self) -> None:
        self.joins = 0
        self.answers = asyncio.Event()

    async def before_revoke(self, group: str, instance: str) -> None:
        await asyncio.sleep(1 if self.joins else 0)

    async def before_join(self, group: str, instance: str) -> None:
        self.joins += 1
        if self.joins > 1:
            await self.answers.wait()


def test_a_fenced_owner_leaves_the_task_alone_until_the_group_gives_it_back() -> None:
    """Initialised again in place it would fence the new owner, who would fence it: ping-pong for ever."""

    async def story() -> None:
        faults = SlowGroup()
        world = World(faults)
        running = asyncio.create_task(world.run_for(60))
        await asyncio.sleep(5)
        rival = MemoryLog(world.cluster).writer("waiting.0")
        await rival.start()
        await world.write("questions", b"wait")
        for _ in range(20):
            await asyncio.sleep(0.5)
            await rival.commit([Emit("told", PERSON, b"the new owner was here", 0)], {}, WaitingStage.name)
        assert faults.joins == 2, "the fenced owner asks the group once who owns what"
        faults.answers.set()
        await asyncio.sleep(5)
        assert await world.told() == [b"the new owner was here"] * 20 + [b"wait"]
        assert faults.joins == 2
        await running

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("group", "changelog"),
    [
        pytest.param(None, 2, id="the group forgot"),
        pytest.param(1, 2, id="the group is behind"),
        pytest.param(2, 1, id="the state is behind"),
        pytest.param(2, None, id="there is no state"),
    ],
)
def test_the_newer_of_the_groups_and_the_changelogs_position_counts(group: int | None, changelog: int | None) -> None:
    """The older one would hand records to the stage a second time."""

    async def story() -> list[bytes | None]:
        world = World()
        for value in (b"first", b"second"):
            await world.write("questions", value)
        former = MemoryLog(world.cluster).writer("waiting.0")
        await former.start()
        outputs = [Emit("told", PERSON, value, 0) for value in (b"first", b"second")]
        if changelog is not None:
            position = encode_position({"questions": changelog, "answers": 0}, 1)
            outputs.append(Emit(WaitingStage.changelog, POSITION_KEY, position, 0))
        await former.commit(outputs, {} if group is None else {QUESTION: group}, WaitingStage.name)
        await world.write("questions", b"third")
        await world.run_for(5)
        return await world.told()

    assert virtual_time.run(story()) == [b"first", b"second", b"third"]

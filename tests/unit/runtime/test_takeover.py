"""The moment in which a task changes its owner, on the in-memory log."""

from __future__ import annotations

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

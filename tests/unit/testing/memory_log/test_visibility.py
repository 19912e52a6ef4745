"""Whatever the order of transactions, readers see committed ones whole, in order, once, and nothing else."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runtime.log import TopicPartition
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import MemoryCluster, MemoryLog, MemoryWriter
from tests.unit.testing.memory_log.support import TOPIC, emit

PARTITIONS = [TopicPartition(TOPIC, number) for number in range(3)]

Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "append", "commit", "abort", "restart", "plain", "read"]),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=60,
)


class World:
    """Three writers, three partitions, one reader that reads bit by bit, and what should come of it."""

    def __init__(self) -> None:
        cluster = MemoryCluster(ManualClock(), partitions={TOPIC: 3})
        self.log = MemoryLog(cluster)
        self.expected: dict[bytes, bool] = {}
        self.seen: list[tuple[int, int, bytes]] = []
        self._writers: dict[int, MemoryWriter] = {}
        self._open: dict[int, list[bytes]] = {0: [], 1: [], 2: []}

    async def start(self) -> None:
        self.reader = await self.log.reader(dict.fromkeys(PARTITIONS, 0))
        self._producer = await self.log.producer()
        for number in range(3):
            await self._restart(number)

    async def play(self, step: Step) -> None:
        what, writer, partition = step
        value = b"%d" % len(self.expected)
        if what == "append":
            await self._writers[writer].append([emit(value, partition)])
            self._open[writer].append(value)
            self.expected[value] = False
        elif what in ("commit", "abort"):
            await self._writers[writer].end(commit=what == "commit")
            self.expected.update(dict.fromkeys(self._open[writer], what == "commit"))
            self._open[writer] = []
        elif what == "restart":
            await self._restart(writer)
        elif what == "plain":
            await self._producer.send(emit(value, partition))
            self.expected[value] = True
        elif what == "read":
            await self.read(max_records=1 + writer)

    async def read(self, *, max_records: int) -> int:
        before = {where: await self.reader.position(where) for where in PARTITIONS}
        records = await self.reader.fetch(timeout_ms=0, max_records=max_records)
        for where, end in (await self.log.end_offsets(PARTITIONS)).items():
            assert before[where] <= await self.reader.position(where) <= end
        assert len(records) <= max_records
        for record in records:
            assert record.value is not None
            assert before[PARTITIONS[record.partition]] <= record.offset
            self.seen.append((record.partition, record.offset, record.value))
        return len(records)

    async def end(self) -> None:
        for number in range(3):
            await self._restart(number)
        while await self.read(max_records=5):
            pass
        for where, end in (await self.log.end_offsets(PARTITIONS)).items():
            assert await self.reader.position(where) == end

    async def _restart(self, number: int) -> None:
        self._writers[number] = self.log.writer(f"writer-{number}")
        await self._writers[number].start()
        self._open[number] = []


@settings(max_examples=150, deadline=None)
@given(steps)
def test_a_reader_sees_exactly_what_was_committed_in_order_and_once(program: list[Step]) -> None:
    async def run() -> World:
        world = World()
        await world.start()
        for step in program:
            await world.play(step)
        await world.end()
        return world

    world = asyncio.run(run())
    assert sorted(value for _, _, value in world.seen) == sorted(
        value for value, is_committed in world.expected.items() if is_committed
    )
    for number in range(3):
        offsets = [offset for partition, offset, _ in world.seen if partition == number]
        assert offsets == sorted(set(offsets))

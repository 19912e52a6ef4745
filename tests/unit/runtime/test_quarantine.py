"""A bug of a stage, wherever it is met, costs the record it is met at and nothing else."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from pipeline.runtime.api import Deadline, Effects, Emit, Queue, Record, Refusal, StateView
from pipeline.settings import RuntimeSettings
from pipeline.testing.memory_log import Faults
from tests.integration.runtime.sample import Count, CountingStage, PlainDeadLetters
from tests.unit.runtime.counting import World, world

BAD_MS = 7


class NoEntry(CountingStage):
    """Cannot write one entry down."""

    def encode(self, value: Count) -> bytes:
        if value.wake_at_ms == BAD_MS:
            raise OverflowError("too large a number")
        return super().encode(value)


class NoDeadline(CountingStage):
    """Cannot say when one entry is due."""

    def deadline(self, value: Count) -> Deadline | None:
        if value.wake_at_ms == BAD_MS:
            raise OverflowError("too large a number")
        return super().deadline(value)


async def dead(world: World) -> list[list[object]]:
    return [orjson.loads(value) for value in await world.values("dead")]


@pytest.mark.parametrize("stage", [NoEntry, NoDeadline])
def test_a_record_whose_entry_the_stage_fails_on_is_quarantined_and_its_neighbours_live(
    stage: type[CountingStage],
) -> None:
    @world
    async def story(world: World) -> None:
        await world.publish(b"v")
        await world.publish(b"wake:%d" % BAD_MS, key=b"bad")
        await world.publish(b"v")
        async with world.running(stage) as (_, measured, _):
            await asyncio.sleep(30)
            assert measured.total("task_rebuilds_total") <= 4
        assert await dead(world) == [["handler_refused", "in", 1]]
        assert await world.seen() == [1, 2]

    story()


@pytest.mark.parametrize("stage", [NoEntry, NoDeadline])
def test_an_entry_that_the_stage_fails_on_is_never_restored(stage: type[CountingStage]) -> None:
    @world
    async def story(world: World) -> None:
        await world.publish(b"wake:%d" % BAD_MS)
        async with world.running(stage):
            await asyncio.sleep(30)
        await world.publish(b"v")
        async with world.running(stage) as (_, measured, _):
            await asyncio.sleep(5)
            assert measured.total("task_rebuilds_total") == 0
        assert await world.seen() == [1]

    story()


@world
async def test_a_record_that_changed_the_same_entry_after_the_bad_one_is_not_taken_for_it(world: World) -> None:
    class Keeps(NoEntry):
        """The bad mark stays in the entry until somebody reads it out."""

        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            effects = super().handle(record, state, now_ms)
            assert record.key is not None
            before, after = state.get(record.key), effects.state[record.key]
            assert after is not None
            if before is not None and before.wake_at_ms:
                effects.state[record.key] = Count(after.seen, before.wake_at_ms)
            return effects

    await world.publish(b"wake:%d" % BAD_MS, b"v")
    async with world.running(Keeps):
        await asyncio.sleep(30)
    assert await dead(world) == [["handler_refused", "in", 0]]
    assert await world.seen() == [1]


@world
async def test_a_timer_whose_new_entry_the_stage_fails_on_is_quarantined(world: World) -> None:
    class Bad(NoEntry):
        def fire(self, key: bytes, state: StateView[Count], now_ms: int) -> Effects[Count]:
            return Effects(state={key: Count(1, BAD_MS)})

    await world.publish(b"wake:%d" % (world.clock.now_ms() + 1_000))
    async with world.running(Bad):
        await asyncio.sleep(30)
        await world.publish(b"v")
        await asyncio.sleep(1)
    assert await dead(world) == [["handler_refused", "count-state"]]
    assert await world.seen() == [1, 1]


@world
async def test_a_quarantine_whose_entry_the_stage_fails_on_is_taken_out_without_it(world: World) -> None:
    class Bad(NoEntry):
        def quarantine(self, work: Record | bytes, state: StateView[Count], now_ms: int) -> Effects[Count]:
            return Effects(state={b"end": Count(0, BAD_MS)})

    await world.publish(b"bug", b"v")
    async with world.running(Bad):
        await asyncio.sleep(30)
    assert await dead(world) == [["handler_refused", "in", 0]]
    assert await world.seen() == [1]


class Fails(PlainDeadLetters):
    """Cannot make a dead letter of what a record holds."""

    def for_record(self, stage: str, record: Record, refusal: Refusal, now_ms: int) -> Emit:
        if record.value is not None:
            raise ValueError("cannot be sealed")
        return super().for_record(stage, record, refusal, now_ms)


@pytest.mark.parametrize("value", [b"poison", b"bug", b"huge"])
def test_a_record_that_no_dead_letter_can_keep_leaves_one_without_itself(value: bytes) -> None:
    @world
    async def story(world: World) -> None:
        world.dead_letters = Fails()
        await world.publish(value, b"v")
        async with world.running():
            await asyncio.sleep(60)
        assert [letter[1:] for letter in await dead(world)] == [["in", 0]]
        assert await world.seen() == [1]

    story()


@world
async def test_a_record_is_not_passed_over_while_no_dead_letter_at_all_can_be_made(world: World) -> None:
    class Never(PlainDeadLetters):
        broken = True

        def for_record(self, stage: str, record: Record, refusal: Refusal, now_ms: int) -> Emit:
            if self.broken:
                raise ValueError("cannot be sealed")
            return super().for_record(stage, record, refusal, now_ms)

    letters = world.dead_letters = Never()
    await world.publish(b"poison", b"v")
    async with world.running():
        await asyncio.sleep(60)
        assert await world.values() == []
        letters.broken = False
        await asyncio.sleep(10)
    assert await dead(world) == [["handler_refused", "in", 0]]
    assert await world.seen() == [1]


@world
async def test_of_two_dead_letters_for_one_record_none_is_written_when_one_cannot_be_made(world: World) -> None:
    class Twice(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            effects = super().handle(record, state, now_ms)
            effects.refusals = [Refusal("id_conflict", "first"), Refusal("id_conflict", "second")]
            return effects

    class Second(PlainDeadLetters):
        def for_record(self, stage: str, record: Record, refusal: Refusal, now_ms: int) -> Emit:
            if refusal.detail == "second":
                raise ValueError("cannot be sealed")
            return super().for_record(stage, record, refusal, now_ms)

    world.dead_letters = Second()
    await world.publish(b"v")
    async with world.running(Twice):
        await asyncio.sleep(30)
    assert await dead(world) == [["handler_refused", "in", 0]]


@world
async def test_turns_without_work_do_not_end_the_search_for_what_the_broker_refuses(world: World) -> None:
    """A due timer that waits for the inputs is looked at every 20 ms, long before the next record is there."""

    class SlowToRead(Faults):
        async def before_fetch(self, reader: str) -> None:
            await asyncio.sleep(1 if reader else 0)

    class TooLong(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            effects = super().handle(record, state, now_ms)
            if record.value == b"big":
                effects.emits = [Emit("small", record.key, b"x" * 2_000)]
            return effects

    world.cluster.create_topic("small", partitions=2, max_message_bytes=1_000)
    await world.publish(b"wake:%d" % (world.clock.now_ms() + 10_000), key=b"t")
    async with world.running(TooLong):
        await asyncio.sleep(3)
    await asyncio.sleep(60)
    await world.publish(b"v", b"big", b"v")
    world.cluster.faults = SlowToRead()
    async with world.running(TooLong):
        await asyncio.sleep(60)
    assert await dead(world) == [["too_large", "in", 2]]
    # The timer was due before any of these was written, so it may fire as soon as one of them is read.
    assert sorted(told[0] for told in map(orjson.loads, await world.values())) == ["in", "in", "in", "timer"]


class Caller(CountingStage):
    """Calls somebody for each record and holds it until the call is over."""

    call_s = 0.5

    def __init__(self) -> None:
        self.begun: list[int] = []

    def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
        effects = super().handle(record, state, now_ms)
        effects.actions.append(record.offset)
        effects.hold = True
        return effects

    def restored(self, state: StateView[Count], now_ms: int) -> Effects[Count]:
        return Effects()

    def room(self, queue: Queue) -> int:
        return 10

    def launch(self, action: int, post: object) -> None:
        assert callable(post)
        self.begun.append(action)
        asyncio.get_running_loop().call_later(self.call_s, post, action)

    def on_event(self, event: int, state: StateView[Count], now_ms: int) -> Effects[Count]:
        return Effects(emits=[Emit("out", b"k", b'["called",0,%d]' % event)], finished=[("in", event)])

    async def drain(self) -> None:
        await asyncio.sleep(self.call_s * 2)


@world
async def test_calls_committed_beside_too_much_poison_are_begun_and_their_results_kept(world: World) -> None:
    """What says STARTED was called, and what was called is told of; else a person would wait for nothing."""
    stages: list[Caller] = []

    def make() -> Caller:
        stages.append(Caller())
        return stages[-1]

    await world.publish(b"v", *[b"poison"] * 5)
    async with world.running(make, settings=RuntimeSettings(max_poison_run=5)) as (_, _, work):
        await asyncio.sleep(10)
        assert work.done()
    assert "5 records in a row" in str(work.exception())
    assert [offset for stage in stages for offset in stage.begun] == [0]
    assert [told[0] for told in map(orjson.loads, await world.values())] == ["in", "called"]


@pytest.mark.parametrize("bad", [b"poison", b"wake:%d" % BAD_MS], ids=["poison", "quarantined"])
def test_a_record_refused_behind_one_that_is_held_gets_no_second_dead_letter_when_both_are_read_again(
    bad: bytes,
) -> None:
    class Endless(NoEntry, Caller):
        """A call that outlives its process."""

        call_s = 10_000

    @world
    async def story(world: World) -> None:
        told = []
        for _ in range(3):
            stages: list[Endless] = []

            def make(stages: list[Endless] = stages) -> Endless:
                stages.append(Endless())
                return stages[-1]

            # The second and third time it reads all of it again, and what came since.
            await world.publish(b"v")
            await world.publish(bad, key=b"bad")
            async with world.running(make, settings=RuntimeSettings(shutdown_s=3)):
                await asyncio.sleep(60)
            assert any(0 in stage.begun for stage in stages)
            told.append([letter[2] for letter in await dead(world)])
        assert told == [[1], [1, 3], [1, 3, 5]]

    story()


@world
async def test_what_was_quarantined_is_committed_before_the_next_record_can_break_the_task(world: World) -> None:
    """Else a process that ends between the two begins the count of both anew."""
    reached = asyncio.Event()

    class Broken(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            if record.value == b"second":
                reached.set()
            if record.value in (b"first", b"second"):
                raise ValueError("a bug")
            return super().handle(record, state, now_ms)

    await world.publish(b"first", b"second", b"v")
    async with world.running(Broken):
        async with asyncio.timeout(60):
            await reached.wait()
    assert await dead(world) == [["handler_refused", "in", 0]]


@world
async def test_records_that_changed_nothing_are_counted_once_although_they_are_read_again(world: World) -> None:
    """Their offsets ride with a later transaction, and so does what was counted of them."""

    class Silent(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            if record.value == b"bug":
                raise ValueError("a bug")
            effects: Effects[Count] = Effects()
            effects.count("skipped_total")
            return effects

    await world.publish(b"v", b"v", b"v")
    async with world.running(Silent) as (_, measured, _):
        await asyncio.sleep(1)
        await world.publish(b"bug")
        await asyncio.sleep(60)
        assert measured.total("task_rebuilds_total") == 3
        assert measured.total("skipped_total") == measured.total("records_total") - 1 == 3
        await world.publish(b"v")
        await asyncio.sleep(RuntimeSettings().skipped_commit_s + 1)
        assert measured.total("skipped_total") == 4

"""A stage on the in-memory log under virtual time: what the runtime promises without a broker's help."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from structlog.testing import capture_logs

from pipeline.errors import Misconfigured, PipelineError, PoisonRun, UnknownSchema, UnknownWriter
from pipeline.logs import redact_text
from pipeline.runtime.api import Deadline, Effects, Emit, Record, Refusal, StateView
from pipeline.runtime.global_table import GlobalTable
from pipeline.runtime.partition import partition_for
from pipeline.runtime.runner import StageRunner
from pipeline.settings import RuntimeSettings
from tests.integration.runtime.sample import Count, CountingStage, Measured, PlainDeadLetters
from tests.unit.runtime.counting import World, world


@world
async def test_every_record_is_handled_once_in_order(world: World) -> None:
    await world.publish(*[b"v"] * 5)
    async with world.running() as (runner, _, _):
        await asyncio.sleep(2)
        await world.publish(*[b"v"] * 5)
        await asyncio.sleep(2)
        assert runner.missing() == []
    assert await world.seen() == list(range(1, 11))


@world
async def test_state_and_position_come_back_after_a_crash_of_the_process(world: World) -> None:
    await world.publish(*[b"v"] * 3)
    async with world.running():
        await asyncio.sleep(2)
    async with world.running():
        await world.publish(b"v")
        await asyncio.sleep(2)
    assert await world.seen() == [1, 2, 3, 4]


@world
async def test_a_group_whose_positions_the_broker_forgot_goes_on_where_its_state_was(world: World) -> None:
    await world.publish(*[b"v"] * 3)
    async with world.running():
        await asyncio.sleep(2)
        await world.publish(b"v", topic="in.bulk")
        await asyncio.sleep(2)
    world.cluster.group("count").offsets.clear()
    async with world.running():
        await world.publish(b"v")
        await asyncio.sleep(2)
    assert await world.seen() == [1, 2, 3, 4, 5]


@world
async def test_interactive_records_go_before_a_bulk_backlog(world: World) -> None:
    await world.publish(*[b"v"] * 300, topic="in.bulk")
    await world.publish(*[b"v"] * 5, topic="in")
    async with world.running(settings=RuntimeSettings(max_batch_records=20)):
        await asyncio.sleep(5)
    order = [orjson.loads(value)[0] for value in await world.values()]
    assert order[:5] == ["in"] * 5
    assert order.count("in.bulk") == 300


@world
async def test_a_bug_is_quarantined_after_three_rebuilds_and_its_neighbours_live(world: World) -> None:
    await world.publish(b"v", b"bug", b"v")
    async with world.running() as (_, measured, _):
        await asyncio.sleep(10)
        assert measured.total("task_rebuilds_total") == 3
    assert await world.seen() == [1, 2]
    assert [orjson.loads(value)[0] for value in await world.values("dead")] == ["handler_refused"]


class EndsAtLength(CountingStage):
    """Its answer to a record it fails on is larger than the topic takes."""

    def quarantine(self, work: Record | bytes, state: StateView[Count], now_ms: int) -> Effects[Count]:
        return Effects(emits=[Emit("small", b"k", b"x" * 2_000)])


@world
async def test_a_record_whose_quarantine_is_refused_as_well_is_taken_out_without_it(world: World) -> None:
    world.cluster.create_topic("small", partitions=2, max_message_bytes=1_000)
    await world.publish(b"v", b"bug", b"v")
    async with world.running(EndsAtLength):
        await asyncio.sleep(10)
    assert await world.seen() == [1, 2]
    assert [orjson.loads(value)[0] for value in await world.values("dead")] == ["too_large"]


@world
async def test_a_record_whose_dead_letter_is_refused_leaves_one_without_itself(world: World) -> None:
    world.dead_letters = KeepsKey()
    world.cluster.create_topic("small", partitions=2, max_message_bytes=1_000)
    await world.publish(b"v")
    await world.publish(b"bug", key=b"long" * 500)
    await world.publish(b"v")
    async with world.running():
        await asyncio.sleep(20)
    assert await world.seen() == [1, 2]
    assert await world.values("small") == [b"None"]


class KeepsKey(PlainDeadLetters):
    """Dead letters as long as the key of their record."""

    def for_record(self, stage: str, record: Record, refusal: Refusal, now_ms: int) -> Emit:
        return Emit("small", b"k", repr(record.key).encode())


@world
async def test_a_record_that_makes_its_entry_larger_than_the_changelog_takes_is_taken_out(world: World) -> None:
    class Growing(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            return (
                Effects(state={b"large": Count(-1)})
                if record.value == b"grow"
                else super().handle(record, state, now_ms)
            )

        def encode(self, value: Count) -> bytes:
            return b" " * (1_000_000 if value.seen < 0 else 0) + super().encode(value)

    await world.publish(b"v", b"grow", b"v")
    async with world.running(Growing):
        await asyncio.sleep(10)
    assert await world.seen() == [1, 2]
    assert [orjson.loads(value) for value in await world.values("dead")] == [["too_large", "in", 1]]


@world
async def test_a_stage_stops_when_everything_is_poison(world: World) -> None:
    await world.publish(*[b"poison"] * 120)
    async with world.running() as (_, _, work):
        await asyncio.sleep(10)
        assert work.done()
    with pytest.raises(PoisonRun):
        work.result()
    assert len(await world.values("dead")) >= 100


@world
async def test_a_stage_stopped_by_poison_goes_on_behind_it_when_it_is_started_again(world: World) -> None:
    await world.publish(*[b"poison"] * 1_200, b"v")
    for _ in range(5):
        async with world.running() as (_, _, work):
            await asyncio.sleep(5)
            if not work.done():
                break
    assert await world.seen() == [1]
    assert len(await world.values("dead")) == 1_200


@world
async def test_a_record_that_went_well_after_a_crash_starts_with_a_clean_sheet(world: World) -> None:
    crashes = iter([True, True, False, True, True, False])

    class Shaky(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            if record.value == b"shaky" and next(crashes, False):
                raise RuntimeError("twice, then well")
            return super().handle(record, state, now_ms)

    async with world.running(Shaky) as (runner, _, _):
        for _ in range(2):
            await world.publish(b"shaky")
            await asyncio.sleep(10)
        assert not any(runner._failures.values())
    assert await world.seen() == [1, 2]
    assert await world.values("dead") == []


@world
async def test_the_log_of_a_crash_names_the_record_also_after_redaction(world: World) -> None:
    class Faulty(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            raise RuntimeError("a bug")

    await world.publish(b"v")
    with capture_logs() as lines:
        async with world.running(Faulty):
            await asyncio.sleep(1)
    lost = next(line for line in lines if line.get("action") == "task_lost")
    assert redact_text(lost["error"]) == "count failed at in/0 offset 0: RuntimeError"


@world
async def test_a_record_of_an_unknown_internal_writer_waits_and_is_lost_by_nobody(world: World) -> None:
    known = False

    class Waiting(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            if record.value == b"new" and not known:
                raise UnknownWriter("a schema of the next release")
            return super().handle(record, state, now_ms)

    await world.publish(b"v", b"new", b"v")
    async with world.running(Waiting):
        await asyncio.sleep(120)
        assert await world.seen() == [1]
        known = True
        await asyncio.sleep(2)
    assert await world.seen() == [1, 2, 3]
    assert await world.values("dead") == []


@world
async def test_a_schema_published_a_moment_before_its_record_is_found(world: World) -> None:
    world.cluster.create_topic("table", partitions=1)
    seen: set[bytes] = set()
    table = GlobalTable(log=world.log, topic="table", apply=lambda record: seen.add(record.key or b""))

    class Schemas(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            if record.value == b"new" and b"schema" not in seen:
                raise UnknownSchema("unknown_schema", "not read yet")
            if record.value == b"stranger":
                raise UnknownSchema("unknown_schema", "never published")
            return super().handle(record, state, now_ms)

    async with world.running(Schemas, tables=(table,)):
        await asyncio.sleep(1)
        await world.publish(b"x", key=b"schema", topic="table")
        await world.publish(b"new", b"stranger", b"v")
        await asyncio.sleep(2)
    await table.stop()
    assert await world.seen() == [1, 2]
    assert [orjson.loads(value)[0] for value in await world.values("dead")] == ["unknown_schema"]


@world
async def test_a_record_that_a_table_fails_on_is_passed_over_and_stops_nobody(world: World) -> None:
    seen: list[bytes] = []

    def apply(record: Record) -> None:
        if record.value == b"bad":
            raise ValueError("as no record should make it do")
        seen.append(record.value or b"")

    world.cluster.create_topic("table", partitions=1)
    await world.publish(b"one", b"bad", b"two", topic="table")
    table = GlobalTable(log=world.log, topic="table", apply=apply, deadline_s=5.0)
    await table.caught_up()
    await world.publish(b"three", topic="table")
    await table.caught_up()
    await table.stop()
    assert seen == [b"one", b"two", b"three"]


@world
async def test_an_overdue_timer_waits_until_what_was_written_before_it_is_handled(world: World) -> None:
    """Back from an hour away: the record that makes the timer needless lies unread before its deadline."""
    now_ms = world.clock.now_ms()
    async with world.running():
        await world.publish(b"wake:%d" % (now_ms + 10_000), b"v", key=b"k")
        await world.publish(b"wake:%d" % (now_ms + 10_000), key=b"other")
        await asyncio.sleep(1)
    await world.publish(*[b"v"] * 50, key=b"k")
    await asyncio.sleep(3_600)
    async with world.running(settings=RuntimeSettings(max_batch_records=5)):
        await asyncio.sleep(5)
    values = [orjson.loads(value) for value in await world.values()]
    fired = [index for index, value in enumerate(values) if value[0] == "timer"]
    assert len(fired) == 1
    assert fired[0] == len(values) - 1


@world
async def test_timers_due_in_a_quiet_stage_fire_in_order_of_their_deadlines(world: World) -> None:
    now_ms = world.clock.now_ms()
    together = [key for key in map(str.encode, "abcdefgh") if partition_for(key, 2) == 0]
    async with world.running() as (_, measured, _):
        for key, delay_ms in zip(together, (9_000, 3_000, 6_000), strict=False):
            await world.publish(b"wake:%d" % (now_ms + delay_ms), key=key)
        await asyncio.sleep(20)
        lateness = [value for name, value, _ in measured.seen if name == "timer_lateness_seconds"]
    values = [orjson.loads(value) for value in await world.values()]
    assert [value[1] - now_ms for value in values if value[0] == "timer"] == [3_000, 6_000, 9_000]
    assert max(lateness) < 0.5


@world
async def test_a_timer_whose_entry_was_changed_by_one_due_with_it_does_not_fire(world: World) -> None:
    class Pair(CountingStage):
        def fire(self, key: bytes, state: StateView[Count], now_ms: int) -> Effects[Count]:
            effects = super().fire(key, state, now_ms)
            effects.state = {each: Count(entry.seen) for each, entry in state.items()}
            return effects

    async with world.running(Pair):
        for key in (b"one", b"two"):
            await world.publish(b"wake:%d" % (world.clock.now_ms() + 1_000), key=key)
        await asyncio.sleep(10)
    assert [orjson.loads(value)[0] for value in await world.values()] == ["in", "in", "timer"]


@world
async def test_a_timer_that_does_not_move_its_deadline_is_quarantined_instead_of_firing_for_ever(world: World) -> None:
    class Stubborn(CountingStage):
        def fire(self, key: bytes, state: StateView[Count], now_ms: int) -> Effects[Count]:
            return Effects()

    async with world.running(Stubborn):
        await world.publish(b"wake:%d" % (world.clock.now_ms() + 100))
        await asyncio.sleep(20)
    assert [orjson.loads(value)[0] for value in await world.values("dead")] == ["handler_refused"]


@world
async def test_a_deadline_may_be_forced_although_an_input_is_not_read_so_far(world: World) -> None:
    class Forced(CountingStage):
        def deadline(self, value: Count) -> Deadline | None:
            at_ms = value.wake_at_ms
            return Deadline(at_ms, None, force_at_ms=at_ms + 2_000) if at_ms else None

    async def told() -> list[str]:
        return [orjson.loads(value)[0] for value in await world.values()]

    async with world.running(Forced):
        await asyncio.sleep(1)
        # A transaction that stays open: nobody can read its input to the end before it is given up, after 5 s.
        stalled = world.log.writer("somebody")
        await stalled.start()
        await stalled.append([Emit("in.bulk", b"k", b"v", 0)])
        await world.publish(b"wake:%d" % (world.clock.now_ms() + 1_000))
        await asyncio.sleep(2.9)
        assert await told() == ["in"]
        await asyncio.sleep(0.5)
        assert await told() == ["in", "timer"]


@world
async def test_a_forced_deadline_does_not_stand_behind_those_that_wait_for_the_inputs(world: World) -> None:
    class Forced(CountingStage):
        def deadline(self, value: Count) -> Deadline | None:
            at_ms = value.wake_at_ms
            return Deadline(at_ms, None, force_at_ms=at_ms if at_ms % 10 else None) if at_ms else None

    due_ms = world.clock.now_ms() + 1_000
    for number in range(3):
        await world.publish(b"wake:%d" % due_ms, key=b"waits %d" % number)
    await world.publish(b"wake:%d" % (due_ms + 501), key=b"forced")
    async with world.running(Forced, settings=RuntimeSettings(max_batch_records=3)):
        # A transaction that stays open: nobody can read its input to the end before it is given up, after 5 s.
        stalled = world.log.writer("somebody")
        await stalled.start()
        await stalled.append([Emit("in.bulk", b"k", b"v", 0)])
        await asyncio.sleep(2)
        told = [orjson.loads(value) for value in await world.values()]
    assert [value[1] - due_ms for value in told if value[0] == "timer"] == [501]


@world
async def test_unequal_partition_counts_refuse_to_start(world: World) -> None:
    world.cluster.create_topic("odd", partitions=3)

    async with world.running() as (_, _, work):
        await asyncio.sleep(1)
        assert not work.done()
    bad = StageRunner(
        name="count",
        inputs=CountingStage.inputs,
        changelog="odd",
        make_stage=lambda partition, partitions: CountingStage(),
        log=world.log,
        clock=world.clock,
        settings=RuntimeSettings(),
        metrics=Measured(),
        dead_letters=PlainDeadLetters(),
    )
    with pytest.raises(Misconfigured, match="equal partition counts"):
        await bad.run()


@world
async def test_a_stuck_stage_ends_its_process(world: World) -> None:
    """The watchdog: records wait, nothing is waited for on purpose, and nothing moves."""

    async with world.running(settings=RuntimeSettings(stuck_after_s=30)) as (runner, _, work):
        await asyncio.sleep(3)
        for task in runner._running():
            task._turn = asyncio.Event().wait  # type: ignore[method-assign,assignment]
        await world.publish(b"v", b"v")
        await asyncio.sleep(60)
        assert work.done()
    with pytest.raises(PipelineError, match="has not moved"):
        work.result()


@world
async def test_two_members_share_the_tasks_and_nothing_is_handled_twice(world: World) -> None:
    async with world.running(instance=0) as (first, _, _):
        await asyncio.sleep(1)
        async with world.running(instance=1) as (second, _, _):
            for _ in range(20):
                await world.publish(b"v", key=b"a", partition=0)
                await world.publish(b"v", key=b"b", partition=1)
                await asyncio.sleep(0.3)
            await asyncio.sleep(2)
            assert len(first._running()) == len(second._running()) == 1
    assert sorted(await world.seen()) == sorted([*range(1, 21), *range(1, 21)])

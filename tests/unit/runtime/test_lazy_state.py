"""State is decoded when it is asked for: what a restore still looks at, and what comes of bytes that are no entry."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from pipeline.errors import PoisonRun, UnpublishedSchema
from pipeline.runtime.api import Deadline, Effects, Emit, Headers, Queue, Refusal, StateView
from pipeline.runtime.context import FailedTimer
from pipeline.runtime.deadline_header import DEADLINE_HEADER, deadline_header
from pipeline.settings import RuntimeSettings
from pipeline.testing.memory_log import MemoryLog
from tests.integration.runtime.sample import Count, CountingStage, PlainDeadLetters
from tests.unit.runtime.counting import World, world

FRAMING = b"10 letters"
NEWER = b"next rel. "


class Framed(CountingStage):
    """Each entry begins with what wrote it, as ours do; remembers how many it decoded."""

    unknown: frozenset[bytes] = frozenset()

    def __init__(self) -> None:
        self.decoded: list[bytes] = []

    def encode(self, value: Count) -> bytes:
        return FRAMING + super().encode(value)

    def decode(self, data: bytes) -> Count:
        self.decoded.append(data)
        if data[:10] in self.unknown:
            raise UnpublishedSchema("a schema of the next release")
        return super().decode(data[10:])


async def write(world: World, entries: dict[bytes, bytes | None], headers: Headers) -> None:
    """As an owner of the task before."""
    writer = MemoryLog(world.cluster).writer("count.0")
    await writer.start()
    await writer.commit([Emit("count-state", key, value, 0, headers) for key, value in entries.items()], {}, "count")


def entry(seen: int, wake_at_ms: int = 0) -> bytes:
    return FRAMING + orjson.dumps([seen, wake_at_ms])


async def told(world: World) -> list[list[int | str]]:
    return [orjson.loads(value) for value in await world.values()]


@world
async def test_a_restore_decodes_one_entry_and_those_asked_for_once_each(world: World) -> None:
    await write(world, {b"key %d" % n: entry(n) for n in range(1_000)}, deadline_header(None))
    stage = Framed()
    async with world.running(make_for=lambda partition: Framed() if partition else stage) as (runner, measured, _):
        await asyncio.sleep(2)
        assert len(stage.decoded) == 1
        assert next(task.entries for task in runner._running()) == 1_000
        for _ in range(3):
            await world.publish(b"v", key=b"key 7")
            await world.publish(b"v", key=b"key 8")
        await asyncio.sleep(2)
        assert measured.total("state_decodes_total") == 2
    assert sorted(orjson.loads(value)[2] for value in await world.values()) == [8, 9, 9, 10, 10, 11]


@world
async def test_timers_are_set_from_what_is_told_beside_the_entries_and_fire_in_time(world: World) -> None:
    now_ms = world.clock.now_ms()
    for n in (30, 10, 20):
        at_ms = now_ms + n * 1_000
        await write(world, {b"key %d" % n: entry(n, at_ms)}, deadline_header(Deadline(at_ms)))
    stage = Framed()
    async with world.running(make_for=lambda partition: Framed() if partition else stage) as (_, measured, _):
        await asyncio.sleep(5)
        assert len(stage.decoded) == 1
        await asyncio.sleep(40)
        lateness = [value for name, value, _ in measured.seen if name == "timer_lateness_seconds"]
    assert max(lateness) < 0.5
    assert sorted(await told(world)) == [["timer", now_ms + n * 1_000, n] for n in (10, 20, 30)]


@pytest.mark.parametrize("headers", [(), ((DEADLINE_HEADER, b"\xff another release"),)])
def test_an_entry_beside_which_nothing_is_told_is_decoded_and_its_timer_set(headers: Headers) -> None:
    @world
    async def story(world: World) -> None:
        at_ms = world.clock.now_ms() + 5_000
        # The newest record of a key counts, whatever was told beside those before.
        await write(world, {b"a": entry(1), b"b": entry(1, at_ms)}, deadline_header(None))
        await write(world, {b"a": entry(2, at_ms)}, headers)
        await write(world, {b"b": entry(2, at_ms + 1)}, headers)
        await write(world, {b"b": entry(3)}, deadline_header(None))
        async with world.running(Framed):
            await asyncio.sleep(20)
        assert await told(world) == [["timer", at_ms, 2]]

    story()


@pytest.mark.parametrize(("told_s", "real_s", "fires_s"), [(5, 15, 15), (15, 5, 15)])
def test_a_deadline_that_settings_have_moved_since_is_read_anew_when_the_told_one_comes(
    told_s: int, real_s: int, fires_s: int
) -> None:
    @world
    async def story(world: World) -> None:
        now_ms = world.clock.now_ms()
        real_ms = now_ms + real_s * 1_000
        await write(world, {b"first of its writer": entry(1)}, deadline_header(None))
        await write(world, {b"k": entry(1, real_ms)}, deadline_header(Deadline(now_ms + told_s * 1_000)))
        async with world.running(Framed):
            await asyncio.sleep(fires_s - 1)
            assert await told(world) == []
            await asyncio.sleep(2)
            assert await told(world) == [["timer", real_ms, 1]]

    story()


@world
async def test_a_deadline_that_an_entry_does_not_have_any_more_fires_nothing_and_is_forgotten(world: World) -> None:
    await write(world, {b"first of its writer": entry(1)}, deadline_header(None))
    await write(world, {b"k": entry(1)}, deadline_header(Deadline(world.clock.now_ms() + 1_000)))
    async with world.running(Framed) as (runner, _, _):
        await asyncio.sleep(10)
        assert [len(task._timers) for task in runner._running()] == [0, 0]
    assert await told(world) == []


@world
async def test_one_entry_of_a_schema_nobody_published_makes_the_restore_wait_for_it(world: World) -> None:
    await write(world, {b"key %d" % n: entry(n) for n in range(100)}, deadline_header(None))
    await write(world, {b"newer": NEWER + entry(1)[10:]}, deadline_header(None))
    stage = type("Later", (Framed,), {"unknown": frozenset({NEWER})})
    await world.publish(b"v")
    async with world.running(stage) as (runner, measured, _):
        await asyncio.sleep(30)
        assert runner.missing() != []
        assert measured.total("schema_unknown_total") == 1
        assert await told(world) == []
        stage.unknown = frozenset()
        await asyncio.sleep(10)
        assert runner.missing() == []
    assert len(await told(world)) == 1


@world
async def test_an_overwritten_entry_of_a_schema_nobody_published_holds_nothing_up(world: World) -> None:
    await write(world, {b"newer": NEWER, b"gone": NEWER}, ())
    await write(world, {b"newer": entry(1), b"gone": None}, deadline_header(None))
    stage = type("Later", (Framed,), {"unknown": frozenset({NEWER})})
    async with world.running(stage) as (runner, _, _):
        await asyncio.sleep(5)
        assert runner.missing() == []


@world
async def test_a_stage_whose_entries_cannot_be_read_at_all_does_not_begin_and_says_why(world: World) -> None:
    await write(world, {b"k": FRAMING + b"cut sho"}, deadline_header(None))
    await world.publish(b"v")
    async with world.running(Framed) as (runner, measured, _):
        await asyncio.sleep(20)
        assert runner.missing() != []
        assert measured.total("task_rebuilds_total") >= 3
    assert await told(world) == []
    assert await world.values("dead") == []


async def spoiled(world: World, *, deadline: Deadline | None = None, count: int = 1) -> None:
    """A good entry, and some that begin like it and are none."""
    await write(world, {b"good": entry(1)}, deadline_header(None))
    await write(world, {b"bad %d" % n: FRAMING + b"cut sho" for n in range(count)}, deadline_header(deadline))


@world
async def test_a_record_that_meets_an_entry_that_cannot_be_read_is_quarantined_and_its_neighbours_live(
    world: World,
) -> None:
    await spoiled(world)
    async with world.running(Framed) as (runner, measured, _):
        await world.publish(b"v", key=b"good")
        await world.publish(b"v", key=b"bad 0")
        await world.publish(b"v", key=b"good")
        await asyncio.sleep(10)
        assert measured.total("task_rebuilds_total") == 0
        # Its bytes stay as they are: another release may read them.
        assert next(iter(runner._running()))._store.written(b"bad 0") == FRAMING + b"cut sho"
    assert [orjson.loads(value) for value in await world.values("dead")] == [["handler_refused", "in", 1]]
    assert [value[2] for value in await told(world)] == [2, 3]


@world
async def test_an_entry_that_cannot_be_read_when_its_time_comes_is_kept_in_a_dead_letter_only(world: World) -> None:
    class Whole(PlainDeadLetters):
        timers: list[tuple[FailedTimer, Refusal]] = []

        def for_timer(self, stage: str, timer: FailedTimer, refusal: Refusal, now_ms: int) -> Emit:
            self.timers.append((timer, refusal))
            return super().for_timer(stage, timer, refusal, now_ms)

    world.dead_letters = Whole()
    await spoiled(world, deadline=Deadline(world.clock.now_ms() + 1_000))
    async with world.running(Framed) as (runner, measured, _):
        await asyncio.sleep(10)
        assert measured.total("task_rebuilds_total") == 0
        assert next(iter(runner._running()))._store.written(b"bad 0") is None
    [(timer, refusal)] = Whole.timers
    assert (timer.key, timer.entry) == (b"bad 0", FRAMING + b"cut sho")
    assert refusal.detail.startswith("a state entry of 17 bytes cannot be read")
    async with world.running(Framed) as (runner, _, _):
        await asyncio.sleep(5)
        assert next(task.entries for task in runner._running()) == 1
    assert len(await world.values("dead")) == 1


@world
async def test_a_stage_that_can_read_hardly_any_entry_stops_instead_of_emptying_its_topics(world: World) -> None:
    await spoiled(world, count=20)
    for n in range(20):
        await world.publish(b"v", key=b"bad %d" % n)
    async with world.running(Framed, settings=RuntimeSettings(max_poison_run=10)) as (_, _, work):
        await asyncio.wait({work}, timeout=30)
        with pytest.raises(PoisonRun, match=r"10 records in a row .*handler_refused"):
            work.result()


class Looking(Framed):
    """Looks through its whole state when it begins, as senders do."""

    def __init__(self) -> None:
        super().__init__()
        self.looked: list[int] = []

    def restored(self, state: StateView[Count], now_ms: int) -> Effects[Count]:
        before = len(self.decoded)
        self.looked += [value.seen for value in state.values()]
        assert len(self.decoded) == before, "decoded in one go, which holds up the loop"
        return Effects()

    def room(self, queue: Queue) -> int:
        return 10

    def launch(self, action: object, post: object) -> None:
        raise AssertionError("nothing is begun")

    def on_event(self, event: object, state: StateView[Count], now_ms: int) -> Effects[Count]:
        raise AssertionError("nothing happens")

    async def drain(self) -> None:
        return None


@world
async def test_a_stage_that_looks_through_its_state_finds_all_of_it_decoded_before(world: World) -> None:
    await write(world, {b"key %d" % n: entry(n) for n in range(1_500)}, deadline_header(None))
    stage = Looking()
    settings = RuntimeSettings(decoded_entries=10)
    async with world.running(make_for=lambda partition: Looking() if partition else stage, settings=settings):
        await asyncio.sleep(5)
    assert stage.looked == list(range(1_500))

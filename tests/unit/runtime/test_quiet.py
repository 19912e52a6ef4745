"""Batches that nobody waits for: what only changes state is committed together, and holds up nothing else."""

from __future__ import annotations

import asyncio

from pipeline.runtime.api import Effects, Record, StateView
from pipeline.runtime.task import QUIET_S
from pipeline.settings import RuntimeSettings
from tests.integration.runtime.sample import Count, CountingStage, Measured
from tests.unit.runtime.counting import World, world

SOON_S = 0.1
"""Far sooner than a quiet batch is committed."""


class Listening(CountingStage):
    """Counts in silence, and tells the count only when it is asked or woken."""

    def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
        effects = super().handle(record, state, now_ms)
        if record.value != b"tell":
            effects.emits.clear()
        return effects


def commits(measured: Measured) -> float:
    return measured.total("transactions_total")


@world
async def test_what_only_changes_state_is_committed_together(world: World) -> None:
    async with world.running(Listening) as (_, measured, _):
        await asyncio.sleep(2)
        for _ in range(8):
            await world.publish(b"v")
            await asyncio.sleep(QUIET_S / 10)
        assert commits(measured) == 0
        await asyncio.sleep(QUIET_S)
        assert commits(measured) == 1
        await world.publish(b"tell")
        await asyncio.sleep(SOON_S)
        assert await world.seen() == [9]


@world
async def test_what_somebody_waits_for_is_committed_at_once_with_all_before_it(world: World) -> None:
    async with world.running(Listening) as (_, measured, _):
        await asyncio.sleep(2)
        await world.publish(b"v", b"v")
        await asyncio.sleep(0.02)
        await world.publish(b"tell")
        await asyncio.sleep(SOON_S / 2)
        assert await world.seen() == [3]
        assert commits(measured) == 1


@world
async def test_a_stop_does_not_wait_and_loses_nothing(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with world.running(Listening) as (runner, measured, work):
        await asyncio.sleep(2)
        await world.publish(b"v", b"v")
        await asyncio.sleep(0.02)
        began_s = loop.time()
        runner.stop()
        await asyncio.wait({work})
        assert commits(measured) >= 1
        # The reader ends its fetch, which is no more than it took before.
        assert loop.time() - began_s < 1.5
    async with world.running(Listening):
        await world.publish(b"tell")
        await asyncio.sleep(2)
    assert await world.seen() == [3]


@world
async def test_a_timer_that_comes_due_meanwhile_fires_at_its_time(world: World) -> None:
    async with world.running(Listening):
        await asyncio.sleep(2)
        due_ms = world.clock.now_ms() + 1_000
        await world.publish(f"wake:{due_ms}".encode(), key=b"timed")
        await asyncio.sleep(1 - QUIET_S / 2)
        fired = len(await world.values())
        await world.publish(b"v", key=b"quiet")
        await asyncio.sleep(QUIET_S / 2 + 0.06)
        assert (fired, len(await world.values())) == (0, 1)


@world
async def test_what_was_left_for_another_transaction_does_not_spin(world: World) -> None:
    await world.publish(*[b"v"] * 50, topic="in.bulk")
    await world.publish(*[b"v"] * 5)
    settings = RuntimeSettings(max_batch_records=40, max_bulk_records=3)
    async with world.running(Listening, settings=settings):
        await asyncio.sleep(5)
        await world.publish(b"tell")
        await asyncio.sleep(1)
    assert await world.seen() == [56]


@world
async def test_bytes_nobody_can_read_are_told_at_once(world: World) -> None:
    async with world.running(Listening):
        await asyncio.sleep(2)
        await world.publish(b"v", b"poison")
        await asyncio.sleep(SOON_S)
        assert len(await world.values("dead")) == 1

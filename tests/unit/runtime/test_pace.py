"""What nobody waits for shares transactions; whoever waits, and who comes first, is not held up."""

from __future__ import annotations

import asyncio
import math

import pytest

from pipeline.runtime.api import URGENT, Effects, Emit, Input, Lane, Record, StateView
from pipeline.runtime.pace import Pace
from tests.integration.runtime.sample import Count, CountingStage
from tests.unit.runtime.counting import World, world


def begun(at_s: float) -> Pace:
    """After a transaction that took all there was."""
    pace = Pace()
    pace.taken(all_of_it=True)
    pace.begins(at_s)
    return pace


def test_what_comes_first_is_due_at_once() -> None:
    pace = Pace()
    pace.came(200)
    assert pace.due_s == -math.inf


def test_what_may_linger_is_due_so_long_after_the_begin_of_the_last_transaction() -> None:
    pace = begun(100.0)
    assert pace.due_s == math.inf
    pace.came(200)
    assert pace.due_s == 100.2


def test_what_may_not_linger_makes_everything_due() -> None:
    pace = begun(100.0)
    pace.came(200)
    pace.came()
    pace.came(200)
    assert pace.due_s == -math.inf


def test_what_did_not_fit_into_a_batch_is_due_at_once() -> None:
    pace = begun(100.0)
    pace.came(200)
    pace.taken(all_of_it=False)
    assert pace.due_s == -math.inf


class Patient(CountingStage):
    """Nobody waits for what becomes of ``in``, somebody does for ``in.bulk``."""

    inputs = (Input("in", Lane.INTERACTIVE, linger_ms=100), Input("in.bulk", Lane.BULK, linger_ms=0))

    def __init__(self, handled: list[tuple[str, float]]) -> None:
        self._handled = handled

    def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
        self._handled.append((record.topic, asyncio.get_running_loop().time()))
        return super().handle(record, state, now_ms)


@world
async def test_records_nobody_waits_for_share_a_transaction_and_the_first_is_handled_at_once(world: World) -> None:
    handled: list[tuple[str, float]] = []
    async with world.running(lambda: Patient(handled)) as (_, measured, _):
        await asyncio.sleep(5)
        began_s = asyncio.get_running_loop().time()
        for _ in range(9):
            await world.publish(b"v")
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
    times = [at_s - began_s for _, at_s in handled]
    assert times[0] < 0.01
    # The others wait until 100 ms after that transaction began, and share one.
    assert len(times) == 9
    assert 0.099 < min(times[1:]) <= max(times[1:]) < 0.13
    assert measured.total("transactions_total") <= 4


@pytest.mark.parametrize("headers", [None, ((URGENT, b""),)], ids=["by its input", "by its header"])
def test_a_record_somebody_waits_for_takes_those_before_it_along_at_once(
    headers: tuple[tuple[str, bytes], ...] | None,
) -> None:
    @world
    async def story(world: World) -> None:
        handled: list[tuple[str, float]] = []
        producer = await world.log.producer()
        topic = "in.bulk" if headers is None else "in"
        async with world.running(lambda: Patient(handled)):
            await asyncio.sleep(5)
            await world.publish(b"v")
            await asyncio.sleep(0.02)
            await world.publish(b"v")
            await asyncio.sleep(0.02)
            asked_s = asyncio.get_running_loop().time()
            await producer.send(Emit(topic, b"k", b"v", 0, headers or ()))
            await asyncio.sleep(1)
        assert [where for where, _ in handled] == ["in", "in", topic]
        assert handled[-1][1] - asked_s < 0.02

    story()

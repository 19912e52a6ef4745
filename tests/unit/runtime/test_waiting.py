"""Waiting for the library with a deadline."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import DeadlinePassed, LogUnavailable
from pipeline.runtime.kafka.waiting import within


async def test_what_takes_too_long_is_left_alone_and_its_late_error_is_nobodys() -> None:
    ends = asyncio.Event()

    async def slow() -> None:
        await ends.wait()
        raise ZeroDivisionError

    work = asyncio.create_task(slow())
    with pytest.raises(DeadlinePassed, match="the answer did not end within"):
        await within(work, 0.001, "the answer")
    await asyncio.sleep(0)
    assert not work.done()
    ends.set()
    await asyncio.wait({work})
    assert not work.cancelled()


async def test_whoever_stops_waiting_stops_nothing_else() -> None:
    work = asyncio.create_task(asyncio.sleep(0.01, "answer"))
    waiting = asyncio.create_task(within(work, 10, "the answer"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert await work == "answer"


async def test_what_the_library_cut_off_is_no_cancellation_of_ours() -> None:
    work = asyncio.create_task(asyncio.sleep(10))
    waiting = asyncio.create_task(within(work, 10, "the answer"))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(LogUnavailable, match="the answer was cut off"):
        await waiting

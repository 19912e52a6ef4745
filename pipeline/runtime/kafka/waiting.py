"""Waiting for the library with a deadline and without cancelling it, which it does not bear."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from pipeline.errors import DeadlinePassed, LogUnavailable

T = TypeVar("T")


async def within(work: Coroutine[Any, Any, T] | asyncio.Task[T], deadline_s: float, what: str) -> T:
    """Await ``work`` for at most ``deadline_s`` without ever cancelling it; raises DeadlinePassed."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
    except asyncio.CancelledError:
        task.add_done_callback(retrieve)
        raise
    if not done:
        task.add_done_callback(retrieve)
        raise DeadlinePassed(f"{what} did not end within {deadline_s:g} s")
    if task.cancelled():
        # The library cancels tasks of its own while it closes without a broker; that is no cancellation of ours.
        raise LogUnavailable(f"{what} was cut off")
    return task.result()


def retrieve(future: asyncio.Future[Any]) -> None:
    """Mark the exception of an abandoned future as seen."""
    if not future.cancelled():
        future.exception()

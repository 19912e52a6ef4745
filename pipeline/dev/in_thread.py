"""Async work from code that is not async."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


def in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end in an event loop of its own, whether or not the caller's thread has one."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="in-thread")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]

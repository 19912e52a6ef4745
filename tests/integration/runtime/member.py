"""A process that runs the sample stage, so that tests can kill it; dies or stands still at a named point when told to.

Usage: ``python -m tests.integration.runtime.member BOOTSTRAP PREFIX INSTANCE [POINT NTH]``

Points of a transaction, counted to the NTH time:

``before_commit``  killed with records and offsets written, nothing decided
``in_commit``      killed a moment after EndTxn was sent
``after_commit``   killed when the commit has returned, which it does before the markers are written
``frozen``         stopped (SIGSTOP) with records and offsets written, until somebody lets it go on
``busy``           the same by a loop that stands still for BUSY_S

The last two have a shorter transaction timeout, TIMEOUT_MS.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import structlog

from pipeline.clock import SystemClock
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.kafka.transaction import Transactions
from pipeline.runtime.runner import StageRunner
from pipeline.settings import KafkaSettings, RuntimeSettings

from .sample import CountingStage, Measured, PlainDeadLetters

TIMEOUT_MS = {"frozen": 4_000, "busy": 1_000}
"""Transaction timeouts. The broker looks for those that have passed it once a second; and of one that is frozen a test
has to see that it was open."""
BUSY_S = 4.0
"""Past the transaction timeout, within the session's."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def busy() -> None:
    time.sleep(BUSY_S)


def at_the_nth(nth: int, act: Callable[[], None]) -> Callable[[], None]:
    """Something that acts at its nth call."""
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            act()

    return count


def spoil(bootstrap: str, prefix: str, point: str, nth: int) -> None:
    """Act at the nth time that this process comes to ``point``."""
    count = at_the_nth(nth, {"frozen": freeze, "busy": busy}.get(point, die))
    commit = Transactions._commit

    async def before_commit(self: Any) -> None:
        count()  # records and offsets are written, nothing is decided
        await commit(self)

    async def after_commit(self: Any) -> None:
        await commit(self)
        count()  # decided, and the process that knows is gone

    async def in_commit(self: Any) -> None:
        # EndTxn is on its way; markers may not be written yet.
        asyncio.get_running_loop().call_later(0.001, count)
        await commit(self)

    Transactions._commit = {
        "before_commit": before_commit,
        "in_commit": in_commit,
        "after_commit": after_commit,
        "frozen": before_commit,
        "busy": before_commit,
    }[point]


async def main(bootstrap: str, prefix: str, instance: int, transaction_timeout_ms: int) -> None:
    settings = KafkaSettings(
        bootstrap_servers=bootstrap, topic_prefix=prefix, session_timeout_ms=6_000, rebalance_timeout_ms=15_000
    )
    log = KafkaLog(settings, client_id=f"member-{instance}", transaction_timeout_ms=transaction_timeout_ms)
    await log.start()
    runner = StageRunner(
        name="count",
        inputs=CountingStage.inputs,
        changelog=CountingStage.changelog,
        make_stage=lambda partition, partitions: CountingStage(),
        log=log,
        clock=SystemClock(),
        settings=RuntimeSettings(),
        metrics=Measured(),
        dead_letters=PlainDeadLetters(),
        instance=instance,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, runner.stop)
    await runner.run()
    await log.stop()


if __name__ == "__main__":
    # The default writes every local variable of a traceback, which stops the loop for seconds.
    structlog.configure(processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])
    bootstrap, prefix, instance, *doom = sys.argv[1:]
    if doom:
        spoil(bootstrap, prefix, doom[0], int(doom[1]))
    asyncio.run(main(bootstrap, prefix, int(instance), TIMEOUT_MS.get("".join(doom[:1]), 5_000)))

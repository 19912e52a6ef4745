"""A process that runs the sample stage, so that tests can kill it; dies at a named point when told to.

Usage: ``python -m tests.integration.runtime.member BOOTSTRAP PREFIX INSTANCE [POINT NTH]``
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.clock import SystemClock
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.runner import StageRunner
from pipeline.settings import KafkaSettings, RuntimeSettings

from .sample import CountingStage, Measured, PlainDeadLetters


def die_at(point: str, nth: int) -> None:
    """Kill this process with SIGKILL at the nth time it comes to ``point``."""
    calls = 0
    commit = AIOKafkaProducer.commit_transaction

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)

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

    AIOKafkaProducer.commit_transaction = {
        "before_commit": before_commit,
        "in_commit": in_commit,
        "after_commit": after_commit,
    }[point]


async def main(bootstrap: str, prefix: str, instance: int) -> None:
    settings = KafkaSettings(
        bootstrap_servers=bootstrap, topic_prefix=prefix, session_timeout_ms=6_000, rebalance_timeout_ms=15_000
    )
    log = KafkaLog(settings, client_id=f"member-{instance}")
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
    if len(sys.argv) > 4:
        die_at(sys.argv[4], int(sys.argv[5]))
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

"""Wall time until a tracker task with 100,000 states is ready again, from a real changelog partition.

It is the runtime's own figure for one task: fence, read the changelog to its high watermark, decode every state, set
its timers, find the positions of its inputs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from pipeline.clock import SystemClock
from pipeline.records.tracker_state import TrackerState
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.runner import StageRunner
from pipeline.settings import RuntimeSettings
from pipeline.tracker.stage import TrackerStage
from tests.benchmarks.figures import Figures, best, on_loop, shown
from tests.benchmarks.flow import CODEC, NOW, tracker
from tests.benchmarks.kafka import Kept, NoDeadLetters, broker, deployment, fill, topics_of, until
from tests.benchmarks.tracker import states

ENTRIES, RUNS = 100_000, 3


class AsMade(SystemClock):
    """The date is that of the states, or their timers would be due and their outcomes have no topic here."""

    def now_ms(self) -> int:
        return NOW


def entries(like: Sequence[TrackerState]) -> list[Emit]:
    """Changelog entries of so many verifications."""
    made: list[Emit] = []
    for n in range(ENTRIES):
        vid = f"1f8fad5b-d9cb-469f-a165-{n:012d}"
        state = msgspec.structs.replace(like[n % len(like)], verification_id=vid)
        made.append(Emit(TrackerStage.changelog, vid.encode(), CODEC.encode(state), 0))
    return made


async def seconds(bootstrap: str) -> tuple[list[float], int]:
    """The time of each restore, and the mean size of an entry in bytes."""
    settings = deployment(bootstrap)
    log = KafkaLog(settings, client_id="bench")
    wanted = {one.topic: False for one in TrackerStage.inputs} | {TrackerStage.changelog: True}
    async with topics_of(settings, wanted, 1):
        await log.start()
        written = entries(states(5_000))
        await fill(log, written)
        size = sum(len(emit.value or b"") for emit in written) // len(written)
        del written
        kept = Kept("restore_seconds")
        for _ in range(RUNS):
            runner = StageRunner(
                name="tracker",
                inputs=TrackerStage.inputs,
                changelog=TrackerStage.changelog,
                make_stage=lambda partition, partitions: tracker(partitions),
                log=log,
                clock=AsMade(),
                settings=RuntimeSettings(),
                metrics=kept,
                dead_letters=NoDeadLetters(),
            )
            running = asyncio.create_task(runner.run())
            await until(lambda runner=runner, running=running: running.done() or not runner.missing())  # type: ignore[misc]
            held = [owner.running.entries for owner in runner._owners.values() if owner.running is not None]
            assert held == [ENTRIES], f"restored {held}"
            runner.stop()
            await running
        await log.stop()
    return kept.values, size


def measure(bootstrap: str) -> Figures:
    """``restore_100k_s``."""
    runs, size = on_loop(lambda: seconds(bootstrap))
    note = f"one task, {ENTRIES} tracker states of {size} bytes on average, in one changelog partition"
    return {"restore_100k_s": best(runs, "s", note)}


if __name__ == "__main__":
    with broker() as address:
        print(shown(measure(address)))

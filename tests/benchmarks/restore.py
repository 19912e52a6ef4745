"""Wall time until a tracker task is ready again, from a real changelog partition, and what its state takes in memory.

The time is the runtime's own figure for one task: fence, read the changelog to its high watermark, take in every state,
set its timers, find the positions of its inputs. The memory is that of the store and the timers alone.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
import tracemalloc
from collections.abc import Iterator, Sequence

import msgspec

from pipeline.clock import SystemClock
from pipeline.records.tracker_state import TrackerState
from pipeline.runtime.api import Deadline, Emit
from pipeline.runtime.deadline_header import deadline_header
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.runner import StageRunner
from pipeline.runtime.store import Store
from pipeline.runtime.timers import Timers
from pipeline.settings import KafkaSettings, RuntimeSettings
from pipeline.tracker.stage import TrackerStage
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figure, Figures, best, on_loop, shown
from tests.benchmarks.flow import CODEC, NOW, tracker
from tests.benchmarks.kafka import Kept, NoDeadLetters, broker, deployment, fill, topics_of, until
from tests.benchmarks.tracker import states

SIZES = {"restore_100k_s": (100_000, 3), "restore_1m_s": (1_000_000, 2)}
"""Per figure how many states, and how many restores."""
HELD = 50_000
"""States whose memory is measured."""
AT_ONCE = 10_000
"""States made and written at a time."""


class AsMade(SystemClock):
    """The date is that of the states, or their timers would be due and their outcomes have no topic here."""

    def now_ms(self) -> int:
        return NOW


def written(like: Sequence[TrackerState], begin: int, end: int) -> list[Emit]:
    """Changelog entries of verifications ``begin`` to ``end``, as the runtime writes them."""
    stage = tracker(1)
    made: list[Emit] = []
    for n in range(begin, end):
        vid = f"1f8fad5b-d9cb-469f-a165-{n:012d}"
        state = msgspec.structs.replace(like[n % len(like)], verification_id=vid)
        headers = deadline_header(stage.deadline(state))
        made.append(Emit(TrackerStage.changelog, vid.encode(), CODEC.encode(state), 0, headers))
    return made


def slices(count: int) -> Iterator[tuple[int, int]]:
    """From where to where, ``AT_ONCE`` at a time."""
    for begin in range(0, count, AT_ONCE):
        yield begin, min(count, begin + AT_ONCE)


class Restored:
    """What restores of one size took."""

    def __init__(self) -> None:
        self.wall_s: list[float] = []
        self.cpu_s: list[float] = []
        self.rss_bytes = 0
        """By how much the process grew in the first of them, at its peak."""
        self.size = 0
        """Bytes of an entry."""


async def restored(bootstrap: str, count: int, runs: int) -> Restored:
    """Fill a changelog with ``count`` states and restore them ``runs`` times."""
    settings = deployment(bootstrap)
    log = KafkaLog(settings, client_id="bench")
    wanted = {one.topic: False for one in TrackerStage.inputs} | {TrackerStage.changelog: True}
    found = Restored()
    async with topics_of(settings, wanted, 1):
        await log.start()
        like = states(2_000)
        size = 0
        for begin, end in slices(count):
            emits = written(like, begin, end)
            size += sum(len(emit.value or b"") for emit in emits)
            await fill(log, emits)
        found.size = size // count
        del like, emits
        kept = Kept("restore_seconds")
        before = _peak_bytes()
        for run in range(runs):
            begun_s = time.process_time()
            await _restore(log, settings, kept, count)
            found.cpu_s.append(time.process_time() - begun_s)
            if run == 0:
                found.rss_bytes = _peak_bytes() - before
        found.wall_s = kept.values
        await log.stop()
    return found


async def _restore(log: KafkaLog, settings: KafkaSettings, kept: Kept, count: int) -> None:
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
    await until(lambda: running.done() or not runner.missing(), timeout_s=1_200)
    held = [owner.running.entries for owner in runner._owners.values() if owner.running is not None]
    assert held == [count], f"restored {held}"
    runner.stop()
    await running


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024


def entry_bytes() -> Figure:
    """Memory of the store and timers of a restored task per entry, by tracemalloc; none is decoded."""
    like = states(2_000)
    emits = [emit for begin, end in slices(HELD) for emit in written(like, begin, end)]
    stage = tracker(1)
    plain = [(bytes(emit.key or b""), bytes(emit.value or b""), emit.headers) for emit in emits]
    del emits, like
    size = sum(len(value) for _, value, _ in plain) // HELD
    deadlines = {key: stage.deadline(stage.decode(value)) for key, value, _ in plain}
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    # Copied, as a fetch does, so that keys and values count as well.
    entries = {_copy(key): _copy(value) for key, value, _ in plain}
    store: Store[TrackerState] = Store(stage.decode, keep=RuntimeSettings().decoded_entries)
    store.load(entries)
    timers = Timers()
    timers.add((key, _moved(deadline)) for key in entries if (deadline := deadlines[key]) is not None)
    timers.order()
    held, _ = tracemalloc.get_traced_memory()
    decoded = min(1_000, HELD)
    for key in list(entries)[:decoded]:
        store[key]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    each = (after - held) // decoded
    note = f"by tracemalloc, {HELD} states of {size} bytes with timers; one of those kept decoded takes {each} more"
    return Figure((held - before) / HELD, "bytes", note)


def _copy(data: bytes) -> bytes:
    return bytes(bytearray(data))


def _moved(deadline: Deadline) -> Deadline:
    return Deadline(deadline.at_ms + 1, deadline.lane, deadline.force_at_ms)


def measure(bootstrap: str) -> Figures:
    """All three; of the restores only those that ``BENCH_RESTORE`` names."""
    figures: Figures = {}
    only = os.environ.get("BENCH_RESTORE")
    for name, (count, runs) in SIZES.items():
        if only is not None and name not in only:
            continue
        found = on_loop(lambda count=count, runs=runs: restored(bootstrap, count, runs))  # type: ignore[misc]
        cpu_us = min(found.cpu_s) / count * 1e6
        note = (
            f"one task, {count} tracker states of {found.size} bytes in one changelog partition; {cpu_us:.1f} us of "
            f"CPU and {found.rss_bytes // count} bytes of resident memory a state"
        )
        figures[name] = best(found.wall_s, "s", note)
    return figures | {"state_entry_bytes": entry_bytes()}


if __name__ == "__main__":
    expect_none(__doc__)
    with broker() as address:
        print(shown(measure(address)))

"""From what a changelog holds to a task's store and timers, decoding as little as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from pipeline.errors import UnpublishedSchema
from pipeline.runtime.api import Deadline, Stage
from pipeline.runtime.restore import Restored
from pipeline.runtime.store import Store
from pipeline.runtime.timers import Timers

S = TypeVar("S")

SLICE: Final = 500
"""Entries decoded before other coroutines get a turn; of those that are not decoded, ten times as many."""
WRITER_BYTES: Final = 10
"""So many first bytes of an entry say which schema wrote it (Avro's framings have ten and five)."""
MAX_WRITERS: Final = 100_000
"""Beginnings remembered; where entries begin in more ways, all further ones are decoded."""


async def load_state(
    stage: Stage[S],
    restored: Restored,
    store: Store[S],
    timers: Timers,
    *,
    whole: bool,
    read: Callable[[int], None],
    held: Callable[[UnpublishedSchema, bytes], None],
) -> None:
    """Fill ``store`` and ``timers``; ``read`` is told how many entries are done.

    Decoded are the first entry of each writer schema, so that the task begins only when all can be read, those beside
    which no deadline is told, and with ``whole`` all: for a stage that looks through its whole state when it begins,
    which would hold up the loop. ``held`` is told of an entry whose schema nobody has published.
    Raises what the stage raises.
    """
    entries, deadlines, untold = restored.entries, restored.deadlines, restored.untold
    writers: set[bytes] = set()
    decoded: dict[bytes, S] = {}
    dated: list[tuple[bytes, Deadline]] = []
    done = since = 0
    for key, encoded in entries.items():
        writer = encoded[:WRITER_BYTES]
        deadline = deadlines.get(key)
        if whole or writer not in writers or key in untold:
            try:
                value = stage.decode(encoded)
            except UnpublishedSchema as error:
                held(error, key)
                raise
            deadline = stage.deadline(value)
            if len(writers) < MAX_WRITERS:
                writers.add(writer)
            if whole or len(decoded) < SLICE:
                decoded[key] = value
            since += 9
        if deadline is not None:
            dated.append((key, deadline))
        done += 1
        since += 1
        if since >= 10 * SLICE:
            # A million entries take seconds, in which other tasks of the process have transactions to finish.
            timers.add(dated)
            read(done)
            dated, done, since = [], 0, 0
            await asyncio.sleep(0)
    timers.add(dated)
    timers.order()
    store.load(entries, decoded)

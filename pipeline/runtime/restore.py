"""Where a task begins: its state from the changelog, its positions from the group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from pipeline.errors import Misconfigured
from pipeline.runtime.api import Deadline
from pipeline.runtime.deadline_header import NotTold, told_deadline
from pipeline.runtime.log import GroupReader, Log, TopicPartition, scan

POSITION_KEY = b"\x00position"
"""Reserved changelog key: the inputs' marks of the last transaction that wrote it, what was refused beyond them, and
the partition count."""

LOOK_BACK_MS = 3_600_000
"""Without any position an old stage starts this far back: earlier requests are past their deadlines, and a new
read of everything kept would send codes again."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a changelog partition holds."""

    entries: dict[bytes, bytes]
    deadlines: dict[bytes, Deadline]
    """As told beside the entries; those that have none are missing."""
    untold: set[bytes]
    """Entries beside which nothing is told."""
    positions: dict[str, int]
    refused: dict[str, list[int]]
    """Records at and beyond these positions that have had their dead letters."""
    was_written: bool
    """False for a stage that has never run."""


def encode_position(
    marks: Mapping[str, int], partitions: int, refused: Mapping[str, Sequence[int]] | None = None
) -> bytes:
    """The value kept under POSITION_KEY; ``refused`` beyond the marks is left out where there is nothing."""
    position: dict[str, object] = {"partitions": partitions, "marks": marks}
    if refused:
        position["refused"] = refused
    return orjson.dumps(position)


async def read_changelog(
    log: Log, changelog: str, partition: int, partitions: int, read: Callable[[int], None]
) -> Restored:
    """Read one changelog partition to its high watermark; ``read`` is told how many records have come.

    Raises Misconfigured when the state was written under another partition count: every key would be looked for in
    the wrong place.
    """
    where = TopicPartition(changelog, partition)
    start = (await log.start_offsets([where]))[where]
    end = (await log.end_offsets([where]))[where]
    entries: dict[bytes, bytes] = {}
    deadlines: dict[bytes, Deadline] = {}
    untold: set[bytes] = set()
    async for records in scan(log, {where: start}):
        read(len(records))
        for record in records:
            key = record.key
            assert key is not None
            if record.value is None:
                entries.pop(key, None)
                deadlines.pop(key, None)
                untold.discard(key)
                continue
            entries[key] = record.value
            try:
                deadline = told_deadline(record.headers)
            except NotTold:
                deadlines.pop(key, None)
                untold.add(key)
                continue
            if deadline is None:
                deadlines.pop(key, None)
            else:
                deadlines[key] = deadline
            if untold:
                untold.discard(key)
    position = entries.pop(POSITION_KEY, None)
    untold.discard(POSITION_KEY)
    marks: dict[str, int] = {}
    refused: dict[str, list[int]] = {}
    if position is not None:
        stored = orjson.loads(position)
        if stored["partitions"] != partitions:
            raise Misconfigured(
                f"the state in {changelog} was written with {stored['partitions']} partitions, the topics now have "
                f"{partitions}; partition counts are fixed at creation: use a new topic_prefix and drain the old one"
            )
        marks, refused = stored["marks"], stored.get("refused", {})
    return Restored(entries, deadlines, untold, marks, refused, end > 0)


async def find_positions(
    log: Log, reader: GroupReader, topics: Sequence[str], partition: int, restored: Restored, now_ms: int
) -> dict[str, int]:
    """The next offset to handle of each input.

    The larger of the group's position and the changelog's: brokers before 4.0 make a committed position visible a
    moment after the fence, and the group forgets positions of idle groups. A stage that never ran begins with the
    first record kept, so that what was published before its first start is not lost.
    """
    positions: dict[str, int] = {}
    unknown: list[TopicPartition] = []
    for topic in topics:
        where = TopicPartition(topic, partition)
        committed = await reader.committed(where)
        known = max(-1 if committed is None else committed, restored.positions.get(topic, -1))
        if known >= 0:
            positions[topic] = known
        else:
            unknown.append(where)
    if unknown:
        starts = await log.start_offsets(unknown)
        if restored.was_written:
            recent = await log.offsets_at(unknown, now_ms - LOOK_BACK_MS)
            starts = {where: max(starts[where], recent[where]) for where in unknown}
        positions.update({where.topic: offset for where, offset in starts.items()})
    return positions

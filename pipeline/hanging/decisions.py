"""How each transaction ended, from what its coordinator wrote. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipeline.hanging.wire import Status, Step

_RUNNING: Final = (Status.ONGOING, Status.PREPARE_COMMIT, Status.PREPARE_ABORT, Status.PREPARE_EPOCH_FENCE)
_ENDED: Final = (Status.COMPLETE_COMMIT, Status.COMPLETE_ABORT)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a coordinator did last with one producer's transaction in one partition."""

    transactional_id: str
    epoch: int
    ended: bool
    """Every partition should have its marker; before that, the coordinator sees to it itself."""
    committed: bool
    at_ms: int


def last_decisions(steps: Iterable[Step]) -> dict[tuple[int, str, int], Decision]:
    """By producer id, topic and partition, what happened there last; ``steps`` in the order of their log."""
    last: dict[tuple[int, str, int], Decision] = {}
    open_: dict[int, frozenset[tuple[str, int]]] = {}
    for step in steps:
        if step.status in _RUNNING:
            open_[step.producer_id] = step.partitions
            touched = step.partitions
        elif step.status in _ENDED:
            touched = open_.pop(step.producer_id, frozenset())
        else:
            continue
        for topic, partition in touched:
            last[step.producer_id, topic, partition] = Decision(
                step.transactional_id,
                step.epoch,
                ended=step.status in _ENDED,
                committed=step.status is Status.COMPLETE_COMMIT,
                at_ms=step.at_ms,
            )
    return last

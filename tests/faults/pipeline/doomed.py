"""The program, killed by itself with SIGKILL at a named point of its work.

Usage: ``python -m tests.faults.pipeline.doomed POINT ARGUMENTS...``, the arguments being those of ``pipeline``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pipeline import topics
from pipeline.cli import main
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka.writer import KafkaWriter
from pipeline.runtime.log import TopicPartition
from pipeline.senders.transport import HttpExchange

IN_CALL_S: Final = 0.3
"""How long after its first byte a call is cut off; its provider takes longer to answer."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _says_started(outputs: Sequence[Emit]) -> bool:
    """A transaction that journals calls about to be made, and nothing that came of one."""
    return _journals(outputs) and not _tells_results(outputs)


def _journals(outputs: Sequence[Emit]) -> bool:
    return any(emit.topic.startswith(topics.attempts("")) and emit.key != b"\x00position" for emit in outputs)


def _tells_results(outputs: Sequence[Emit]) -> bool:
    return any(emit.topic.startswith(topics.RESULTS) for emit in outputs)


def _at_a_commit(of: Callable[[Sequence[Emit]], bool], *, after: bool) -> None:
    """Die before or after the first transaction of this kind is committed."""
    commit = KafkaWriter.commit

    async def doomed(
        self: KafkaWriter, outputs: Sequence[Emit], offsets: Mapping[TopicPartition, int], group: str
    ) -> None:
        if of(outputs) and not after:
            _die()
        await commit(self, outputs, offsets, group)
        if of(outputs):
            _die()

    KafkaWriter.commit = doomed  # type: ignore[method-assign]


def _in_a_call() -> None:
    exchange = HttpExchange.exchange

    async def doomed(self: Any, request: Any, before_first_byte: Callable[[], None]) -> Any:
        def leaving() -> None:
            before_first_byte()
            asyncio.get_running_loop().call_later(IN_CALL_S, _die)

        return await exchange(self, request, leaving)

    HttpExchange.exchange = doomed  # type: ignore[method-assign]


POINTS: Final[Mapping[str, Callable[[], None]]] = {
    "before STARTED": lambda: _at_a_commit(_says_started, after=False),
    "between STARTED and the call": lambda: _at_a_commit(_says_started, after=True),
    "during the call": _in_a_call,
    "between the answer and its commit": lambda: _at_a_commit(_tells_results, after=False),
    "after the commit": lambda: _at_a_commit(_tells_results, after=True),
}

if __name__ == "__main__":
    POINTS[sys.argv.pop(1)]()
    main()

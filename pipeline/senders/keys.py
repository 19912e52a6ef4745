"""What a sender knows a command by."""

from __future__ import annotations

from typing import Final

from pipeline.records.internal import SendCommand
from pipeline.records.types import CommandKind

JOURNALLED: Final = frozenset((CommandKind.SEND, CommandKind.CHECK))
"""Commands whose call must not happen twice. Asking for a status, telling of a success and withdrawing a message change
nothing by being repeated, so a crash repeats them."""


def send_key(command: SendCommand) -> str:
    """The key of a send in journal, memory, permits and running calls; that of its cancel is the same.

    The attempt id alone would not do: two requests of one verification id to recipients of two partitions are decided
    apart, both get an attempt ``<verification id>.1``, and the accepted one must not be swallowed by the one that will
    turn out to be the conflict. No id holds a colon.
    """
    return f"{command.attempt_id}:{command.decision_id}"


def work_key(command: SendCommand) -> str:
    """The same for a command of any kind. A check is one call to one provider, of which a check id may need several."""
    if command.kind is CommandKind.SEND:
        return send_key(command)
    return f"{send_key(command)}:{command.kind}:{command.command_id}"

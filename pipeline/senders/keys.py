"""What a sender knows a command by."""

from __future__ import annotations

from pipeline.records.internal import SendCommand


def send_key(command: SendCommand) -> str:
    """The key of a send in journal, memory, permits and running calls; that of its cancel is the same.

    The attempt id alone would not do: two requests of one verification id to recipients of two partitions are decided
    apart, both get an attempt ``<verification id>.1``, and the accepted one must not be swallowed by the one that will
    turn out to be the conflict. No id holds a colon.
    """
    return f"{command.attempt_id}:{command.decision_id}"

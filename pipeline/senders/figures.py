"""What is measured of a call that is over."""

from __future__ import annotations

from typing import Any

from pipeline.records.internal import SendCommand
from pipeline.records.types import CommandKind
from pipeline.runtime.api import Effects
from pipeline.senders.calls import CallFinished


def count_call(effects: Effects[Any], provider: str, event: CallFinished) -> None:
    """How long it took, and whether its answer was unknown to us or a refusal for the moment."""
    answer = event.answer
    if event.called_at is not None:
        effects.count(
            "provider_request_seconds",
            event.seconds,
            provider=provider,
            operation=event.kind.value,
            result="throttled" if answer.throttled else answer.result.value,
        )
    if answer.unmapped or answer.alarm is not None:
        effects.count("unmapped_answers_total", provider=provider)
    if answer.throttled:
        effects.count("provider_throttled_total", provider=provider)


def count_time_to_send(effects: Effects[Any], command: SendCommand, event: CallFinished) -> None:
    """Later attempts waited on purpose, so only the first says how fast we are."""
    if command.kind is CommandKind.SEND and command.n == 1 and event.called_at is not None and command.requested_at:
        seconds = max(0, event.called_at - command.requested_at) / 1_000
        effects.count("time_to_send_seconds", seconds, lane="bulk" if command.bulk else "interactive")

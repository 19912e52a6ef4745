"""Look-ups, reports and cancels: calls that send nobody anything, so that none is written down before it is made."""

from __future__ import annotations

from typing import Final

from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand, SendResult
from pipeline.records.types import AttemptResult, AttemptStatus, CommandKind
from pipeline.senders.answers import not_sent
from pipeline.senders.calls import CallFinished
from pipeline.senders.provider import Answer
from pipeline.senders.results import answered, of_command
from pipeline.settings.providers import DRAIN_S

TRIES: Final = 3
"""How often a report or cancel is tried when nobody can say whether it arrived."""
AGAIN_S: Final = 2.0
_LONGEST_CALL_S: Final = 30.0
"""What ``timeout_s`` may be at most."""
_LOST: Final = frozenset((AttemptResult.IN_DOUBT, AttemptResult.NOT_SENT))


def is_worth_another_try(command: SendCommand, answer: Answer, tries: int) -> bool:
    """A look-up is asked again by the tracker, if at all; the others are nobody's but ours."""
    return command.kind is not CommandKind.LOOKUP and answer.result in _LOST and not answer.unmapped and tries < TRIES


def found(command: SendCommand, event: CallFinished, capabilities: ProviderCapabilities) -> SendResult | None:
    """What a look-up told of its message; None when it told nothing new."""
    if command.kind is not CommandKind.LOOKUP:
        return None
    answer = event.answer
    if answer.not_found:
        if not _proves_absence(command, event.finished_at, capabilities):
            return None
        answer = not_sent(Reason.ROUTE_UNAVAILABLE, "the provider never got it")
    elif answer.result in _LOST and answer.status in (AttemptStatus.NONE, AttemptStatus.UNKNOWN):
        return None
    # The message was called when it was called, whenever it was looked for.
    return answered(of_command(command), answer, called_at=command.called_at, finished_at=event.finished_at)


def _proves_absence(command: SendCommand, now_ms: int, capabilities: ProviderCapabilities) -> bool:
    """A message that is not there may still be on its way; only long after its call it is certain to be none."""
    able = capabilities.channels.get(command.channel)
    if able is None or able.not_found_after_s is None or command.called_at is None:
        return False
    return now_ms - command.called_at >= (_LONGEST_CALL_S + DRAIN_S + able.not_found_after_s) * 1_000

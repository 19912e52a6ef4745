"""From a command and an answer to the SendResult that goes to the tracker."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand, SendResult
from pipeline.records.types import AttemptResult
from pipeline.senders.answers import not_sent
from pipeline.senders.provider import Answer

TOO_LATE: Final = Answer(result=AttemptResult.EXPIRED, reason=Reason.TOO_LATE, detail="the deadline came before a call")
CANCELED: Final = not_sent(Reason.CANCELED_BY_CALLER, "canceled before the call")


def unanswered(command: SendCommand, started_at: int) -> SendResult:
    """What to tell when nobody ever learns more: kept in the journal with STARTED and emitted after a crash."""
    return replace(
        of_command(command),
        result=AttemptResult.IN_DOUBT,
        reason=Reason.IN_DOUBT,
        detail="the sender ended during the call",
        # It may have been called; the code has to live from then on.
        called_at=started_at,
    )


def answered(
    result: SendResult, answer: Answer, *, called_at: int | None, finished_at: int, code_sealed: bytes | None = None
) -> SendResult:
    """``result`` (of the same command) with the answer in it; ``code_sealed`` is the answer's ``made_code``."""
    return replace(
        result,
        used_channel=answer.used_channel,
        result=answer.result,
        result_class=answer.result_class,
        reason=answer.reason,
        detail=answer.detail,
        provider_message_id=answer.provider_message_id,
        status=answer.status,
        code_sealed=code_sealed,
        number_valid=answer.number_valid,
        valid=answer.valid,
        already_verified=answer.already_verified,
        called_at=called_at,
        finished_at=finished_at,
        cost=answer.cost,
        currency=answer.currency,
    )


def uncalled(command: SendCommand, answer: Answer, now_ms: int) -> SendResult:
    """The result of a command that was never called."""
    return answered(of_command(command), answer, called_at=None, finished_at=now_ms)


def of_command(command: SendCommand) -> SendResult:
    """A result that names its command and says nothing yet."""
    return SendResult(
        verification_id=command.verification_id,
        command_id=command.command_id,
        kind=command.kind,
        attempt_id=command.attempt_id,
        decision_id=command.decision_id,
        n=command.n,
        step_index=command.step_index,
        provider=command.provider,
        channel=command.channel,
        code_holder=command.code_holder,
        language=command.language,
        sender=command.sender,
        adjusted=command.adjusted,
    )

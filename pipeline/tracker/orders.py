"""What the tracker asks senders to do about an attempt: judge a typed code, look up, tell of the success, withdraw.

Sends are the router's. All orders go the way of the send, so that the commands of one attempt stay in order; checks
alone have a topic of their own, as a person waits for them.
"""

from __future__ import annotations

from pipeline import topics
from pipeline.model.limits import LOOKUP_MS, TELL_PROVIDER_MS
from pipeline.records.internal import SendCommand, WalkStep
from pipeline.records.tracker_state import TrackedAttempt
from pipeline.records.types import CodeHolder, CommandKind, VerificationState
from pipeline.tracker import attempts as facts
from pipeline.tracker.taken import message_of
from pipeline.tracker.turn import Turn


def check(turn: Turn, attempt: TrackedAttempt, check_id: str, code_sealed: bytes | None, until_at: int) -> None:
    """Ask the provider that made the attempt's code whether it was typed; ``code_sealed`` is what was."""
    _give(
        turn,
        attempt,
        CommandKind.CHECK,
        command_id=check_id,
        send_by_at=until_at,
        code_sealed=code_sealed,
        topic=topics.PROVIDER_CHECKS,
    )


def lookup(turn: Turn, attempt: TrackedAttempt) -> None:
    """Ask what became of the message; without a message id: whether there is one."""
    _give(
        turn,
        attempt,
        CommandKind.LOOKUP,
        command_id=f"{attempt.shown.attempt_id}:lookup.{attempt.looked_up}",
        send_by_at=turn.now_ms + LOOKUP_MS,
    )


def cancel_unsent(turn: Turn, attempt: TrackedAttempt) -> None:
    """Nobody waits for this message any more: a sender that has not begun the call drops it, another ignores this."""
    if facts.is_pending(attempt):
        _cancel(turn, attempt)


def close(turn: Turn, attempt: TrackedAttempt) -> None:
    """The verification has ended: what is still to be done about one of its attempts.

    For an attempt without an answer this is asked once more when the answer comes.
    """
    cancel_unsent(turn, attempt)
    if facts.is_taken(attempt):
        if _is_success_to_report(turn, attempt):
            _give(
                turn,
                attempt,
                CommandKind.REPORT,
                command_id=f"{attempt.shown.attempt_id}:report",
                send_by_at=turn.now_ms + TELL_PROVIDER_MS,
            )
        if _is_to_withdraw(turn, attempt):
            _cancel(turn, attempt)


def _is_success_to_report(turn: Turn, attempt: TrackedAttempt) -> bool:
    """A provider that made the code judged it, and so knows."""
    return (
        attempt.has_report
        and attempt.code_holder is not CodeHolder.PROVIDER
        and turn.state.state is VerificationState.VERIFIED
        and attempt.shown.attempt_id == turn.state.verified_attempt_id
    )


def _is_to_withdraw(turn: Turn, attempt: TrackedAttempt) -> bool:
    """Whether the provider may still do something about the message that nobody wants.

    Not at an expiry: what the provider was told of the code's life ends there as well.
    """
    if not attempt.has_cancel or turn.state.state is VerificationState.EXPIRED:
        return False
    if attempt.last_step > attempt.shown.step_index:
        return True  # it would walk on, whatever became of the steps before
    if facts.is_negative(attempt):
        return False
    if turn.state.state is VerificationState.DELIVERED:
        return not facts.is_delivered(attempt)
    return attempt.shown.attempt_id != turn.state.verified_attempt_id


def _cancel(turn: Turn, attempt: TrackedAttempt) -> None:
    _give(
        turn,
        attempt,
        CommandKind.CANCEL,
        command_id=f"{attempt.shown.attempt_id}:cancel",
        send_by_at=turn.now_ms + TELL_PROVIDER_MS,
    )


def _give(
    turn: Turn,
    attempt: TrackedAttempt,
    kind: CommandKind,
    *,
    command_id: str,
    send_by_at: int,
    code_sealed: bytes | None = None,
    topic: str | None = None,
) -> None:
    """Write the order with what the send had of recipients and code, so that a sender opens and reads both alike: of a
    message that walks on, an answer about one channel says something else than of one that does not.
    """
    plan, shown = turn.plan, attempt.shown
    step, *further = (plan.steps[index] for index in facts.steps_of(attempt))
    turn.emit(
        topic or topics.lane(topics.send(shown.channel), plan.bulk),
        SendCommand(
            verification_id=turn.state.verification_id,
            command_id=command_id,
            kind=kind,
            attempt_id=shown.attempt_id,
            decision_id=turn.state.decision_id,
            n=attempt.n,
            step_index=shown.step_index,
            tenant=plan.tenant,
            bulk=plan.bulk,
            test=plan.test,
            provider=shown.provider,
            channel=shown.channel,
            reference=shown.reference,
            # A sending without an answer shares the code of the message, so that can be judged, but is none that could
            # be withdrawn.
            provider_message_id=message_of(attempt)[1] if kind is CommandKind.CHECK else shown.provider_message_id,
            called_at=shown.sent_at,
            recipient_sealed=step.recipient_sealed,
            recipient_masked=step.recipient_masked,
            recipient_hash=step.recipient_hash,
            recipient_key=step.recipient_key,
            country=step.country,
            key_recipient_hash=plan.recipient_hash,
            code_holder=attempt.code_holder,
            kid=plan.kid,
            # Of the message that went out: a provider may have made its code longer or shorter than was planned.
            code_length=attempt.code_length or plan.code_length,
            code_sealed=plan.code_sealed if attempt.code_holder is CodeHolder.CALLER else code_sealed,
            generation=attempt.generation,
            amount=plan.amount,
            payee_sealed=plan.payee_sealed,
            walk=[
                WalkStep(index=each.index, channel=each.channel, recipient_sealed=each.recipient_sealed)
                for each in further
            ],
            send_by_at=send_by_at,
            requested_at=plan.requested_at,
            issued_at=turn.now_ms,
        ),
        headers=(("provider", shown.provider.encode()),),
    )

"""Checks and commands as requests: answered once, repeated alike, and kept waiting while the answer is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from pipeline import topics
from pipeline.model.addressee import to_tenant
from pipeline.model.limits import (
    EARLY_KEPT,
    EFFECTS_KEPT,
    PROVIDER_CHECKS_WAITING,
    REPLIES_KEPT,
    UNKNOWN_ID_GRACE_MS,
    UNKNOWN_ID_WAIT_MS,
)
from pipeline.model.reasons import ReplyReason
from pipeline.records.internal import SendResult
from pipeline.records.public import Reply
from pipeline.records.tracker_state import ToldUnknown, TrackerState, WaitingRequest
from pipeline.records.types import ReplyKind, VerificationMode, VerificationState
from pipeline.tracker import asking, checks, commands, outcome, steps
from pipeline.tracker.turn import Turn

T = TypeVar("T")


def ask(turn: Turn, request: WaitingRequest, code: str | None) -> None:
    """Answer a request now, or keep it until it can be answered; ``code`` is the typed one of a check."""
    state = turn.state
    if _is_foreign(state, request):
        answer(turn, request, code)
        return
    if _repeat(turn, request):
        return
    if any(_same(waiting, request) for waiting in state.waiting) or _is_being_judged(state, request):
        # Also when it is written again after the end: the answer to the first one, which was in time, is both's.
        return
    if is_answerable(state, request):
        answer(turn, request, code)
    elif len(state.waiting) < EARLY_KEPT:
        request = _sealed(turn, request, code)
        turn.put(waiting=sorted([*state.waiting, request], key=lambda waiting: waiting.recorded_at))
    elif state.plan is None:
        unknown(turn, request)
    else:
        # What waits on a call are checks, several times as many as any verification allows: one of those before it
        # is right, or they use up the checks, or all of them are too late, and this one after them.
        _tell(turn, request, checks.Verdict(ReplyReason.TOO_MANY_CHECKS))


def is_answerable(state: TrackerState, request: WaitingRequest) -> bool:
    """Whether the answer can be told now.

    Without a decision it cannot. While a provider judges one check, those that are in time wait behind it: one of the
    guesses before it may be right, or use up the checks. And when a check comes after the queue deadline while a call
    may be running, nobody knows yet when the code's life began, so nobody knows whether the check is in time; unless
    that does not matter.
    """
    plan = state.plan
    if plan is None:
        return False
    if request.kind is not ReplyKind.CHECK or _is_foreign(state, request) or plan.mode is VerificationMode.REACH:
        return True
    if state.final_at is not None:
        return True
    if state.provider_check is not None and checks.is_in_time(state, request):
        return False
    return state.sent_at is not None or request.recorded_at <= plan.queue_deadline_at or not steps.in_flight(state)


def answer_waiting(turn: Turn) -> None:
    """Answer in the order of their append times whatever can be answered by now; an answer may end the verification."""
    while True:
        request = next((each for each in turn.state.waiting if is_answerable(turn.state, each)), None)
        if request is None:
            break
        _no_longer_waiting(turn, request)
        answer(turn, request, None if request.code_sealed is None else asking.opened(turn, request.code_sealed))
    if turn.state.provider_check is not None:
        _turn_away(turn)


def _turn_away(turn: Turn) -> None:
    """Of the checks that wait behind one at a provider, each reserves one of the checks left, as that one does."""
    room = max(0, min(PROVIDER_CHECKS_WAITING, outcome.checks_left(turn.state) - 1))
    # Another that came under the same id, told apart by the tenant it named, gets the answer that is coming.
    waiting = [each for each in turn.state.waiting if not _is_being_judged(turn.state, each)]
    turn.put(waiting=waiting[:room])
    for request in waiting[room:]:
        _tell(turn, request, checks.Verdict(ReplyReason.TOO_MANY_CHECKS))


def provider_answered(turn: Turn, told: SendResult) -> None:
    """Join a provider's word on a typed code, and judge the next check when that ends one."""
    _ruled(turn, asking.answered(turn, told))


def provider_unanswered(turn: Turn) -> None:
    """The same when it said nothing in time."""
    _ruled(turn, asking.unanswered(turn))


def _ruled(turn: Turn, ruling: asking.Ruling | None) -> None:
    if ruling is not None:
        _tell(turn, ruling.request, checks.rule(turn, ruling))
        # At once, before an expiry or another end: those that waited were in time as well.
        answer_waiting(turn)


def answer(turn: Turn, request: WaitingRequest, code: str | None) -> None:
    """Answer with the decision known."""
    if _is_foreign(turn.state, request):
        # Not remembered: another tenant must not be able to push this one's replies out.
        # Every repetition is answered alike anyway.
        _publish(turn, request, _unknown_reply(turn, request))
        _count(turn, request, ReplyReason.UNKNOWN_VERIFICATION)
        return
    if _repeat(turn, request):
        return  # two waited under this id, told apart by the tenant they named
    if request.kind is ReplyKind.CHECK:
        verdict = checks.judge(turn, request, code or "")
    else:
        verdict = commands.carry_out(turn, request)
    if verdict is not None:
        _tell(turn, request, verdict)


def _tell(turn: Turn, request: WaitingRequest, verdict: checks.Verdict) -> None:
    state = turn.state
    step = verdict.step_index if verdict.step_index is not None else outcome.active_step(state)
    _send(
        turn,
        request,
        Reply(
            request_id=request.request_id,
            verification_id=state.verification_id,
            kind=request.kind,
            ok=verdict.reason in (ReplyReason.VALID, ReplyReason.ACCEPTED),
            reason=verdict.reason,
            checks_left=outcome.checks_left(state),
            state=state.state,
            step_index=step,
            retry_at=verdict.retry_at,
            expires_at=outcome.expires_at(state),
            replied_at=turn.now_ms,
        ),
    )


def _is_foreign(state: TrackerState, request: WaitingRequest) -> bool:
    """Whether it names another tenant than the verification's, as far as that is known yet."""
    return state.plan is not None and request.tenant not in (None, state.plan.tenant)


def _is_being_judged(state: TrackerState, request: WaitingRequest) -> bool:
    """Whether a provider is judging this very check; the reply to it answers all that came under its id."""
    check = state.provider_check
    return (
        check is not None
        and request.kind is ReplyKind.CHECK
        and check.request.request_id == request.request_id
        and not _is_foreign(state, request)
    )


def _repeat(turn: Turn, request: WaitingRequest) -> bool:
    """Give the reply this id was given before, if it was.

    A gateway that retries, or a producer that wrote twice: the same answer, and nothing is counted.
    """
    for reply in turn.state.replies:
        if reply.request_id == request.request_id and reply.kind is request.kind:
            _publish(turn, request, reply)
            return True
    asked_by = _asked_by(turn.state, request)
    for told in turn.state.told_unknown:
        if (told.request_id, told.kind) == (request.request_id, request.kind) and told.tenant in (None, asked_by):
            _publish(turn, request, msgspec.structs.replace(_unknown_reply(turn, request), replied_at=told.told_at))
            return True
    return False


def unknown(turn: Turn, request: WaitingRequest) -> None:
    """No decision was made for this id before the request was written."""
    _no_longer_waiting(turn, request)
    told = ToldUnknown(request_id=request.request_id, kind=request.kind, tenant=request.tenant, told_at=turn.now_ms)
    turn.put(told_unknown=_with_one_more(turn.state.told_unknown, told, lambda each: each.kind, REPLIES_KEPT))
    _publish(turn, request, _unknown_reply(turn, request))
    _count(turn, request, ReplyReason.UNKNOWN_VERIFICATION)


def wait_deadline(state: TrackerState) -> tuple[int, int] | None:
    """Until when inputs must be read before the first waiting request's id is called unknown, and the latest moment."""
    if state.plan is not None or not state.waiting:
        return None
    return min((_unknown_at(request), request.since_at + UNKNOWN_ID_WAIT_MS) for request in state.waiting)


def _unknown_at(request: WaitingRequest) -> int:
    """When a request without a decision is given up.

    The time runs from when the tracker saw the request, not from its append time: one that comes back after a minute
    away finds old checks, and has not read a single decision yet. And not just to the append time: a request published
    a moment before its check is decided a moment after it.
    """
    grace_ends_at = max(request.since_at + UNKNOWN_ID_GRACE_MS, request.recorded_at)
    return min(grace_ends_at, request.since_at + UNKNOWN_ID_WAIT_MS)


def answer_unknown(turn: Turn, until_ms: int) -> None:
    """Answer all requests whose wait for a decision is over."""
    for request in turn.state.waiting:
        if _unknown_at(request) <= until_ms:
            unknown(turn, request)


def _unknown_reply(turn: Turn, request: WaitingRequest) -> Reply:
    return Reply(
        request_id=request.request_id,
        verification_id=turn.state.verification_id,
        kind=request.kind,
        reason=ReplyReason.UNKNOWN_VERIFICATION,
        state=VerificationState.UNKNOWN,
        replied_at=turn.now_ms,
    )


def _send(turn: Turn, request: WaitingRequest, reply: Reply) -> None:
    # Each kind has its own room: commands must not push out the reply that a repeated check would get. And so do those
    # that changed something: refusals must not push out what a repetition would count or send again.
    most = EFFECTS_KEPT if _has_effect(reply) else REPLIES_KEPT
    replies = _with_one_more(turn.state.replies, reply, lambda each: (each.kind, _has_effect(each)), most)
    turn.put(replies=replies)
    _publish(turn, request, reply)
    _count(turn, request, reply.reason)


def _with_one_more(kept: Sequence[T], one: T, room_of: Callable[[T], object], most: int) -> list[T]:
    """All and one more, without the oldest in its room when there are more than ``most`` in it."""
    now = [*kept, one]
    alike = [each for each in now if room_of(each) == room_of(one)]
    if len(alike) > most:
        now.remove(alike[0])
    return now


def _publish(turn: Turn, request: WaitingRequest, reply: Reply) -> None:
    turn.emit(topics.REPLIES, reply, headers=to_tenant(_asked_by(turn.state, request)))


def _asked_by(state: TrackerState, request: WaitingRequest) -> str | None:
    """Who names no tenant asks as the verification's own, once that is known."""
    return request.tenant if state.plan is None or _is_foreign(state, request) else state.plan.tenant


def _has_effect(reply: Reply) -> bool:
    return reply.ok or reply.reason == ReplyReason.WRONG_CODE


def _count(turn: Turn, request: WaitingRequest, reason: str) -> None:
    if request.kind is ReplyKind.CHECK:
        turn.count("checks_total", reason=reason)


def _no_longer_waiting(turn: Turn, request: WaitingRequest) -> None:
    left = [waiting for waiting in turn.state.waiting if not _same(waiting, request)]
    if len(left) < len(turn.state.waiting):
        turn.put(waiting=left)


def _same(one: WaitingRequest, other: WaitingRequest) -> bool:
    return (one.request_id, one.kind, one.tenant) == (other.request_id, other.kind, other.tenant)


def _sealed(turn: Turn, request: WaitingRequest, code: str | None) -> WaitingRequest:
    """The request with its typed code sealed, as it comes to rest in the changelog."""
    return request if code is None else msgspec.structs.replace(request, code_sealed=asking.seal(turn, code))

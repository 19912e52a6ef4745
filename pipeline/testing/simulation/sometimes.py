"""The interesting branches: which of them a run reached. A campaign that misses one tests less than it says.

Each is seen in the history, never told by the code that took it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from pipeline import topics
from pipeline.errors import DeadLetterReason
from pipeline.model.reasons import ReplyReason
from pipeline.records.internal import RoutingEvent, SendResult
from pipeline.records.journal import JournalState
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    CodeHolder,
    CommandKind,
    DecisionKind,
    RoutingKind,
    VerificationState,
)
from pipeline.senders.results import CANCELED
from pipeline.testing.memory_log.partition import Fate
from pipeline.testing.simulation.history import History

_REPLIES: Final = (
    *(ReplyReason.VALID, ReplyReason.WRONG_CODE, ReplyReason.EXPIRED, ReplyReason.TOO_MANY_CHECKS),
    *(ReplyReason.ALREADY_VERIFIED, ReplyReason.UNKNOWN_VERIFICATION, ReplyReason.NOT_ACTIVE),
    *(ReplyReason.PROVIDER_UNAVAILABLE, ReplyReason.ACCEPTED, ReplyReason.NO_SUCH_STEP, ReplyReason.NO_MORE_STEPS),
    *(ReplyReason.RESEND_TOO_SOON, ReplyReason.TOO_MANY_RESENDS, ReplyReason.ALREADY_FINAL),
)
_ENDS: Final = (
    *("verified", "expired: expired", "expired: too_late", "failed: checks_exhausted", "failed: steps_exhausted"),
    *("failed: in_doubt", "canceled: canceled_by_caller", "rejected: invalid_language", "rejected: no_route"),
    *("blocked: too_many_failures",),
)
_LETTERS: Final = tuple(DeadLetterReason)
_CAUSES: Final = ("fenced", "tasklost", "logunavailable")
_KNOWN: Final = (AttemptStatus.DELIVERED, AttemptStatus.READ, AttemptStatus.FAILED, AttemptStatus.UNDELIVERED)

POINTS: Final[tuple[str, ...]] = (
    *(f"reply {each.value}" for each in _REPLIES),
    *(f"ended {each}" for each in _ENDS),
    *(f"dead letter {each.value}" for each in _LETTERS),
    *(f"result {each.value}" for each in AttemptResult if each.value not in ("pending", "unknown")),
    *(f"task rebuilt: {each}" for each in _CAUSES),
    "task restored with state",
    "task abandoned at its deadline",
    "transaction aborted",
    "process killed",
    "process ended by itself",
    "quarantined",
    "in doubt resolved by a receipt",
    "in doubt resolved by a look-up",
    "in doubt until its step's deadline",
    "failover joined the step that was due",
    "started again after throttling",
    "frozen before its call, and not sent",
    "canceled before STARTED",
    "call outlived by its result's process",
    "message arrived after its sender gave up",
    "check at a provider",
    "check at a provider in doubt",
    "provider says verified already",
    "two code holders asked for one code",
    "misplaced request forwarded",
    "misplaced check forwarded",
    "duplicate request dropped",
    "duplicate check answered once",
    "check before its decision",
    "right code accepted at the last moment",
    "check in time judged after the end",
    "expiry put off",
    "two right answers at once",
    "new code by a resend",
    "caller's own code",
    "guesses reserved by another verification",
    "receipt before its message's reference",
    "receipt by recipient that may mean two",
    "receipt by recipient placed",
    "report after the end",
    "report refused by its signature",
    "delivered before verified",
    "provider told of a success",
    "message withdrawn at its provider",
    "bulk verification verified",
    "next step as the wait was over",
)
"""Every name; a run reaches some of them."""


def reached(seen: History) -> set[str]:
    """Which of :data:`POINTS` this run reached."""
    found = {name for look in _LOOKS for name in look(seen)}
    assert found <= {*POINTS}, f"no such point: {sorted(found - {*POINTS})}"
    return found


def _words(seen: History) -> Iterator[str]:
    yield from (f"reply {each.value.reason}" for each in seen.replies if each.value.reason in _REPLIES)
    yield from (f"dead letter {each.value.reason}" for each in seen.letters)
    for each in seen.results:
        if each.value.kind is CommandKind.SEND and f"result {each.value.result.value}" in POINTS:
            yield f"result {each.value.result.value}"
    for each in seen.outcomes:
        if each.value.is_final:
            end = ": ".join(filter(None, (each.value.state.value, each.value.reason)))
            if end in _ENDS:
                yield f"ended {end}"


def _processes(seen: History) -> Iterator[str]:
    for line in seen.lines:
        if line.get("action") == "task_lost" and line["cause"] in _CAUSES:
            yield f"task rebuilt: {line['cause']}"
        if line.get("action") == "task_restored" and line["entries"]:
            yield "task restored with state"
    if seen.logged("task_abandoned"):
        yield "task abandoned at its deadline"
    if seen.logged("quarantined"):
        yield "quarantined"
    if seen.killed:
        yield "process killed"
    if seen.ends:
        yield "process ended by itself"
    if any(entry.span is not None and entry.span.fate is Fate.ABORTED for _, _, entry in seen.entries()):
        yield "transaction aborted"


def _attempts(seen: History) -> Iterator[str]:
    lookups = {each.value.attempt_id for each in seen.commands if each.value.kind is CommandKind.LOOKUP}
    for verification_id in seen.ids:
        versions = seen.of(verification_id)
        doubted: set[str] = set()
        for outcome in versions:
            for attempt in outcome.attempts:
                if attempt.result is AttemptResult.IN_DOUBT:
                    doubted.add(attempt.attempt_id)
                    if attempt.status in _KNOWN:
                        yield "in doubt resolved by a receipt"
                elif attempt.attempt_id in doubted & lookups and attempt.result is AttemptResult.ACCEPTED:
                    yield "in doubt resolved by a look-up"
        last = versions[-1] if versions else None
        for before, after in zip(last.attempts, last.attempts[1:], strict=False) if last else ():
            if before.attempt_id in doubted and before.result is AttemptResult.IN_DOUBT and after.sent_at:
                yield "in doubt until its step's deadline"
            if before.result is AttemptResult.ACCEPTED and after.step_index > before.step_index:
                yield "next step as the wait was over"
    for call in seen.lines_.calls:
        if call.command.kind is CommandKind.REPORT:
            yield "provider told of a success"
        if call.command.kind is CommandKind.CANCEL:
            yield "message withdrawn at its provider"
    accepted = [each.value for each in seen.replies if each.value.kind == "command" and each.value.ok]
    asked = seen.done.commands
    for state in seen.states():
        if state.routing is not None and state.routing.wish and not state.routing.resend:
            yield "failover joined the step that was due"
    if any(each.value.generation for each in seen.commands if each.value.kind is CommandKind.SEND):
        yield "new code by a resend"
    if accepted and not asked:
        raise AssertionError("a command was accepted that nobody gave")


def _senders(seen: History) -> Iterator[str]:
    taken = {each.command.attempt_id for each in seen.lines_.taken}
    for each in seen.results:
        result: SendResult = each.value
        if result.kind is not CommandKind.SEND:
            continue
        if result.detail == CANCELED.detail:
            yield "canceled before STARTED"
        if result.result is AttemptResult.IN_DOUBT and result.attempt_id in taken:
            yield "message arrived after its sender gave up"
    for _, found in groupby(sorted(seen.journal, key=lambda each: each[:2]), key=lambda each: each[:2]):
        entries = [entry for _, _, entry in found if entry is not None]
        if any(each.state is JournalState.RELEASED and each.throttled for each in entries) and len(entries) > 2:
            yield "started again after throttling"
        if any(each.state is JournalState.RELEASED and not each.throttled for each in entries):
            yield "frozen before its call, and not sent"
        if len({each.process for each in entries if each.process}) > 1:
            yield "call outlived by its result's process"


def _judging(seen: History) -> Iterator[str]:
    asked: Counter[str] = Counter()
    for each in seen.results:
        if each.value.kind is CommandKind.CHECK:
            yield "check at a provider"
            asked[each.value.command_id.partition(":")[0]] += 1
            if each.value.result is AttemptResult.IN_DOUBT:
                yield "check at a provider in doubt"
            if each.value.already_verified:
                yield "provider says verified already"
    if any(count > 1 for count in asked.values()):
        yield "two code holders asked for one code"
    if any(each.code_holder is CodeHolder.CALLER for each in (e.value for e in seen.commands)):
        yield "caller's own code"
    right = [key for key, each in seen.done.typed.items() if each.attempt_id is not None]
    written = {key: at for key, at in seen.checked.items() if key in right}
    moments = Counter(
        (seen.done.typed[key].verification_id, at_ms) for key, at in written.items() for at_ms in {min(at)}
    )
    if any(count > 1 for count in moments.values()):
        yield "two right answers at once"
    if any(len(at) > 1 for at in seen.checked.values()):
        yield "duplicate check answered once"
    for each in seen.replies:
        reply, at = each.value, seen.checked.get(each.value.request_id)
        if at is None:
            continue
        last = seen.last(reply.verification_id)
        if reply.reason == "valid" and last is not None and last.expires_at - min(at) < 2_000:
            yield "right code accepted at the last moment"
        if last is not None and min(at) <= last.expires_at < each.entry.timestamp_ms and reply.reason != "expired":
            yield "check in time judged after the end"
        decided = [d.entry.timestamp_ms for d in seen.decisions if d.value.verification_id == reply.verification_id]
        if decided and min(at) < min(decided) and reply.reason != "unknown_verification":
            yield "check before its decision"
    for last in (seen.last(each) for each in seen.ids):
        if last is not None and last.state is VerificationState.VERIFIED:
            if last.delivered_at is not None:
                yield "delivered before verified"
            if any(
                d.topic.endswith(".bulk") and d.value.verification_id == last.verification_id for d in seen.decisions
            ):
                yield "bulk verification verified"


def _places(seen: History) -> Iterator[str]:
    for each in seen.read_internal(RoutingEvent, topics.ROUTER_INBOX, topics.bulk(topics.ROUTER_INBOX)):
        if each.value.kind is RoutingKind.MISPLACED:
            yield "misplaced request forwarded"
    if any(entry.is_visible for _, _, entry in seen.entries(topics.TRACKER_INBOX)):
        yield "misplaced check forwarded"
    if seen.world.figures.total("requests_total", decision="duplicate"):
        yield "duplicate request dropped"
    for each in seen.decisions:
        plan = each.value.plan
        if each.value.kind is DecisionKind.ACCEPTED and plan is not None and plan.checks_allowed < plan.max_checks:
            yield "guesses reserved by another verification"
    if any(state.expiry_put_off_until_at for state in seen.states()):
        yield "expiry put off"


def _receipts(seen: History) -> Iterator[str]:
    if seen.world.figures.total("receipts_unmatched_total"):
        yield "receipt by recipient that may mean two"
    for each in seen.statuses:
        status = each.value
        if status.provider == "bird":
            yield "receipt by recipient placed"
        ended = next((o.entry.timestamp_ms for o in seen.outcomes
                      if o.value.is_final and o.value.verification_id == status.verification_id), None)  # fmt: skip
        if ended is not None and each.entry.timestamp_ms > ended:
            yield "report after the end"
        results = [r.entry.timestamp_ms for r in seen.results if r.value.attempt_id == status.attempt_id]
        if results and each.entry.timestamp_ms < min(results):
            yield "receipt before its message's reference"
    if 401 in seen.reporters.answers or 403 in seen.reporters.answers:
        yield "report refused by its signature"


_LOOKS: Final[Sequence[Callable[[History], Iterator[str]]]] = (
    _words,
    _processes,
    _attempts,
    _senders,
    _judging,
    _places,
    _receipts,
)

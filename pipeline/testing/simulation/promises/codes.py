"""What was typed, and what it was told: only right codes in time are accepted, once, and none of them is refused."""

from __future__ import annotations

from collections import Counter

from pipeline.records.internal import SendCommand
from pipeline.records.public import Reply, VerificationOutcome
from pipeline.records.types import AttemptResult, AttemptStatus, CodeHolder, VerificationState
from pipeline.testing.simulation.history import History

_MAY_BE_OUT = (AttemptResult.ACCEPTED, AttemptResult.IN_DOUBT, AttemptResult.PENDING)
_FAILED = (AttemptStatus.FAILED, AttemptStatus.UNDELIVERED, AttemptStatus.EXPIRED)


def only_right_codes_are_accepted(seen: History) -> None:
    """I3: what was accepted stood in a message of this verification, and was written before its code ended."""
    written = seen.checked
    for check_id, reply in _checks(seen).items():
        if reply.reason != "valid":
            continue
        typed = seen.done.typed[check_id]
        assert typed.attempt_id is not None, f"{check_id} was in no message, and was accepted"
        last = seen.last(typed.verification_id)
        assert last is not None
        earliest_ms = min(written[check_id])
        assert earliest_ms <= last.expires_at, f"{check_id} came too late, and was accepted"


def no_right_code_is_refused(seen: History) -> None:
    """A right code typed in time is not called wrong, nor too late."""
    sent = {each.command.attempt_id: each.command for each in seen.lines_.taken}
    written = seen.checked
    for check_id, reply in _checks(seen).items():
        typed = seen.done.typed[check_id]
        skipped = seen.done.broken | seen.done.conflicting
        if (
            typed.attempt_id is None
            or reply.verification_id != typed.verification_id
            or typed.verification_id in skipped
        ):
            continue
        versions = seen.of(typed.verification_id)
        if reply.reason == "wrong_code" and not _is_void(sent[typed.attempt_id], sent):
            _expect_unknown_code(typed.attempt_id, sent, versions, reply)
        if reply.reason == "expired":
            # By the broker's clock; the tracker's own, which may be ahead, tells when nothing more is waited for.
            left_ms = versions[-1].expires_at - max(written[check_id])
            assert left_ms <= seen.apart_ms, f"{check_id} was in time by {left_ms} ms"


def _checks(seen: History) -> dict[str, Reply]:
    return {key: each for key, each in seen.replied.items() if key in seen.done.typed}


def _is_void(command: SendCommand, sent: dict[str, SendCommand]) -> bool:
    """Whether a code of ours is one that a later message, with a new code, may have ended."""
    return command.code_holder is CodeHolder.OURS and any(
        other.code_holder is CodeHolder.OURS and other.generation > command.generation
        for other in sent.values()
        if other.verification_id == command.verification_id
    )


def _expect_unknown_code(
    attempt_id: str, sent: dict[str, SendCommand], versions: list[VerificationOutcome], reply: Reply
) -> None:
    """A right code was called wrong: only one whose provider nobody could ask, while somebody else could judge."""
    assert sent[attempt_id].code_holder is CodeHolder.PROVIDER, f"{attempt_id}: our own code was called wrong"
    known = [each for each in versions if each.updated_at < reply.replied_at]
    shown = {each.attempt_id: each for each in known[-1].attempts} if known else {}
    own = shown.get(attempt_id)
    # Of one moment's outcomes nobody can tell from outside which the judge saw; an older failure that was since
    # taken back excuses nothing.
    seen_by_judge = [*known[-1:], *(each for each in versions if each.updated_at == reply.replied_at)]
    if any(
        each.attempt_id == attempt_id and each.status in _FAILED
        for version in seen_by_judge
        for each in version.attempts
    ):
        return  # by its provider's own word nobody could hold it
    assert own is None or own.result is not AttemptResult.ACCEPTED, f"{attempt_id}: a right code was called wrong"
    others = [each for each in shown.values() if each.attempt_id != attempt_id and each.result in _MAY_BE_OUT]
    assert others, f"{attempt_id}: nobody could judge it"


def codes_are_accepted_once(seen: History) -> None:
    """I4: at most one right answer per verification, and exactly one where it ended verified."""
    valid = Counter(each.verification_id for each in seen.replied.values() if each.reason == "valid")
    assert not (twice := [key for key, count in valid.items() if count > 1]), f"accepted twice: {twice}"
    verified = {each for each in seen.ids if (last := seen.last(each)) and last.state is VerificationState.VERIFIED}
    assert verified == set(valid), f"verified are {sorted(verified)}, accepted were codes of {sorted(valid)}"


def guesses_are_counted(seen: History) -> None:
    """I3: no more wrong codes are judged than checks were allowed, whatever is repeated or rebuilt."""
    wrong = Counter(each.verification_id for each in seen.replied.values() if each.reason == "wrong_code")
    for verification_id, count in wrong.items():
        last = seen.last(verification_id)
        assert last is not None, f"{verification_id}: judged, and without an outcome"
        assert count <= last.max_checks, f"{verification_id}: {count} wrong codes were judged"
        assert count == last.failed_checks, f"{verification_id}: {count} wrong codes, {last.failed_checks} counted"

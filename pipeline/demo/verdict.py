"""Whether each case came out as it must; pure, from the cases and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from pipeline.demo.case import Case, Person
from pipeline.demo.conduct import conduct
from pipeline.demo.evidence import Evidence, Played, Written
from pipeline.demo.finding import Finding
from pipeline.records.public import DeadLetter, VerificationOutcome
from pipeline.records.types import AttemptStatus, VerificationState
from pipeline.topics import REQUESTS

_LOST: Final = frozenset((AttemptStatus.UNDELIVERED, AttemptStatus.FAILED))

NOTHING: Final = ("nothing", "")
"""The end of a case of which no trace is found."""


def actual_end(case: Case, evidence: Evidence) -> tuple[str, str]:
    """What came of a case: final state (or what it was left in) and reason, as :class:`Expected` words it."""
    if case.expected.state is None:
        letter = _letter_of(case, evidence)
        return NOTHING if letter is None else ("dead letter", letter.reason)
    history = evidence.outcomes.get(case.name, ())
    if not history:
        return NOTHING
    last = history[-1].outcome
    return (last.state.value if last.is_final else f"{last.state.value}, not final", last.reason or "")


def findings(cases: Sequence[Case], evidence: Evidence) -> list[Finding]:
    """Everything that is wrong, in the order of the cases; empty when the run is good."""
    found = [
        Finding(name=case.name, kind=case.kind, problem=problem)
        for case in cases
        for problem in _problems(case, evidence)
    ]
    return [*found, *conduct(cases, evidence), *_strangers(cases, evidence)]


def _problems(case: Case, evidence: Evidence) -> list[str]:
    played = evidence.played.get(case.name)
    problems = [] if played is None or played.problem is None else [played.problem]
    expected = case.expected
    if expected.state is None:
        letter = _letter_of(case, evidence)
        if letter is None:
            problems.append(f"no dead letter, expected {expected.dead_letter}")
        elif letter.reason != expected.dead_letter:
            problems.append(f"a dead letter says {letter.reason}, expected {expected.dead_letter}")
        return problems
    history = evidence.outcomes.get(case.name, ())
    if not history:
        return [*problems, "has no outcome"]
    problems += _history_problems(history)
    problems += _outcome_problems(case, history[-1].outcome)
    return problems if played is None else [*problems, *_message_problems(case, played), *_reply_problems(case, played)]


def _message_problems(case: Case, played: Played) -> list[str]:
    """What is wrong with the message the person read, if one was read."""
    expected, code = case.expected, played.code
    if code is None:
        return []
    problems = []
    if expected.code is not None and code != expected.code:
        problems.append("the message shows another code than the caller's own")
    if expected.digits is not None and len(code) != expected.digits:
        problems.append(f"the message shows a code of {len(code)}, expected {expected.digits}")
    missing = [text for text in expected.shows if text.replace("{code}", code) not in played.text]
    return [*problems, *(f"the message does not show {text!r}" for text in missing)]


def _reply_problems(case: Case, played: Played) -> list[str]:
    told, wanted = list(played.replies), [str(reply) for reply in case.replies]
    if case.person is Person.TYPES_TWICE:
        told, wanted = sorted(told), sorted(wanted)
    if case.person is Person.PERSISTS:
        told = [reply for reply, _ in groupby(told)]
    if told == wanted:
        return []
    return [f"checks were answered {', '.join(told) or 'not'}, expected {', '.join(wanted) or 'none'}"]


def _history_problems(history: Sequence[Written]) -> list[str]:
    problems = []
    versions = [written.outcome.version for written in history]
    if versions != list(range(1, len(history) + 1)):
        problems.append(f"outcome versions are {versions}")
    finals = [written.outcome.version for written in history if written.outcome.is_final]
    if finals != versions[-1:]:
        problems.append(f"final outcomes are the versions {finals} of {versions}" if finals else "has not ended")
    return problems


def _outcome_problems(case: Case, outcome: VerificationOutcome) -> list[str]:
    expected, request = case.expected, case.request
    assert request is not None
    last = outcome.attempts[-1] if outcome.attempts else None
    shown: list[tuple[str, object, object]] = [
        ("state", outcome.state, expected.state),
        ("reason", outcome.reason, expected.reason),
        ("attempts", len(outcome.attempts), expected.attempts),
        ("channel", outcome.channel, expected.channel),
        ("provider", outcome.provider, expected.provider),
    ]
    if expected.language is not None and last is not None:
        shown.append(("language", last.language, expected.language))
    if outcome.state is VerificationState.VERIFIED:
        # Not always the last one: who types the code before the answer of that call is known had it from any before.
        arrived = [each.attempt_id for each in outcome.attempts if each.status not in _LOST]
        credited = outcome.verified_attempt_id
        shown.append(("verified_attempt_id", credited, credited if credited in arrived else f"one of {arrived}"))
    if outcome.state is not VerificationState.REJECTED:
        shown.append(("external_id", outcome.external_id, request.external_id))
    detail = f" ({outcome.detail})" if outcome.detail else ""
    return [f"{name} is {actual}, expected {wanted}{detail}" for name, actual, wanted in shown if actual != wanted]


def _letter_of(case: Case, evidence: Evidence) -> DeadLetter | None:
    """A conflict is found by its id, as it may be seen only behind the router; a record that is none by its place."""
    played = evidence.played.get(case.name)
    if case.verification_id is not None:
        of_id = [each for each in evidence.dead_letters if each.verification_id == case.verification_id]
        # Two conflicts of one id give two dead letters; their stages tell which is which.
        return next((each for each in of_id if each.stage == case.expected.found_by), None)
    places = set(played.positions) if played is not None else set()
    return next(
        (each for each in evidence.dead_letters if each.topic == REQUESTS and (each.partition, each.offset) in places),
        None,
    )


def _strangers(cases: Sequence[Case], evidence: Evidence) -> list[Finding]:
    """Outcomes and dead letters that no case accounts for."""
    ids = {case.name for case in cases if case.expected.state is not None}
    found = [
        Finding(name=each, kind="", problem="an outcome that belongs to no request")
        for each in evidence.outcomes
        if each not in ids
    ]
    accounted = [_letter_of(case, evidence) for case in cases if case.expected.state is None]
    found += [
        Finding(
            name=letter.verification_id or f"{letter.topic}-{letter.partition}@{letter.offset}",
            kind="",
            problem=f"an unexpected dead letter of {letter.stage}: {letter.reason}: {letter.detail}",
        )
        for letter in evidence.dead_letters
        if all(letter is not each for each in accounted)
    ]
    return found

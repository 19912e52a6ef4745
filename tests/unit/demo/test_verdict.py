from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.demo.case import Case, Expected, Person
from pipeline.demo.evidence import Evidence, Played, Written
from pipeline.demo.summary import latency_rows, outcome_rows, rank
from pipeline.demo.verdict import actual_end, findings
from pipeline.errors import DeadLetterReason
from pipeline.model.reasons import Reason
from pipeline.records.public import Attempt, DeadLetter, VerificationOutcome, VerificationRequest
from pipeline.records.types import AttemptStatus, Channel, VerificationState
from pipeline.topics import REQUESTS

T0 = 1_764_000_000_000
TO = "+4915111111111"
State = VerificationState

VERIFIED = Expected(state=State.VERIFIED, channel=Channel.SMS, provider="ycloud", attempts=1, calls=1)
GOOD = Case(
    kind="good",
    name="v1",
    request=VerificationRequest(verification_id="v1", recipient=TO, external_id="order 1"),
    expected=VERIFIED,
    person=Person.TYPES_IT,
    read_at=TO,
    recipients=(TO,),
)
PLAYED = Played(published_at=T0, code="482913", replies=("valid",), reply_ms=(40.0,))
CALL = {
    "at": T0 + 50,
    "provider": "ycloud",
    "operation": "start",
    "recipient": TO,
    "reference": "v1_1_abcdef",
    "code": "482913",
    "sent": True,
}


def outcome(version: int, state: State, **changes: Any) -> VerificationOutcome:
    fields: dict[str, Any] = {
        "external_id": "order 1",
        "channel": Channel.SMS,
        "provider": "ycloud",
        "attempts": [Attempt(attempt_id="v1.1", channel=Channel.SMS, provider="ycloud")],
    }
    return VerificationOutcome(verification_id="v1", version=version, state=state, **{**fields, **changes})


HISTORY = (
    Written(outcome(1, State.PENDING), T0 + 30),
    Written(outcome(2, State.SENT), T0 + 90),
    Written(outcome(3, State.VERIFIED, is_final=True, verified_attempt_id="v1.1"), T0 + 500),
)


def evidence(**changes: Any) -> Evidence:
    return Evidence(**{"played": {"v1": PLAYED}, "outcomes": {"v1": HISTORY}, "calls": [CALL], **changes})


def problems(case: Case, found: Evidence) -> list[str]:
    return [finding.problem for finding in findings([case], found)]


def ending(**changes: Any) -> Evidence:
    """The good evidence with another final outcome."""
    last = Written(replace(HISTORY[-1].outcome, **changes), HISTORY[-1].at)
    return evidence(outcomes={"v1": (*HISTORY[:-1], last)})


def test_a_case_that_came_out_as_expected_has_no_findings() -> None:
    assert findings([GOOD], evidence()) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"state": State.FAILED}, "state is failed, expected verified"),
        ({"reason": "in_doubt"}, "reason is in_doubt, expected None"),
        ({"provider": "neutrino"}, "provider is neutrino, expected ycloud"),
        ({"channel": Channel.VOICE}, "channel is voice, expected sms"),
        ({"attempts": []}, "attempts is 0, expected 1"),
        ({"external_id": None}, "external_id is None, expected order 1"),
        ({"verified_attempt_id": None}, "verified_attempt_id is None, expected one of ['v1.1']"),
        ({"is_final": False}, "has not ended"),
        ({"version": 4}, "outcome versions are [1, 2, 4]"),
    ],
)
def test_each_deviation_of_the_outcome_is_found(changes: dict[str, Any], problem: str) -> None:
    assert problem in problems(GOOD, ending(**changes))


def test_an_undelivered_attempt_may_not_be_credited() -> None:
    lost = [Attempt(attempt_id="v1.1", channel=Channel.SMS, provider="ycloud", status=AttemptStatus.UNDELIVERED)]
    assert problems(GOOD, ending(attempts=lost)) == ["verified_attempt_id is v1.1, expected one of []"]


def test_a_record_after_the_final_one_is_found() -> None:
    late = Written(replace(HISTORY[-1].outcome, version=4), T0 + 600)
    assert problems(GOOD, evidence(outcomes={"v1": (*HISTORY, late)})) == [
        "final outcomes are the versions [3, 4] of [1, 2, 3, 4]"
    ]


def test_a_request_without_outcome_is_found() -> None:
    lost = evidence(outcomes={})
    assert problems(GOOD, lost) == ["has no outcome"]
    assert actual_end(GOOD, lost) == ("nothing", "")


def test_calls_are_judged_too() -> None:
    assert problems(GOOD, evidence(calls=[CALL, CALL])) == ["providers were called 2 times, expected 1"]


def test_what_a_message_must_show_is_looked_for() -> None:
    case = GOOD.expecting(digits=6, shows=("{code} is yours", "12.50"))
    good = dataclasses.replace(PLAYED, text="482913 is yours, for 12.50")
    assert problems(case, evidence(played={"v1": good})) == []
    other = dataclasses.replace(PLAYED, code="48291", text="482913 is yours")
    assert problems(case, evidence(played={"v1": other})) == [
        "the message shows a code of 5, expected 6",
        "the message does not show '{code} is yours'",
        "the message does not show '12.50'",
    ]


def test_who_persists_may_be_told_more_than_once_that_nobody_can_judge_it() -> None:
    case = dataclasses.replace(GOOD, person=Person.PERSISTS)
    away = "provider_unavailable"
    for replies in ((away, "valid"), (away, away, away, "valid")):
        assert problems(case, evidence(played={"v1": Played(published_at=T0, replies=replies)})) == []
    for replies in (("valid",), (away, away), (away, "wrong_code", "valid")):
        told = problems(case, evidence(played={"v1": Played(published_at=T0, replies=replies)}))
        assert told == [f"checks were answered {', '.join(dict.fromkeys(replies))}, expected {away}, valid"]


def test_a_wrong_reply_and_a_foreign_code_are_found() -> None:
    played = Played(published_at=T0, code="000000", replies=("wrong_code",), reply_ms=(1.0,))
    case = Case(**{**_fields(GOOD), "expected": Expected(**{**_fields(VERIFIED), "code": "482913"})})
    assert problems(case, evidence(played={"v1": played})) == [
        "the message shows another code than the caller's own",
        "checks were answered wrong_code, expected valid",
    ]


def test_two_answers_at_once_may_come_in_either_order() -> None:
    case = Case(**{**_fields(GOOD), "person": Person.TYPES_TWICE})
    for replies in (("valid", "already_verified"), ("already_verified", "valid")):
        played = Played(published_at=T0, replies=replies)
        assert problems(case, evidence(played={"v1": played})) == []
    twice = Played(published_at=T0, replies=("valid", "valid"))
    assert problems(case, evidence(played={"v1": twice})) != []


def test_what_could_not_be_played_is_told_with_its_cause() -> None:
    played = Played(published_at=T0, problem="no sms message by ycloud within 25 s")
    told = problems(GOOD, evidence(played={"v1": played}))
    assert told[0] == "no sms message by ycloud within 25 s"


UNREADABLE = Case(
    kind="no Avro",
    name="v2",
    request=None,
    payload=b"?",
    expected=Expected(dead_letter=DeadLetterReason.UNKNOWN_FRAMING),
)
AT = Played(published_at=T0, positions=((3, 17),))


def letter(**changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {"reason": "unknown_framing", "stage": "router", "topic": REQUESTS, "partition": 3}
    return DeadLetter(**{**fields, "offset": 17, **changes})


def dead(*letters: DeadLetter) -> Evidence:
    return Evidence(played={"v2": AT}, outcomes={}, dead_letters=letters)


def test_a_record_that_is_none_is_found_again_by_its_place() -> None:
    assert problems(UNREADABLE, dead(letter())) == []
    assert actual_end(UNREADABLE, dead(letter())) == ("dead letter", "unknown_framing")


def test_a_missing_a_wrong_and_an_unexpected_dead_letter_are_found() -> None:
    assert problems(UNREADABLE, dead()) == ["no dead letter, expected unknown_framing"]
    assert problems(UNREADABLE, dead(letter(reason="undecodable"))) == [
        "a dead letter says undecodable, expected unknown_framing"
    ]
    assert problems(UNREADABLE, dead(letter(), letter(offset=18, detail="odd"))) == [
        "an unexpected dead letter of router: unknown_framing: odd"
    ]


def test_two_conflicts_of_one_id_are_told_apart_by_their_stage() -> None:
    request = VerificationRequest(verification_id="v1", recipient=TO)
    conflict = {"kind": "conflict", "request": request}
    router = Case(**conflict, name="v3", expected=Expected(dead_letter=DeadLetterReason.ID_CONFLICT))
    tracker = Case(
        **conflict, name="v4", expected=Expected(dead_letter=DeadLetterReason.ID_CONFLICT, found_by="tracker")
    )
    both = [letter(reason="id_conflict", verification_id="v1", stage=stage) for stage in ("tracker", "router")]
    assert findings([router, tracker], Evidence(played={}, outcomes={}, dead_letters=both)) == []
    assert [
        each.name for each in findings([router, tracker], Evidence(played={}, outcomes={}, dead_letters=both[:1]))
    ] == ["v3"]


def test_an_outcome_nobody_asked_for_is_found() -> None:
    found = evidence(outcomes={"v1": HISTORY, "v9": HISTORY})
    assert problems(GOOD, found) == ["an outcome that belongs to no request"]


def test_the_table_counts_expected_and_actual_ends_good_ones_first() -> None:
    failed = Case(
        **{**_fields(GOOD), "name": "v5", "expected": Expected(state=State.FAILED, reason=Reason.UNDELIVERED)}
    )
    rows = outcome_rows([failed, GOOD, UNREADABLE], evidence())
    assert [(row.end, row.reason, row.expected, row.actual) for row in rows] == [
        ("verified", "", 1, 1),
        ("failed", "undelivered", 1, 0),
        ("dead letter", "unknown_framing", 1, 0),
        ("nothing", "", 0, 2),
    ]


def test_latencies_run_from_publishing_to_call_and_outcomes() -> None:
    rows = {row.way: row for row in latency_rows([GOOD], evidence())}
    assert {way: row.p50_ms for way, row in rows.items()} == {
        "request → provider call": 50,
        "request → first outcome": 30,
        "request → outcome says sent": 90,
        "check → reply": 40,
    }


def test_the_second_half_shows_what_remains_when_all_is_warm() -> None:
    played = Played(published_at=T0, code="482913", replies=("valid",), reply_ms=(900.0, 300.0, 40.0, 50.0))
    rows = {row.way: row for row in latency_rows([GOOD], evidence(played={"v1": played}))}
    assert (rows["check → reply"].settled_p50_ms, rows["check → reply"].max_ms) == (40.0, 900.0)


def test_a_call_without_our_reference_is_found_by_recipient_and_time() -> None:
    calls = [{**CALL, "reference": None, "at": T0 - 5}, {**CALL, "reference": None, "at": T0 + 70}]
    rows = {row.way: row for row in latency_rows([GOOD], evidence(calls=calls))}
    assert rows["request → provider call"].max_ms == 70


def test_a_provider_that_is_made_slow_measures_nothing_of_ours() -> None:
    slow = Case(**{**_fields(GOOD), "slow": True})
    assert "request → outcome says sent" not in {row.way for row in latency_rows([slow], evidence())}


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (rank(values, 50), rank(values, 99), rank([7.0], 99)) == (50.0, 99.0, 7.0)


def _fields(of: Case | Expected) -> dict[str, Any]:
    return {name: getattr(of, name) for name in type(of).__dataclass_fields__}

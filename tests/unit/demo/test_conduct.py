from __future__ import annotations

from typing import Any

import pytest

from pipeline.demo.asked import kind_of
from pipeline.demo.case import Case, Expected
from pipeline.demo.conduct import conduct
from pipeline.demo.evidence import Evidence, Written
from pipeline.records.public import Attempt, VerificationOutcome, VerificationRequest
from pipeline.records.types import AttemptResult, Channel, CommandKind, VerificationState
from pipeline.simulator.providers import KINDS

TO, OTHER = "+4915111111111", "+4915122222222"


def case(name: str = "v1", to: str = TO, *, provider: str = "ycloud", **expected: Any) -> Case:
    return Case(
        kind="some",
        name=name,
        request=VerificationRequest(verification_id=name, recipient=to),
        expected=Expected(
            state=VerificationState.VERIFIED, channel=Channel.SMS, provider=provider, attempts=1, calls=1
        ),
        recipients=(to,),
    ).expecting(**expected)


def call(provider: str = "ycloud", operation: str = "start", **changes: Any) -> dict[str, Any]:
    line = {"at": 1, "recipient": TO, "reference": "v1_1_abcdef", "code": "482913", "sent": True}
    return {**line, "provider": provider, "operation": operation, **changes}


def ended(provider: str = "ycloud", state: VerificationState = VerificationState.VERIFIED, **attempt: Any) -> Written:
    fields = {"result": AttemptResult.ACCEPTED, "provider_message_id": "m-1", **attempt}
    made = [Attempt(attempt_id="v1.1", channel=Channel.SMS, provider=provider, **fields)]
    verified = "v1.1" if state is VerificationState.VERIFIED else None
    return Written(
        VerificationOutcome(
            verification_id="v1", version=1, state=state, attempts=made, is_final=True, verified_attempt_id=verified
        ),
        1,
    )


def problems(cases: list[Case], calls: list[dict[str, Any]], *outcomes: Written, **evidence: Any) -> list[str]:
    found = Evidence(played={}, outcomes={"v1": outcomes} if outcomes else {}, calls=calls, **evidence)
    return [finding.problem for finding in conduct(cases, found)]


def test_every_operation_a_sender_asks_is_an_operation_of_the_simulator_and_every_kind_is_met() -> None:
    operations = [(provider, operation) for provider, kind in KINDS.items() for operation in kind.operations]
    met = {(provider, kind_of(call(provider, operation))) for provider, operation in operations}
    everything = {CommandKind.SEND, CommandKind.CHECK, CommandKind.LOOKUP}
    assert {kind for provider, kind in met if provider == "bird"} == everything
    assert {kind for provider, kind in met if provider == "thundersms"} == {*everything, CommandKind.CANCEL, None}
    assert {kind for provider, kind in met if provider == "ycloud"} >= {CommandKind.REPORT, CommandKind.LOOKUP}
    assert {kind for provider, kind in met if provider == "smtp"} == {CommandKind.SEND}
    assert kind_of(call("telesign", "status")) is CommandKind.CHECK
    assert kind_of(call("telesign", "status", code=None)) is CommandKind.LOOKUP


def test_a_send_is_made_as_often_as_it_must_be() -> None:
    assert problems([case()], [call()]) == []
    assert problems([case()], []) == ["providers were called 0 times, expected 1"]
    assert problems([case()], [call(), call()]) == ["providers were called 2 times, expected 1"]


def test_a_spare_call_may_be_made_or_not_but_no_more() -> None:
    spared = case(spare_calls=1)
    assert problems([spared], [call()]) == problems([spared], [call(), call()]) == []
    assert problems([spared], [call()] * 3) == ["providers were called 3 times, expected 1-2"]


def test_calls_of_cases_with_one_recipient_are_counted_together() -> None:
    both = [case(), case("v2")]
    assert problems(both, [call(), call(reference="v2_1_abcdef")]) == []
    assert problems(both, [call()]) == ["providers were called 1 times, expected 2"]


@pytest.mark.parametrize(
    ("expected", "provider", "operation", "problem"),
    [
        ({"checks": 1}, "bird", "check", "providers were asked about a code"),
        ({"checks": 1}, "telesign", "status", "providers were asked about a code"),
        ({"cancels": 1}, "thundersms", "cancel", "providers were asked to leave a message"),
    ],
)
def test_checks_and_cancels_are_counted(expected: dict[str, int], provider: str, operation: str, problem: str) -> None:
    errand = call(provider, operation, reference="theirs")
    assert problems([case(**expected)], [call(), errand]) == []
    assert problems([case(**expected)], [call()]) == [f"{problem} 0 times, expected 1"]
    assert problems([case()], [call(), errand]) == [f"{problem} 1 times, expected 0"]


@pytest.mark.parametrize(("provider", "operation"), [("ycloud", "check"), ("telesign", "completion")])
def test_the_provider_whose_message_was_verified_hears_of_it_once(provider: str, operation: str) -> None:
    sends = [call("ycloud"), call(provider, operation, reference="m-1")]
    assert problems([case()], sends, ended(provider)) == []
    assert problems([case()], sends[:1], ended(provider)) == ["providers were told of the success 0 times, expected 1"]
    twice = [*sends, sends[1]]
    assert problems([case()], twice, ended(provider)) == ["providers were told of the success 2 times, expected 1"]


def test_no_success_is_told_where_there_is_none_or_where_the_provider_judged_it_itself() -> None:
    told = [call(), call(operation="check", reference="m-1")]
    wrong = ["providers were told of the success 1 times, expected 0"]
    assert problems([case()], told, ended(state=VerificationState.FAILED)) == wrong
    assert problems([case(made=True)], told, ended()) == wrong
    assert problems([case()], told, ended("bird")) == wrong


def test_of_a_message_without_a_name_a_success_may_be_told_when_the_answer_comes_after_all() -> None:
    sends = [call(), call(operation="check", reference="m-1")]
    for nameless in ({"result": AttemptResult.IN_DOUBT}, {"provider_message_id": None}):
        assert problems([case()], sends[:1], ended(**nameless)) == []
        assert problems([case()], sends, ended(**nameless)) == []
        assert problems([case(reported=True)], sends[:1], ended(**nameless)) == [
            "providers were told of the success 0 times, expected 1"
        ]


def test_a_message_must_have_been_asked_about_by_its_name_or_in_a_list_of_its_own_provider() -> None:
    wanted, nobody = case(looked_up=True), ["nobody asked what became of the message"]
    listed = call("ycloud", "list_sms", recipient=None, reference=None, code=None)
    assert problems([wanted], [call(), listed]) == []
    assert problems([wanted], [call()]) == nobody
    foreign = call("bird", "list", recipient=None, reference=None, code=None)
    assert problems([wanted], [call(), foreign]) == nobody
    polled = case(provider="thundersms_walking", looked_up=True)
    assert problems([polled], [call(), call("thundersms", "search")]) == []
    assert (
        problems(
            [polled, case("v2", OTHER)],
            [call(), call(recipient=OTHER, reference="v2_1_a"), call("thundersms", "search", recipient=OTHER)],
        )
        == nobody
    )


def test_how_a_message_was_sent_is_looked_at() -> None:
    smart = case(provider="telesign", operation="smart")
    assert problems([smart], [call("telesign", "smart", reference=None)]) == []
    assert problems([smart], [call("telesign", "sms")]) == ["was not sent by 'smart'"]


def test_calls_for_nobody_and_calls_that_no_sender_makes_are_found() -> None:
    strange = call(recipient=OTHER, reference="v1_1_abcdef")
    assert "1 provider calls to recipients of no request" in problems([case()], [call(), strange])
    lists = call("bird", "list", recipient=None, reference=None, code=None)
    assert problems([case()], [call(), lists]) == []
    assert problems([case()], [call(), call("neutrino", "hlr-lookup")]) == [
        "calls that no sender makes: neutrino hlr-lookup"
    ]


@pytest.mark.parametrize("reference", [None, "somebody-elses_1_abcdef", "m-1"])
def test_a_send_that_does_not_say_our_reference_is_found(reference: str | None) -> None:
    assert problems([case()], [call(reference=reference)]) == ["a message by ycloud does not say our reference"]
    assert problems([case()], [call(reference=reference, sent=False)]) == [], "refused before it said anything"
    assert problems([case()], [call("bird", "create", reference=reference)]) == [], "it takes none"


def test_a_webhook_that_was_refused_is_found() -> None:
    told = [{"provider": "bird", "event_type": "sms.outbound", "answered": answered} for answered in ("200", "401")]
    assert problems([case()], [call()], webhooks=told) == ["a webhook (sms.outbound) was answered 401"]
    late = [{**told[0], "answered": "TimeoutError"}, told[0]]
    assert problems([case()], [call()], webhooks=late) == [], "it is told again"

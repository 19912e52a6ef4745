from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from pipeline.cli.demo import ALL_FROM, MOST
from pipeline.demo.asked import REPORTED_TO
from pipeline.demo.case import Case, Expected, Person
from pipeline.demo.configuration import kind_of
from pipeline.demo.providers import TITLES
from pipeline.demo.recipients import Recipients
from pipeline.demo.scenario import behaviours, kinds, scenario
from pipeline.errors import DeadLetterReason
from pipeline.model.capabilities import ChannelCapabilities
from pipeline.model.reasons import STATE, Reason
from pipeline.model.recipient import canonical
from pipeline.records.types import Channel, VerificationState
from pipeline.senders.registry import KINDS
from pipeline.simulator.app import make_all
from pipeline.simulator.behaviour import ProviderBehaviour
from pipeline.simulator.magic import TABLE, magic_of
from pipeline.simulator.server import Simulator

NOW = 1_764_000_000_000


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return scenario(200, now_ms=NOW)


@pytest.mark.parametrize("number", [1, 17, 120, 200, 500, MOST])
def test_there_are_as_many_cases_as_asked_for_and_hardly_more(number: int) -> None:
    assert number <= len(scenario(number, now_ms=NOW)) <= number + 2


def test_two_hundred_hold_every_kind_and_so_do_as_many_as_the_help_says(cases: list[Case]) -> None:
    assert kinds(cases) == kinds(scenario(1_000, now_ms=NOW)) == kinds(scenario(ALL_FROM, now_ms=NOW))


def verified(cases: list[Case]) -> list[Expected]:
    return [case.expected for case in cases if case.expected.state is VerificationState.VERIFIED]


def through(expected: list[Expected]) -> set[tuple[str, Channel | None]]:
    return {(kind_of(each.provider), each.channel) for each in expected if each.provider is not None}


def able(can: Callable[[ChannelCapabilities], object]) -> set[tuple[str, Channel | None]]:
    """Kinds of provider and the channels of theirs that can do something."""
    return {
        (name, channel)
        for name, kind in KINDS.items()
        for channel, each in kind.capabilities.channels.items()
        if can(each)
    }


def test_two_hundred_verify_through_every_provider_on_every_channel_it_has(cases: list[Case]) -> None:
    assert through(verified(cases)) == able(lambda channel: True)
    assert {each.provider for each in verified(cases)} == set(TITLES), "the second account too"
    assert max(each.attempts for each in verified(cases)) == 3


def test_two_hundred_verify_by_every_code_a_provider_carries_or_makes(cases: list[Case]) -> None:
    assert through([each for each in verified(cases) if not each.made]) == able(lambda channel: channel.own_code)
    assert through([each for each in verified(cases) if each.made]) == able(lambda channel: channel.provider_code)
    judged = {(kind, channel) for kind, channel in able(lambda channel: channel.check and channel.provider_code)}
    assert through([each for each in verified(cases) if each.checks]) == judged


def test_two_hundred_see_a_delivery_told_by_every_provider_that_tells_any(cases: list[Case]) -> None:
    delivered = [case.expected for case in cases if case.expected.state is VerificationState.DELIVERED]
    assert through(delivered) == able(lambda channel: channel.receipts)


def test_two_hundred_ask_providers_for_all_they_can_be_asked(cases: list[Case]) -> None:
    def asked(*, by: Callable[[Expected], object]) -> set[str]:
        return {kind for kind, _ in through([case.expected for case in cases if by(case.expected)])}

    assert asked(by=lambda expected: expected.looked_up) == {"ycloud", "bird", "thundersms"}
    assert asked(by=lambda expected: expected.operation) == {"bird", "telesign"}
    assert asked(by=lambda expected: expected.reported) == REPORTED_TO
    assert asked(by=lambda expected: expected.cancels) >= {"thundersms"}
    persisting = {case.expected.provider for case in cases if case.person is Person.PERSISTS}
    assert persisting == {"bird", "telesign", "thundersms"}


def test_a_rule_is_for_the_recipient_of_its_case_alone_and_is_one_the_simulator_takes(cases: list[Case]) -> None:
    recipients = Counter(recipient for case in cases for recipient in case.recipients)
    for case in cases:
        for rule in case.rules.values():
            assert rule["when"]["recipient"] in case.recipients
            assert recipients[rule["when"]["recipient"]] == 1
    simulated = make_all(Simulator().world)
    for kind, behaviour in behaviours(cases).items():
        assert simulated[kind].problems(ProviderBehaviour.model_validate_json(json.dumps(behaviour))) == []


def test_two_hundred_meet_every_way_a_verification_can_end(cases: list[Case]) -> None:
    ends = {case.expected.state for case in cases}
    assert ends >= {None, *STATE.values()}
    assert VerificationState.DELIVERED in ends


def test_two_hundred_hold_every_reason_that_needs_no_other_settings(cases: list[Case]) -> None:
    met = {case.expected.reason for case in cases} | {case.expected.dead_letter for case in cases}
    rejections = {reason for reason, state in STATE.items() if state is VerificationState.REJECTED}
    assert rejections - met == {Reason.NO_CHANNEL, Reason.UNSUPPORTED_COUNTRY}
    assert met >= set(DeadLetterReason) - {DeadLetterReason.HANDLER_REFUSED, DeadLetterReason.TOO_LARGE}


def test_what_takes_longest_is_begun_first(cases: list[Case]) -> None:
    expiring = [number for number, case in enumerate(cases) if case.expected.reason is Reason.EXPIRED]
    found = [number for number, case in enumerate(cases) if "found in" in case.kind]
    assert [*expiring, *found] == list(range(len(expiring) + 3))


def test_a_reason_and_its_state_belong_together(cases: list[Case]) -> None:
    for case in cases:
        if case.expected.reason is not None:
            assert case.expected.state is STATE[case.expected.reason]


def test_names_are_unique_and_a_case_comes_after_those_it_waits_for(cases: list[Case]) -> None:
    seen: set[str] = set()
    for case in cases:
        assert case.name not in seen
        assert seen.issuperset(case.after)
        seen.add(case.name)


def test_a_recipient_is_used_again_only_on_purpose(cases: list[Case]) -> None:
    reached = [case for case in cases if case.expected.calls]
    users = Counter(recipient for case in reached for recipient in case.recipients)
    again = {case.kind for case in reached if any(users[recipient] > 1 for recipient in case.recipients)}
    assert again == {"asked again, so another route", "too many failures of one recipient"}


def test_only_magic_recipients_are_magic(cases: list[Case]) -> None:
    plain = [case for case in cases if case.kind in ("SMS, planned automatically", "e-mail", "landline, so voice")]
    assert plain
    assert all(magic_of(recipient) is None for case in plain for recipient in case.recipients)


def test_somebody_reads_each_code_that_is_to_be_typed(cases: list[Case]) -> None:
    for case in cases:
        assert (case.person is Person.ABSENT) == (not case.replies)
        if case.person is not Person.ABSENT:
            assert case.read_at == case.recipients[-1]


@pytest.mark.parametrize("magic", [None, *TABLE])
def test_recipients_are_valid_distinct_and_as_magic_as_wished(magic: str | None) -> None:
    recipients = Recipients()
    numbers = [recipients.phone("DE", magic=magic) for _ in range(20)]
    assert len(set(numbers)) == 20
    for number in numbers:
        read = canonical(number)
        assert (read.canonical, read.country, read.line_type) == (number, "DE", "mobile")
        assert magic_of(number) is (None if magic is None else TABLE[magic])


def test_a_landline_is_one_and_a_national_number_is_read_with_its_country() -> None:
    recipients = Recipients()
    assert canonical(recipients.phone("DE", landline=True)).line_type == "fixed_line"
    assert canonical(recipients.national("GB"), "GB").country == "GB"


def test_numbers_that_run_out_are_told() -> None:
    recipients = Recipients()
    for _ in range(100):
        recipients.phone("DE", magic="10")
    with pytest.raises(LookupError, match="mobile number of DE"):
        recipients.phone("DE", magic="10")

from __future__ import annotations

from typing import Any

from pipeline.cli.demo import shown_of
from pipeline.demo.case import Case, Expected
from pipeline.demo.evidence import Evidence, Written
from pipeline.demo.providers import CHANNELS, TITLES
from pipeline.demo.summary import ASKED, asked_rows, through_rows
from pipeline.records.public import VerificationOutcome, VerificationRequest
from pipeline.records.types import Channel, CommandKind, VerificationState

State = VerificationState


def case(name: str, provider: str, channel: Channel, state: State = State.VERIFIED) -> Case:
    request = VerificationRequest(verification_id=name, recipient="+4915111111111")
    expected = Expected(state=state, channel=channel, provider=provider)
    return Case(kind="some", name=name, request=request, expected=expected)


def outcome(name: str, provider: str, channel: Channel, state: State = State.VERIFIED) -> tuple[Written, ...]:
    return (
        Written(
            VerificationOutcome(verification_id=name, version=1, state=state, provider=provider, channel=channel), 1
        ),
    )


def call(provider: str, operation: str, code: str | None = None) -> dict[str, Any]:
    return {"provider": provider, "operation": operation, "code": code, "recipient": "+4915111111111"}


def test_verified_are_counted_by_account_and_channel_beside_what_was_expected() -> None:
    cases = [
        case("v1", "bird", Channel.SMS),
        case("v2", "bird", Channel.SMS),
        case("v3", "thundersms_walking", Channel.VIBER),
        case("v4", "smtp", Channel.EMAIL, State.FAILED),
    ]
    outcomes = {
        "v1": outcome("v1", "bird", Channel.SMS),
        "v2": outcome("v2", "bird", Channel.SMS, State.EXPIRED),
        "v3": outcome("v3", "thundersms_walking", Channel.VIBER),
        "v4": outcome("v4", "smtp", Channel.EMAIL, State.FAILED),
    }
    rows = through_rows(cases, Evidence(played={}, outcomes=outcomes))
    assert [row.provider for row in rows] == list(TITLES)
    assert all([channel for channel, _, _ in row.verified] == list(CHANNELS) for row in rows)
    found = {
        (row.provider, channel): (wanted, got) for row in rows for channel, wanted, got in row.verified if wanted or got
    }
    assert found == {("bird", Channel.SMS): (2, 1), ("thundersms_walking", Channel.VIBER): (1, 1)}


def test_what_was_asked_is_counted_by_kind_of_provider_and_receipts_when_they_were_taken() -> None:
    calls = [call("bird", "create"), call("bird", "check", "1"), call("bird", "list"), call("bird", "get")]
    calls += [call("ycloud", "check", "1"), call("thundersms", "cancel"), call("smtp", "send")]
    webhooks = [
        {"provider": "bird", "event_type": "sms.outbound", "answered": "200"},
        {"provider": "bird", "event_type": "sms.outbound", "answered": "TimeoutError"},
        {"provider": "thundersms", "event_type": "challenge", "answered": "200"},
    ]
    rows = {row.provider: row for row in asked_rows(Evidence(played={}, outcomes={}, calls=calls, webhooks=webhooks))}
    assert list(rows) == ["ycloud", "neutrino", "telesign", "bird", "thundersms", "smtp"]
    assert dict(zip(ASKED, rows["bird"].asked, strict=True)) == {
        CommandKind.SEND: 1,
        CommandKind.CHECK: 1,
        CommandKind.LOOKUP: 2,
        CommandKind.REPORT: 0,
        CommandKind.CANCEL: 0,
    }
    assert rows["ycloud"].asked == (0, 0, 0, 1, 0)
    assert rows["thundersms"].asked == (0, 0, 0, 0, 1)
    assert (rows["bird"].receipts, rows["thundersms"].receipts) == (1, 0)


def test_a_number_says_what_it_should_be_only_where_it_is_not() -> None:
    assert [shown_of(0, 0), shown_of(4, 4), shown_of(4, 3), shown_of(0, 1)] == ["-", "4", "3 of 4", "1 of 0"]

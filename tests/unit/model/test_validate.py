from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.keys import KeyRing, seal_public
from pipeline.model.options import OneOf, WholeNumber
from pipeline.model.reasons import STATE, Reason
from pipeline.model.validate import Planned, Validator
from pipeline.records.public import Step, VerificationRequest
from pipeline.records.types import Channel, CodeHolder, VerificationMode, VerificationState
from pipeline.settings import PolicySettings, TemplateSettings, TenantSettings

RING = KeyRing.for_tests()
NOW = 1_800_000_000_000
MOBILE, LANDLINE, MAIL = "+4915123456789", "+493012345678", "jane@example.org"
SMS, VOICE, WHATSAPP, VIBER, EMAIL = Channel.SMS, Channel.VOICE, Channel.WHATSAPP, Channel.VIBER, Channel.EMAIL

ABLE = ChannelCapabilities(own_code=True, options={"ignore_risk": OneOf(("0", "1")), "limit": WholeNumber(1, 1_000)})
PROVIDERS = {
    "ycloud": ProviderCapabilities(kind="ycloud", channels=dict.fromkeys((SMS, VOICE, WHATSAPP, EMAIL), ABLE)),
    "neutrino": ProviderCapabilities(
        kind="neutrino", channels=dict.fromkeys((SMS, VOICE), ChannelCapabilities(own_code=True))
    ),
}
TENANTS = {
    "default": TenantSettings(),
    "short": TenantSettings(code_length=4, min_code_length=4),
    "slow": TenantSettings(max_expires_in_s=3600, brand="Shop", signature="店", language="fr"),
}
TEMPLATES = {
    "login": TemplateSettings(texts={"en": "{code}"}),
    "branded": TemplateSettings(texts={"en": "{code}", "de": "{brand}: {code}"}),
    "paying": TemplateSettings(texts={"en": "{code}"}, subjects={"en": "To {payee}"}),
}


def validator(**changes: Any) -> Validator:
    values: dict[str, Any] = {
        "key_ring": RING,
        "tenants": TENANTS,
        "policy": PolicySettings(),
        "providers": PROVIDERS,
        "place": lambda canonical: len(canonical) % 4,
        "test_numbers": ["+15555550100", "qa@example.org"],
        "templates": TEMPLATES,
    }
    return Validator(**(values | changes))


VALIDATOR = validator()
_NO_RECEIPTS = ChannelCapabilities(own_code=True, receipts=False)
SILENT = validator(
    providers={
        "ycloud": PROVIDERS["ycloud"],
        "neutrino": ProviderCapabilities(kind="neutrino", channels=dict.fromkeys((SMS, VOICE, VIBER), _NO_RECEIPTS)),
    }
)
"""One provider that reports deliveries, and one that reports none."""


def plan(*, bulk: bool = False, by: Validator = VALIDATOR, **fields: Any) -> Planned:
    request = VerificationRequest(**({"verification_id": "v1", "recipient": MOBILE} | fields))
    return by.plan(request, bulk=bulk, recorded_at=NOW, partition=3)


def step(channel: Channel = SMS, **fields: Any) -> Step:
    return Step(channel=channel, **fields)


SEALED = seal_public(RING.public_key(), "483920", verification_id="v1", field="code")


def shown(value: object) -> str:
    """The name of a case: the same in every process that collects it, though sealing is random."""
    return str(value).replace(str(SEALED), "sealed")[:60]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"verification_id": ""}, "invalid_field", "verification_id"),
    ({"verification_id": "x" * 49}, "invalid_field", "verification_id"),
    ({"verification_id": "a b"}, "invalid_field", "verification_id"),
    ({"verification_id": "ü"}, "invalid_field", "verification_id"),
    ({"verification_id": "v1\n"}, "invalid_field", "verification_id"),
    ({"tenant": "nobody"}, "unknown_tenant", "tenant"),
    ({"tenant": ""}, "unknown_tenant", "tenant"),
    ({"external_id": "x" * 129}, "invalid_field", "external_id"),
    ({"external_id": MOBILE}, "invalid_field", "external_id"),
    ({"external_id": "+1 800 356 9377"}, "invalid_field", "external_id"),
    ({"external_id": "Jane@Example.org"}, "invalid_field", "external_id"),
    ({"recipient": None}, "missing_field", "recipient"),
    ({"recipient": "123"}, "invalid_recipient", "recipient"),
    ({"recipient": ""}, "invalid_recipient", "recipient"),
    ({"recipient": "jane@localhost"}, "invalid_recipient", "recipient"),
    ({"recipient": "+18003569377"}, "unsupported_line_type", "recipient"),
    ({"recipient": "0151 23456789", "country": "Germany"}, "invalid_country", "country"),
    ({"country": "XX"}, "invalid_country", "country"),
    ({"mode": VerificationMode.UNKNOWN}, "invalid_field", "mode"),
    ({"steps": [step(Channel.UNKNOWN)]}, "invalid_channel", "steps[0].channel"),
    ({"steps": [step(), step(EMAIL)]}, "invalid_channel", "steps[1].channel"),
    ({"steps": [step()], "recipient": MAIL}, "invalid_channel", "steps[0].channel"),
    ({"steps": [step()] * 21}, "invalid_steps", "steps"),
    ({"steps": [step(recipient="x")]}, "invalid_recipient", "steps[0].recipient"),
    ({"steps": [step(recipient="0151 1", country="ZZ")]}, "invalid_country", "steps[0].country"),
    ({"steps": [step(country="DE")]}, "invalid_field", "steps[0].country"),
    ({"recipient": None, "steps": [step(recipient=MOBILE), step()]}, "missing_field", "steps[1].recipient"),
    ({"recipient": None, "steps": [step(), step(recipient=MOBILE)]}, "missing_field", "recipient"),
    ({"steps": [step(wait_s=4)]}, "invalid_field", "steps[0].wait_s"),
    ({"steps": [step(wait_s=901)]}, "invalid_field", "steps[0].wait_s"),
    ({"steps": [step(ttl_s=29)]}, "invalid_field", "steps[0].ttl_s"),
    ({"steps": [step(ttl_s=1_209_601)]}, "invalid_field", "steps[0].ttl_s"),
    ({"steps": [step(language="klingon!")]}, "invalid_language", "steps[0].language"),
    ({"steps": [step(sender="")]}, "invalid_field", "steps[0].sender"),
    ({"steps": [step(sender="Shop\r\nX: y")]}, "invalid_field", "steps[0].sender"),
    ({"steps": [step(provider="twilio")]}, "unknown_provider", "steps[0].provider"),
    ({"steps": [step(WHATSAPP, provider="neutrino")]}, "unsupported_by_provider", "steps[0].provider"),
    ({"steps": [step(template="nothing")]}, "unknown_template", "steps[0].template"),
    ({"steps": [step(template="login", text="{code}")]}, "invalid_text", "steps[0].text"),
    ({"steps": [step(template="branded")]}, "invalid_text", "steps[0].template"),
    ({"steps": [step(template="paying")]}, "invalid_text", "steps[0].template"),
    ({"steps": [step(text="no code")]}, "invalid_text", "steps[0].text"),
    ({"steps": [step(text="{code} {who}")]}, "invalid_text", "steps[0].text"),
    ({"steps": [step(text="{brand}: {code}")]}, "invalid_text", "steps[0].text"),
    ({"steps": [step(text="{code}: {amount}")]}, "invalid_text", "steps[0].text"),
    ({"steps": [step(flow_id="f1")]}, "invalid_field", "steps[0].flow_id"),
    ({"steps": [step(VOICE, flow_id="")]}, "invalid_field", "steps[0].flow_id"),
    ({"steps": [step(subject="Hello")]}, "invalid_field", "steps[0].subject"),
    ({"recipient": MAIL, "steps": [step(EMAIL, subject="{code}")]}, "invalid_text", "steps[0].subject"),
    ({"recipient": MAIL, "steps": [step(EMAIL, subject="Hi\r\nBcc: x")]}, "invalid_field", "steps[0].subject"),
    ({"steps": [step(options={"nonsense": "1"})]}, "unknown_option", "steps[0].options"),
    ({"steps": [step(options={"ignore_risk": "1"}, provider="neutrino")]}, "unknown_option", "steps[0].options"),
    ({"steps": [step(options={"ignore_risk": "\n"})]}, "invalid_field", "steps[0].options.ignore_risk"),
    ({"steps": [step(), step(options={"limit": "abc"})]}, "invalid_field", "steps[1].options.limit"),
    ({"steps": [step(options={"limit": MOBILE})]}, "invalid_field", "steps[0].options.limit"),
    ({"steps": [step(options={"limit": "1001"}, provider="ycloud")]}, "invalid_field", "steps[0].options.limit"),
    ({"channel_defaults": [step(options={"limit": "0"})]}, "invalid_field", "channel_defaults[0].options.limit"),
    ({"steps": [step(options={str(i): "1" for i in range(21)})]}, "invalid_field", "steps[0].options"),
    ({"steps": [step(wait_s=290), step(VOICE)]}, "invalid_steps", "steps[1]"),
    ({"steps": [step(), step(VOICE)], "expires_in_s": 44}, "invalid_steps", "steps[1]"),
    ({"steps": [step(recipient="+15555550100")]}, "invalid_steps", "steps[0]"),
    ({"channel_defaults": [step(Channel.UNKNOWN)]}, "invalid_channel", "channel_defaults[0].channel"),
    ({"channel_defaults": [step(), step()]}, "invalid_steps", "channel_defaults[1]"),
    ({"channel_defaults": [step(recipient=MOBILE)]}, "invalid_steps", "channel_defaults[0].recipient"),
    ({"channel_defaults": [step(wait_s=30)]}, "invalid_steps", "channel_defaults[0].wait_s"),
    ({"channel_defaults": [step(country="Germany")]}, "invalid_country", "channel_defaults[0].country"),
    (
        {"recipient": None, "steps": [step(recipient="0151 1")], "channel_defaults": [step(VOICE), step(country="ZZ")]},
        "invalid_country",
        "channel_defaults[1].country",
    ),
    ({"channel_defaults": [step(VIBER, ttl_s=1)]}, "invalid_field", "channel_defaults[0].ttl_s"),
    ({"prefer_channel": SMS, "steps": [step()]}, "invalid_steps", "prefer_channel"),
    ({"prefer_channel": Channel.UNKNOWN}, "invalid_channel", "prefer_channel"),
    ({"code": "48 3920"}, "invalid_code", "code"),
    ({"code": "12345"}, "invalid_code_length", "code"),
    ({"code": "123", "tenant": "short"}, "invalid_code_length", "code"),
    ({"code": "1234567890123"}, "invalid_code_length", "code"),
    ({"code": "483920", "code_length": 8}, "invalid_code_length", "code"),
    ({"code": "483920", "code_sealed": SEALED}, "invalid_code", "code_sealed"),
    ({"code_sealed": b"\x01\x02zz" + bytes(60)}, "invalid_code", "code_sealed"),
    ({"code_sealed": SEALED, "verification_id": "v2"}, "invalid_code", "code_sealed"),
    ({"code_sealed": SEALED, "code_length": 8}, "invalid_code_length", "code_sealed"),
    ({"code_length": 3}, "invalid_code_length", "code_length"),
    ({"code_length": 13}, "invalid_code_length", "code_length"),
    ({"code_length": 4}, "invalid_code_length", "code_length"),
    ({"language": "english"}, "invalid_language", "language"),
    ({"language": ""}, "invalid_language", "language"),
    ({"brand": ""}, "invalid_field", "brand"),
    ({"brand": "x" * 33}, "invalid_field", "brand"),
    ({"brand": "a\nb"}, "invalid_field", "brand"),
    ({"signature": ""}, "invalid_field", "signature"),
    ({"signature": "x" * 65}, "invalid_field", "signature"),
    ({"use_case": "LOGIN"}, "invalid_field", "use_case"),
    ({"expires_in_s": 29}, "invalid_field", "expires_in_s"),
    ({"expires_in_s": 3601, "recipient": MAIL}, "invalid_field", "expires_in_s"),
    ({"expires_in_s": 601}, "invalid_field", "expires_in_s"),
    ({"max_checks": 0}, "invalid_field", "max_checks"),
    ({"max_checks": 11}, "invalid_field", "max_checks"),
    ({"end_user_ip": "1.2.3"}, "invalid_field", "end_user_ip"),
    ({"amount": "1.00"}, "missing_field", "payee"),
    ({"payee": "Shop"}, "missing_field", "amount"),
    ({"amount": "1,00", "payee": "Shop"}, "invalid_field", "amount"),
    ({"amount": "1.", "payee": "Shop"}, "invalid_field", "amount"),
    ({"amount": "1.00", "payee": ""}, "invalid_field", "payee"),
    ({"amount": "1.00", "payee": "Shop", "code": "483920"}, "invalid_field", "amount"),
    ({"amount": "1.00", "payee": "Shop", "code_sealed": SEALED}, "invalid_field", "amount"),
    ({"send_before_at": -1}, "invalid_field", "send_before_at"),
    ({"send_before_at": NOW + 172_800_001}, "invalid_field", "send_before_at"),
    ({"job_id": "x" * 129}, "invalid_field", "job_id"),
    ({"job_id": MAIL}, "invalid_field", "job_id"),
    ({"row": -1}, "invalid_field", "row"),
    ({"metadata": {str(i): "" for i in range(11)}}, "invalid_field", "metadata"),
    ({"metadata": {"": "x"}}, "invalid_field", "metadata"),
    ({"metadata": {"k" * 41: "x"}}, "invalid_field", "metadata"),
    ({"metadata": {"k": "x" * 257}}, "invalid_field", "metadata"),
    ({"metadata": {"k": " +49 151 23456789"}}, "invalid_field", "metadata"),
    ({"metadata": {MAIL: "x"}}, "invalid_field", "metadata"),
    ({"metadata": {"k": "\u200e+49\u00ad151\u200b23456789\ufeff"}}, "invalid_field", "metadata"),
    ({"metadata": {"k": "jane\u200b@example\u2060.org"}}, "invalid_field", "metadata"),
    ({"metadata": {"k": "jane @ example.org"}}, "invalid_field", "metadata"),
    ({"metadata": {"+\u2066999 (12) 34-567": "x"}}, "invalid_field", "metadata"),
    ({"external_id": "\u202a+49 151 23456789\u202c"}, "invalid_field", "external_id"),
    ({"external_id": "signup\x001027"}, "invalid_field", "external_id"),
    ({"external_id": "signup\n1027"}, "invalid_field", "external_id"),
    ({"job_id": "job\x00"}, "invalid_field", "job_id"),
    ({"metadata": {"k": "a\x00b"}}, "invalid_field", "metadata"),
    ({"metadata": {"a\x85b": "x"}}, "invalid_field", "metadata"),
    ({"external_id": "＋999 123 4567"}, "invalid_field", "external_id"),
    ({"external_id": "tel:+49151/234-56789"}, "invalid_field", "external_id"),
    ({"job_id": "\ufeff+123456789012345"}, "invalid_field", "job_id"),
    ({"job_id": "jane＠example.org"}, "invalid_field", "job_id"),
    ({"requested_at": NOW + 300_001}, "invalid_field", "requested_at"),
    ({"requested_at": -1}, "invalid_field", "requested_at"),
]


@pytest.mark.parametrize(
    ("fields", "way_out"),
    [
        ({"provider": "twilio"}, "name another or none"),
        ({"options": {"nonsense": "1"}}, "there are ignore_risk limit"),
        ({"options": {"nonsense": "1"}, "provider": "neutrino"}, "there are none"),
    ],
)
def test_a_provider_or_option_that_does_not_exist_is_told_with_what_does(fields: dict[str, Any], way_out: str) -> None:
    refused = plan(steps=[step(**fields)]).refused
    assert refused is not None
    assert refused.detail.endswith(f"; {way_out}")


@pytest.mark.parametrize(("fields", "reason", "field"), REFUSED, ids=shown)
def test_a_broken_rule_is_refused_with_reason_and_field(fields: dict[str, Any], reason: str, field: str) -> None:
    refused = plan(**fields).refused
    assert refused is not None
    assert (refused.reason, refused.field) == (reason, field)
    assert refused.detail.startswith(f"{field}: ") or refused.detail.startswith("code_length: ")
    assert STATE[Reason(refused.reason)] is VerificationState.REJECTED


@pytest.mark.parametrize(("fields", "reason", "field"), REFUSED, ids=shown)
def test_no_detail_and_no_plan_shows_a_recipient_or_code(fields: dict[str, Any], reason: str, field: str) -> None:
    planned = plan(**fields)
    shown = repr(planned.plan) + " ".join(str(refused) for refused in planned.refusals)
    for secret in (MOBILE, LANDLINE, MAIL, "15123456789", "483920", "48 3920", "1234567890123"):
        assert secret not in shown


OUT_OF_RANGE: list[tuple[dict[str, Any], str]] = [
    ({"code_length": 482913}, "6-12"),
    ({"code_length": 5, "code": "482913"}, "code_length"),
    ({"code_length": 4}, "6-12"),
    ({"max_checks": 482913}, "1-10"),
    ({"expires_in_s": 482913}, "30-3600"),
    ({"expires_in_s": 2913}, "30-600"),
    ({"row": -482913}, "0-9223372036854775807"),
    ({"steps": [step(wait_s=482913)]}, "5-900"),
    ({"steps": [step(ttl_s=4829130)]}, "30-1209600"),
]


@pytest.mark.parametrize(("fields", "allowed"), OUT_OF_RANGE, ids=shown)
def test_a_number_out_of_range_is_told_its_range_and_not_repeated(fields: dict[str, Any], allowed: str) -> None:
    """A code typed into the wrong field must not be published."""
    refused = plan(**fields).refused
    assert refused is not None
    assert allowed in refused.detail
    for number in ("482913", "4829130", "2913", "is 4", "is 5"):
        assert number not in refused.detail


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"verification_id": "x" * 48},
    {"external_id": "order-17@shop"},
    {"external_id": "+17"},
    {"external_id": "+123 456"},
    {"external_id": "1234567+1"},
    {"external_id": "+1234567890123456"},
    {"external_id": "2026-11-22T10:00:00+01:00"},
    {"external_id": "order 17 @ shop"},
    {"country": "de", "recipient": "0151 23456789"},
    {"recipient": None, "steps": [step(recipient=MOBILE), step(VOICE, recipient=LANDLINE)]},
    {"steps": [step(wait_s=5), step(VOICE, wait_s=900)]},
    {"steps": [step(wait_s=285), step(VOICE)]},
    {"steps": [step(ttl_s=30)]},
    {"steps": [step(EMAIL, recipient=MAIL, subject="{brand}: sign in")], "brand": "Shop"},
    {"steps": [step(text="{brand} {code} {minutes}")], "tenant": "slow"},
    {"steps": [step(text="{code} {amount} {payee}")], "amount": "-1.5", "payee": "Shop"},
    {"steps": [step(options={"ignore_risk": "1"})]},
    {"steps": [step(options={"limit": "1000"})]},
    {"steps": [step(template="login")]},
    {"steps": [step(template="branded")], "brand": "Shop"},
    {"steps": [step(template="branded")], "tenant": "slow"},
    {"steps": [step(template="paying")], "amount": "12.50", "payee": "Shop"},
    {"code": "AbC123"},
    {"code": "0123", "tenant": "short"},
    {"code_sealed": SEALED},
    {"code_length": 12},
    {"language": "pt_BR"},
    {"use_case": "atck"},
    {"expires_in_s": 600},
    {"expires_in_s": 3600, "tenant": "slow"},
    {"expires_in_s": 3600, "recipient": MAIL},
    {"max_checks": 10},
    {"end_user_ip": "2001:db8::1"},
    {"metadata": {"k" * 40: "x" * 256, "note": "+not a number", "mail": "me@home"}},
    {"requested_at": NOW + 300_000},
    {"send_before_at": NOW + 172_800_000},
    {"mode": VerificationMode.REACH},
    {"prefer_channel": EMAIL},
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=shown)
def test_what_keeps_the_rules_is_planned(fields: dict[str, Any]) -> None:
    planned = plan(**fields)
    assert planned.refusals == ()
    assert planned.plan.steps


def test_every_wrong_field_is_named_at_once() -> None:
    planned = plan(recipient="x", language="?", brand="", max_checks=0, metadata={"": ""})
    assert [refused.field for refused in planned.refusals] == [
        "recipient",
        "brand",
        "max_checks",
        "language",
        "metadata",
    ]


@pytest.mark.parametrize(
    ("fields", "channels"),
    [
        ({}, [SMS, VOICE]),
        ({"recipient": "+16502530000"}, [SMS, VOICE]),
        ({"recipient": LANDLINE}, [VOICE]),
        ({"recipient": MAIL}, [EMAIL]),
        ({"prefer_channel": VOICE}, [VOICE, SMS]),
        ({"prefer_channel": WHATSAPP}, [WHATSAPP, SMS, VOICE]),
        ({"prefer_channel": VIBER}, [SMS, VOICE]),
        ({"prefer_channel": SMS, "recipient": LANDLINE}, [VOICE]),
        ({"prefer_channel": SMS, "recipient": MAIL}, [EMAIL]),
        ({"expires_in_s": 40}, [SMS]),
    ],
)
def test_the_automatic_plan_takes_what_device_and_providers_can(
    fields: dict[str, Any], channels: list[Channel]
) -> None:
    planned = plan(**fields)
    assert [one.channel for one in planned.plan.steps] == channels
    assert all(one.automatic for one in planned.plan.steps)


def test_without_a_channel_for_the_recipient_the_refusal_says_so() -> None:
    by = validator(providers={"neutrino": PROVIDERS["neutrino"]})
    refused = plan(by=by, recipient=MAIL).refused
    assert refused is not None
    assert (refused.reason, refused.field) == ("no_channel", "recipient")


def test_defaults_of_a_channel_fill_what_a_step_leaves_open() -> None:
    defaults = [step(sender="Shop", ttl_s=60, text="{code}", options={"ignore_risk": "0"}), step(VOICE, flow_id="f")]
    steps = [step(sender="Own", template="login", options={"ignore_risk": "1"}), step(VOICE)]
    first, second = plan(steps=steps, channel_defaults=defaults).plan.steps
    assert (first.sender, first.ttl_s, first.text, first.template) == ("Own", 60, None, "login")
    assert first.options == {"ignore_risk": "1"}
    assert second.flow_id == "f"


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ([step(VOICE, provider="neutrino", wait_s=5)], [90]),
        ([step(SMS, provider="neutrino"), step()], [90, 30]),
        ([step(SMS, wait_s=20), step(VOICE)], [20, 30]),
        ([step(VIBER, wait_s=20), step()], [90, 30]),
    ],
)
def test_a_step_that_gets_no_receipts_shows_the_wait_that_applies(asked: list[Step], waits: list[int]) -> None:
    planned = plan(by=SILENT, steps=asked)
    assert [one.wait_s for one in planned.plan.steps] == waits


def test_a_default_that_pins_a_provider_without_receipts_pins_its_wait() -> None:
    planned = plan(by=SILENT, channel_defaults=[step(VOICE, provider="neutrino")])
    assert [one.wait_s for one in planned.plan.steps] == [30, 90]


@pytest.mark.parametrize(("expires_in_s", "in_time"), [(105, True), (104, False)])
def test_steps_must_start_in_time_by_the_wait_that_applies(expires_in_s: int, in_time: bool) -> None:
    steps = [step(provider="neutrino", wait_s=5), step(VOICE)]
    refused = plan(by=SILENT, steps=steps, expires_in_s=expires_in_s).refused
    assert (refused is None) is in_time
    assert refused is None or (refused.reason, refused.field) == ("invalid_steps", "steps[1]")


def test_a_value_that_any_provider_of_the_option_takes_is_in_order() -> None:
    def offering(limit: int) -> ProviderCapabilities:
        able = ChannelCapabilities(own_code=True, options={"limit": WholeNumber(1, limit)})
        return ProviderCapabilities(kind="any", channels={SMS: able})

    by = validator(providers={"few": offering(10), "many": offering(100)})
    assert plan(by=by, steps=[step(options={"limit": "100"})]).refusals == ()
    refused = plan(by=by, steps=[step(options={"limit": "101"})]).refused
    assert refused is not None
    assert refused.detail == (
        "steps[0].options.limit: must be a whole number of 1-10 or must be a whole number of 1-100"
    )


def test_a_default_country_reads_the_numbers_of_its_channel() -> None:
    steps = [
        step(recipient="07400 123456"),
        step(recipient="07400 123456", country="gb"),
        step(VOICE, recipient="030 12345678"),
        step(),
    ]
    planned = plan(steps=steps, channel_defaults=[step(country="gb")], country="de")
    assert planned.refusals == ()
    assert [one.country for one in planned.plan.steps] == ["GB", "GB", "DE", "DE"]


def test_a_step_s_own_country_goes_before_the_default_of_its_channel() -> None:
    steps = [step(recipient="030 12345678", country="DE")]
    planned = plan(recipient=None, steps=steps, channel_defaults=[step(country="GB")])
    assert (planned.refusals, planned.plan.country) == ((), "DE")


def test_a_default_country_also_reads_the_first_step_s_number_a_request_is_placed_by() -> None:
    request = VerificationRequest(
        verification_id="v1",
        steps=[step(recipient="07400 123456")],
        channel_defaults=[step(VOICE, country="DE"), step(country="GB")],
    )
    assert VALIDATOR.key_recipient(request).canonical == "+447400123456"


def test_defaults_also_fill_automatic_steps() -> None:
    planned = plan(channel_defaults=[step(sender="Shop", provider="neutrino")]).plan
    assert [(one.sender, one.provider) for one in planned.steps] == [("Shop", "neutrino"), (None, None)]


def test_a_plan_pins_what_later_stages_need_and_shows_no_secret() -> None:
    planned = plan(code="AbC123", end_user_ip="2001:DB8::1", external_id="o1", metadata={"a": "b"}, row=7, job_id="j")
    made = planned.plan
    assert (made.external_id, made.metadata, made.row, made.job_id) == ("o1", {"a": "b"}, 7, "j")
    assert (made.code_holder, made.code_length, made.kid) == (CodeHolder.CALLER, 6, "t2")
    assert made.recipient_masked == "+49********789"
    assert made.recipient_hash == RING.recipient_hash("default", MOBILE)
    assert made.recipient_key == RING.recipient_key(MOBILE)
    assert made.recipient_partition == len(MOBILE) % 4
    assert made.country == "DE"
    assert made.code_sealed is not None
    assert made.end_user_ip_sealed is not None
    assert RING.open(made.code_sealed, verification_id="v1", field="code") == b"AbC123"
    assert RING.open(made.end_user_ip_sealed, verification_id="v1", field="end_user_ip") == b"2001:db8::1"
    assert RING.open(made.steps[0].recipient_sealed, verification_id="v1", field="recipient") == MOBILE.encode()
    assert MOBILE not in repr(made)


def test_the_key_recipient_is_the_requests_or_its_first_steps() -> None:
    steps = [step(recipient=LANDLINE), step(VOICE, recipient=MOBILE)]
    assert plan(recipient=None, steps=steps).plan.recipient_hash == RING.recipient_hash("default", LANDLINE)
    assert plan(recipient=MOBILE, steps=steps).plan.recipient_hash == RING.recipient_hash("default", MOBILE)


def test_times_default_to_the_records_and_the_lanes() -> None:
    assert plan().plan.requested_at == NOW
    assert plan().plan.queue_deadline_at == NOW + 300_000
    assert plan(requested_at=NOW - 5, expires_in_s=60).plan.queue_deadline_at == NOW - 5 + 60_000
    assert plan(bulk=True).plan.queue_deadline_at == NOW + 86_400_000
    assert plan(bulk=True, send_before_at=NOW + 1).plan.queue_deadline_at == NOW + 1


def test_a_tenant_gives_defaults_that_a_request_overrides() -> None:
    assert plan(tenant="slow").plan.signature_by_tenant
    assert not plan(tenant="slow", signature="店").plan.signature_by_tenant
    assert not plan().plan.signature_by_tenant
    assert (plan(tenant="slow").plan.brand, plan(tenant="slow").plan.signature) == ("Shop", "店")
    assert plan(tenant="slow", brand="Mine").plan.brand == "Mine"
    assert plan(tenant="short").plan.code_length == 4
    assert plan(tenant="short", code_length=8).plan.code_length == 8


@pytest.mark.parametrize(
    ("fields", "language"),
    [
        ({}, "de"),
        ({"language": "pt_BR"}, "pt-BR"),
        ({"language": "it", "steps": [step(language="es")]}, "es"),
        ({"recipient": MAIL, "tenant": "slow"}, "fr"),
        ({"recipient": MAIL}, "en"),
        ({"recipient": MAIL, "country": "JP"}, "ja"),
        ({"recipient": "+442071234567"}, "en-US"),
    ],
)
def test_a_step_speaks_the_language_that_was_wished(fields: dict[str, Any], language: str) -> None:
    assert plan(**fields).plan.language == language


def test_a_plan_keeps_which_language_was_wished_and_that_none_was() -> None:
    assert plan().plan.steps[0].language is None
    assert plan(language="de").plan.steps[0].language == "de"
    asked = plan(steps=[step(), step(VOICE)], channel_defaults=[step(VOICE, language="es")]).plan
    assert [one.language for one in asked.steps] == [None, "es"]


def test_a_test_number_is_marked_and_need_not_exist() -> None:
    providers = {**PROVIDERS, "simulator": PROVIDERS["ycloud"]}
    by = validator(providers=providers)
    for typed in ("+1 555 555-0100", "qa@EXAMPLE.org"):
        planned = plan(by=by, recipient=typed)
        assert planned.refusals == ()
        assert planned.plan.test
    assert not plan(by=by).plan.test


@pytest.mark.parametrize("number", ["hello", "0151 234", "+"])
def test_a_test_number_nobody_can_write_is_a_settings_error(number: str) -> None:
    with pytest.raises(SettingsError, match="test_numbers"):
        validator(test_numbers=[number])


def test_a_tenants_language_that_is_none_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match=r"tenants\.x\.language"):
        validator(tenants={"x": TenantSettings(language="?")})


def test_a_refused_plan_still_names_the_caller_and_the_recipient() -> None:
    planned = plan(language="?", external_id="o1", metadata={"a": "b"}, tenant="nobody")
    assert planned.refused is not None
    made = planned.plan
    assert (made.external_id, made.metadata, made.tenant) == ("o1", {"a": "b"}, "nobody")
    assert made.recipient_masked == "+49********789"
    assert len(made.recipient_hash) == 32


def test_an_unreadable_recipient_still_has_a_place_and_a_hash() -> None:
    one, other = plan(recipient="x").plan, plan(recipient="y").plan
    assert one.recipient_partition == 3
    assert one.recipient_hash != other.recipient_hash
    assert one.recipient_masked == ""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.options import OneOf, WholeNumber
from pipeline.records.internal import Plan, PlannedStep
from pipeline.records.types import Channel, CodeHolder
from pipeline.router.codes import CodeRules
from pipeline.router.route import NoRoute, Route, Wanted
from pipeline.router.routes import RouteChooser
from pipeline.router.wishes import Template, Wishes
from pipeline.settings import RouteRule, SenderRule


def provider(channel: Channel = Channel.SMS, **able: Any) -> ProviderCapabilities:
    capabilities = ChannelCapabilities(**({"own_code": True} | able))
    return ProviderCapabilities(kind="any", channels={channel: capabilities})


def choose(
    providers: dict[str, ProviderCapabilities],
    *,
    plan: dict[str, Any] | None = None,
    step: dict[str, Any] | None = None,
    rules: list[RouteRule] | None = None,
    senders: list[SenderRule] | None = None,
    allow_provider_codes: bool = True,
    templates: dict[str, dict[str, str]] | None = None,
    **wanted: Any,
) -> Route | NoRoute:
    chooser = RouteChooser(
        providers=providers,
        rules=rules or [],
        senders=senders or [],
        codes=CodeRules(allow_provider_codes=allow_provider_codes, min_lengths={"default": 6}),
        wishes=Wishes(templates={name: Template.of(texts) for name, texts in (templates or {}).items()}),
        languages={"default": "fi"},
    )
    planned = PlannedStep(**({"channel": Channel.SMS, "country": "DE"} | (step or {})))
    values: dict[str, Any] = {
        "plan": Plan(**({"code_length": 6, "steps": [planned]} | (plan or {}))),
        "step": planned,
        "number": "+4915123456789",
        "own_code": None,
        "validity_s": 300,
    }
    return chooser.choose(Wanted(**(values | wanted)))


def route(*args: Any, **kwargs: Any) -> Route:
    found = choose(*args, **kwargs)
    assert isinstance(found, Route), found
    return found


def no_route(*args: Any, **kwargs: Any) -> NoRoute:
    found = choose(*args, **kwargs)
    assert isinstance(found, NoRoute), found
    return found


TWO = {"a": provider(), "b": provider()}


def test_without_rules_the_order_of_the_configuration_counts() -> None:
    found = route(TWO)
    assert (found.provider, found.why) == ("a", "order of configuration")


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"tenant": "default"}, "b"),
        ({"tenant": "x"}, "a"),
        ({"use_case": "ATCK"}, "b"),
        ({"use_case": "BACS"}, "a"),
        ({"country": "DE"}, "b"),
        ({"country": "FR"}, "a"),
        ({"prefix": "+49151"}, "b"),
        ({"prefix": "+1"}, "a"),
        ({"channel": "sms"}, "b"),
        ({"channel": "voice"}, "a"),
        ({"channel": "sms", "country": "FR"}, "a"),
    ],
)
def test_the_first_rule_whose_matches_all_hold_decides(match: dict[str, Any], expected: str) -> None:
    rules = [RouteRule(providers=["b"], **match), RouteRule(providers=["a", "b"])]
    found = route(TWO, rules=rules, plan={"use_case": "ATCK"})
    assert found.provider == expected
    assert found.why == f"rule {1 if expected == 'b' else 2}, priority"


def test_a_rule_uses_no_provider_it_does_not_name() -> None:
    found = no_route(TWO, rules=[RouteRule(providers=["c"])])
    assert found.reason == "no_route"
    assert "no enabled provider is allowed" in found.detail


@pytest.mark.parametrize(
    ("wish", "step", "plan", "able"),
    [
        ("sender", {"sender": "Shop"}, {}, {"sender": True}),
        ("template", {"template": "t"}, {}, {"text": True}),
        ("text", {"text": "{code}"}, {}, {"text": True}),
        ("subject", {"subject": "Hi"}, {}, {"subject": True}),
        ("flow_id", {"flow_id": "f"}, {}, {"flow_id": True}),
        ("options", {"options": {"o": "1"}}, {}, {"options": {"o": OneOf(("1", "2"))}}),
        ("ttl_s", {"ttl_s": 60}, {}, {"ttl": (30, 600)}),
        ("signature", {"country": "CN"}, {"signature": "店"}, {"signature": True}),
        ("amount", {}, {"amount": "1", "payee_sealed": b"x"}, {"amount": True}),
        ("amount", {}, {"amount": "1"}, {"amount": True}),
        ("code_length", {}, {"code_length": 10}, {"code_max": 10}),
        ("country", {"country": "CN"}, {}, {"countries": frozenset({"CN"})}),
    ],
)
def test_a_hard_wish_skips_who_cannot_honour_it_and_the_decision_says_so(
    wish: str, step: dict[str, Any], plan: dict[str, Any], able: dict[str, Any]
) -> None:
    unable = provider(code_max=8, countries=frozenset({"DE"}) if wish == "country" else None)
    found = route({"a": unable, "b": provider(**able)}, step=step, plan=plan)
    assert found.provider == "b"
    assert f"skipped a ({wish})" in found.why
    none = no_route({"a": unable}, step=step, plan=plan)
    if wish == "country":
        assert none.reason == "unsupported_country"
    else:
        assert (none.reason, f"{wish} (a)" in none.detail) == ("no_route", True)
    pinned = no_route({"a": unable}, step=step | {"provider": "a"}, plan=plan)
    reason = "unsupported_by_provider" if wish == "country" else "no_route"
    assert (pinned.reason, f"cannot honour {wish};" in pinned.detail) == (reason, True)


def test_a_provider_that_has_the_option_but_does_not_take_its_value_is_skipped() -> None:
    few, many = provider(options={"o": WholeNumber(1, 5)}), provider(options={"o": WholeNumber(1, 9)})
    assert route({"a": few, "b": many}, step={"options": {"o": "7"}}).provider == "b"
    assert route({"a": few, "b": many}, step={"options": {"o": "5"}}).provider == "a"


def test_soft_wishes_are_named_where_they_are_not_honoured() -> None:
    unable = provider(languages={"en": "EN", "fr": "FR"}, default_language="EN")
    plan = {"use_case": "ATCK", "end_user_ip_sealed": b"x", "brand": "Shop", "prefer_channel": Channel.VOICE}
    found = route({"a": unable}, plan=plan, step={"language": "de"})
    assert found.adjusted == ("language", "use_case", "end_user_ip", "brand", "prefer_channel")
    assert found.language == "EN"
    able = provider(languages={"de": "de_DE"}, use_case=True, end_user_ip=True, brand=True)
    found = route({"a": able}, plan=plan | {"prefer_channel": Channel.SMS}, step={"language": "de-AT"})
    assert (found.adjusted, found.language) == ((), "de_DE")


@pytest.mark.parametrize(
    ("step", "asked", "spoken", "adjusted"),
    [
        ({"language": "de"}, "de", "EN", ("language",)),  # wished, though it is the country's own anyway
        ({}, "de", "EN", ()),
        ({"country": "FR"}, "fr", "FR", ()),
        ({"country": None}, "fi", "EN", ()),
    ],
)
def test_only_a_language_somebody_wished_is_named_when_it_is_not_honoured(
    step: dict[str, Any], asked: str, spoken: str, adjusted: tuple[str, ...]
) -> None:
    found = route({"a": provider(languages={"en": "EN", "fr": "FR"}, default_language="EN")}, step=step)
    assert (found.asked_language, found.language, found.adjusted) == (asked, spoken, adjusted)


def test_a_text_with_the_brand_honours_it() -> None:
    found = route({"a": provider(text=True)}, plan={"brand": "Shop"}, step={"text": "{brand}: {code}"})
    assert found.adjusted == ()


def test_who_could_show_the_brand_does_not_in_a_text_without_it() -> None:
    texts = {"de": "{brand}: {code}", "en": "{brand} {code}"}
    able, plan = {"a": provider(text=True, brand=True)}, {"brand": "Shop"}
    assert route(able, plan=plan).adjusted == ()
    assert route(able, plan=plan, step={"text": "{code}"}).adjusted == ("brand",)
    assert route(able, plan=plan, step={"template": "t"}, templates={"t": texts}).adjusted == ()
    assert route(able, plan=plan, step={"template": "t"}, templates={"t": texts | {"fr": "{code}"}}).adjusted == (
        "brand",
    )


def test_who_could_show_the_payment_is_skipped_with_a_text_that_does_not() -> None:
    able, plan = {"a": provider(text=True, amount=True)}, {"amount": "1"}
    assert route(able, plan=plan).provider == "a"
    assert "amount (a)" in no_route(able, plan=plan, step={"text": "{code}"}).detail
    assert "amount (a)" in no_route(able, plan=plan, step={"template": "t"}, templates={"t": {"en": "{code}"}}).detail


def test_a_template_that_shows_the_payment_in_every_language_honours_it() -> None:
    texts = {"de": "{code}: {amount} an {payee}", "en": "{code}: {amount} to {payee}"}
    able, plan, step = {"a": provider(text=True)}, {"amount": "1"}, {"template": "t"}
    assert route(able, plan=plan, step=step, templates={"t": texts}).provider == "a"
    found = no_route(able, plan=plan, step=step, templates={"t": texts | {"fr": "{code}: {amount}"}})
    assert "amount (a)" in found.detail


@pytest.mark.parametrize(
    ("channel", "step", "adjusted"),
    [
        (Channel.SMS, {"text": "{code}"}, ()),  # the caller has written it, in whatever language
        (Channel.VOICE, {"text": "{code}"}, ("language",)),  # ... but somebody must speak it
        (Channel.SMS, {"template": "t", "language": "pt-BR"}, ()),
        (Channel.SMS, {"template": "t", "language": "de"}, ("language",)),
        (Channel.VOICE, {"template": "t", "language": "pt-BR"}, ("language",)),
        (Channel.VOICE, {"template": "t", "language": "en-GB"}, ()),
        (Channel.SMS, {"template": "t", "language": "pt_PT"}, ()),
        (Channel.SMS, {"language": "pt-BR"}, ("language",)),
    ],
)
def test_the_language_of_a_written_text_is_its_own(
    channel: Channel, step: dict[str, Any], adjusted: tuple[str, ...]
) -> None:
    able = {"a": provider(channel, text=True, languages={"en": "EN"}, default_language="EN")}
    templates = {"t": {"en": "{code}", "pt": "{code}"}}
    assert route(able, step={"channel": channel, "language": "de"} | step, templates=templates).adjusted == adjusted


def test_a_text_that_shows_the_payment_honours_it() -> None:
    able = {"a": provider(text=True)}
    assert (
        route(able, plan={"amount": "1"}, step={"text": "{code}: {amount} to {payee}"}).code_holder is CodeHolder.OURS
    )
    assert "amount" in no_route(able, plan={"amount": "1"}, step={"text": "{code}: {amount}"}).detail


@pytest.mark.parametrize(
    ("code", "able", "fits"),
    [
        ("483920", {}, True),
        ("083920", {}, False),
        ("083920", {"code_leading_zero": True}, True),
        ("48392A", {}, False),
        ("48392A", {"code_digits_only": False}, True),
        ("483920", {"code_max": 5}, False),
        ("483920", {"code_min": 7}, False),
        ("483920", {"own_code": False, "provider_code": (4, 12)}, False),
    ],
)
def test_a_callers_code_goes_only_where_it_can_be_carried(code: str, able: dict[str, Any], fits: bool) -> None:
    found = choose({"a": provider(**able)}, own_code=code, plan={"code_length": len(code)})
    if fits:
        assert isinstance(found, Route)
        assert found.code_holder is CodeHolder.CALLER
    else:
        assert isinstance(found, NoRoute)
        assert "code" in found.detail
        assert code not in found.detail


def test_a_provider_makes_its_own_code_only_where_that_is_allowed() -> None:
    maker = {"a": provider(own_code=False, provider_code=(4, 12))}
    assert route(maker).code_holder is CodeHolder.PROVIDER
    assert no_route(maker, allow_provider_codes=False).reason == "no_route"
    binding = {"a": provider(own_code=False, provider_code=(4, 12), amount=True)}
    assert "amount (a)" in no_route(binding, plan={"amount": "1"}).detail


@pytest.mark.parametrize(
    ("makes", "planned", "asked", "made"),
    [
        ((4, 12), 8, False, 8),
        ((4, 12), 8, True, 8),
        ((4, 7), 8, False, 7),
        ((4, 7), 8, True, None),
        ((9, 10), 8, False, 9),
        ((9, 10), 8, True, None),
        ((4, 12), 4, False, 6),  # never shorter than the tenant allows
        ((4, 5), 6, False, None),
    ],
)
def test_a_providers_code_may_have_another_length_unless_the_request_named_one(
    makes: tuple[int, int], planned: int, asked: bool, made: int | None
) -> None:
    maker = {"a": provider(own_code=False, provider_code=makes)}
    plan = {"code_length": planned, "code_length_asked": asked}
    found = choose(maker, plan=plan)
    if made is None:
        assert isinstance(found, NoRoute)
        assert "code_length (a)" in found.detail
    else:
        assert isinstance(found, Route)
        assert (found.code_holder, found.code_length) == (CodeHolder.PROVIDER, made)


@pytest.mark.parametrize(
    ("able", "code", "wish"),
    [
        ({"code_max": 5}, None, "code_length"),
        ({"code_max": 5}, "483920", "code_length"),
        ({"code_max": 5}, "48392A", "code"),
        ({"own_code": False}, None, "code"),
        ({"own_code": False, "provider_code": (4, 12)}, "483920", "code"),
        ({"own_code": False, "provider_code": (4, 5)}, None, "code_length"),
    ],
)
def test_a_detail_names_the_length_only_where_another_one_would_do(
    able: dict[str, Any], code: str | None, wish: str
) -> None:
    found = no_route({"a": provider(**able)}, own_code=code)
    assert found.detail.endswith(f": {wish} (a)")


def test_our_code_is_taken_before_one_the_provider_makes() -> None:
    found = route({"a": provider(code_max=6, provider_code=(4, 12))})
    assert (found.code_holder, found.code_length) == (CodeHolder.OURS, 6)
    found = route({"a": provider(code_max=6, provider_code=(4, 12))}, plan={"code_length": 8})
    assert (found.code_holder, found.code_length) == (CodeHolder.PROVIDER, 8)


def test_china_needs_a_signature_where_the_provider_says_so() -> None:
    able = {"a": provider(signature=True, needs_signature=frozenset({"CN"})), "b": provider()}
    assert route(able, step={"country": "CN"}).provider == "b"
    assert route(able, step={"country": "CN"}, plan={"signature": "店"}).provider == "a"
    assert route(able, step={"country": "DE"}, plan={"signature": "店", "signature_by_tenant": True}).provider == "a"


def test_pinned_to_one_that_needs_a_signature_china_without_one_has_no_route() -> None:
    able = {"a": provider(signature=True, needs_signature=frozenset({"CN"})), "b": provider()}
    found = no_route(able, step={"country": "CN", "provider": "a"})
    assert (found.reason, found.detail) == (
        "no_route",
        "steps[0].provider: a needs signature here; give it or drop the pin",
    )
    assert no_route({"a": able["a"]}, step={"country": "CN"}).detail.endswith("wishes not met: needs signature (a)")


@pytest.mark.parametrize("pin", [{}, {"provider": "a"}])
@pytest.mark.parametrize(
    "step", [{"country": "DE"}, {"country": "HK"}, {"country": None}, {"country": "CN", "channel": Channel.VOICE}]
)
def test_a_signature_wished_where_none_can_be_is_no_route(step: dict[str, Any], pin: dict[str, Any]) -> None:
    able = {"a": provider(step.get("channel", Channel.SMS), signature=True)}
    found = no_route(able, step=step | pin, plan={"signature": "店"})
    assert (found.reason, "signature" in found.detail) == ("no_route", True)
    assert route(able, step=step | pin, plan={"signature": "店", "signature_by_tenant": True}).provider == "a"


def test_a_call_beside_the_signed_sms_to_china_says_that_it_carries_no_signature() -> None:
    steps = [
        PlannedStep(channel=Channel.SMS, country="CN"),
        PlannedStep(index=1, channel=Channel.VOICE, country="CN"),
        PlannedStep(index=2, channel=Channel.SMS, country="HK"),
    ]
    able = {"a": provider(signature=True), "b": provider(Channel.VOICE)}
    plan = {"signature": "店", "steps": steps}
    found = [choose(able, plan=plan, step={"channel": each.channel, "country": each.country}) for each in steps]
    assert [each.adjusted if isinstance(each, Route) else None for each in found] == [(), ("signature",), None]


def test_a_call_is_no_way_around_a_signature_that_no_sms_of_the_plan_can_carry() -> None:
    steps = [
        PlannedStep(channel=channel, country="DE", index=i) for i, channel in enumerate((Channel.SMS, Channel.VOICE))
    ]
    plan = {"signature": "店", "steps": steps}
    found = no_route({"a": provider(Channel.VOICE)}, plan=plan, step={"channel": Channel.VOICE, "index": 1})
    assert (found.reason, "signature" in found.detail) == ("no_route", True)


def test_a_provider_is_not_given_less_time_than_it_needs() -> None:
    able = {"a": provider(min_validity_s=60), "b": provider()}
    assert route(able, validity_s=59).provider == "b"
    assert route(able, validity_s=60).provider == "a"


@pytest.mark.parametrize(
    ("ttl_s", "validity_s", "fits"), [(60, 300, True), (3600, 300, True), (40, 300, False), (3600, 700, False)]
)
def test_a_ttl_must_fit_as_far_as_the_code_lives(ttl_s: int, validity_s: int, fits: bool) -> None:
    found = choose({"a": provider(ttl=(50, 600))}, step={"ttl_s": ttl_s}, validity_s=validity_s)
    assert isinstance(found, Route) is fits


def test_a_repeat_moves_the_routes_used_last_to_the_end() -> None:
    three = {"a": provider(), "b": provider(), "c": provider()}
    found = route(three, recent=[("a", None)])
    assert (found.provider, "a moved back" in found.why) == ("b", True)
    assert route(three, recent=[("b", None), ("a", None)]).provider == "c"
    assert route(three, recent=[("b", None), ("a", None), ("c", None)]).provider == "b"
    assert route({"a": provider()}, recent=[("a", None)]).provider == "a"


def test_another_sender_is_another_route() -> None:
    able = {"a": provider(sender=True), "b": provider(sender=True)}
    assert route(able, step={"sender": "New"}, recent=[("a", "Old")]).provider == "a"
    assert route(able, step={"sender": "Old"}, recent=[("a", "Old")]).provider == "b"


def test_a_pin_is_kept_on_a_repeat_and_against_the_rules() -> None:
    found = route(TWO, step={"provider": "b"}, rules=[RouteRule(providers=["a"])], recent=[("b", None)])
    assert (found.provider, found.why) == ("b", "pinned by the request")
    assert no_route(TWO, step={"provider": "c"}).reason == "unknown_provider"
    assert no_route(TWO, step={"provider": "b"}, used_providers=["b"]).reason == "no_route"


def test_providers_tried_in_this_step_are_left_out() -> None:
    assert route(TWO, used_providers=["a"]).provider == "b"
    found = no_route(TWO, used_providers=["a", "b"])
    assert (found.reason, "was tried" in found.detail) == ("no_route", True)


def test_the_sender_is_the_requests_or_the_first_rule_that_fits() -> None:
    senders = [
        SenderRule(provider="b", sender="B"),
        SenderRule(channel="voice", sender="V"),
        SenderRule(country="FR", sender="F"),
        SenderRule(country="DE", sender="D"),
        SenderRule(sender="any"),
    ]
    able = {"a": provider(sender=True)}
    assert route(able, senders=senders).sender == "D"
    assert route(able, senders=senders, step={"country": "US"}).sender == "any"
    assert route(able, senders=senders, step={"sender": "Own"}).sender == "Own"
    assert route({"b": provider(sender=True)}, senders=senders).sender == "B"
    assert route({"a": provider()}, senders=senders).sender is None


@pytest.mark.parametrize(
    ("able", "plan", "step", "language", "adjusted"),
    [
        # Who shows a brand or a payment in a text of ours says it in a language of ours.
        ({}, {"brand": "Acme"}, {"language": "ja"}, "en", ("language",)),
        ({}, {"brand": "Acme"}, {"language": "de-AT"}, "de", ()),
        ({}, {"brand": "Acme"}, {"country": "JP"}, "en", ()),
        ({}, {"amount": "1.00", "payee_sealed": b"x"}, {"language": "ja"}, "en", ("language",)),
        ({"languages": {"fr": "fr"}}, {"brand": "Acme"}, {"language": "de"}, "de", ()),
        ({}, {"brand": "Acme"}, {"language": "ja", "channel": Channel.VOICE}, "en", ("language",)),
        ({}, {"brand": "Acme"}, {"language": "de-AT", "channel": Channel.VOICE}, "de-AT", ()),
        ({"always_text": True}, {}, {"language": "ja"}, "en", ("language",)),
        # Else in its own words, or in the step's.
        ({}, {}, {"language": "ja"}, "ja", ()),
        ({}, {"brand": "Acme"}, {"language": "ja", "text": "{brand} {code}"}, "ja", ()),
        ({"always_text": True}, {}, {"language": "ja", "text": "{code}"}, "ja", ()),
        ({"text": False}, {"brand": "Acme"}, {"language": "ja"}, "ja", ()),
    ],
)
def test_a_language_is_honoured_only_where_the_words_that_go_out_are_in_it(
    able: dict[str, Any], plan: dict[str, Any], step: dict[str, Any], language: str, adjusted: tuple[str, ...]
) -> None:
    capable = {"text": True, "brand": True, "amount": True} | able
    found = route({"a": provider(step.get("channel", Channel.SMS), **capable)}, plan=plan, step=step)
    assert (found.language, found.adjusted) == (language, adjusted)


def test_a_sender_goes_only_where_it_can_be_one() -> None:
    senders = [SenderRule(sender="Acme"), SenderRule(sender="+15550100000")]
    number = provider(sender=True, sender_rule=OneOf(("+15550100000",)))
    assert route({"a": number}, senders=senders).sender == "+15550100000"
    assert route({"a": number}, senders=senders[:1]).sender is None
    able = {"a": number, "b": provider(sender=True)}
    found = route(able, step={"sender": "Acme"})
    assert (found.provider, "skipped a (sender)" in found.why) == ("b", True)
    assert "sender (a)" in no_route({"a": number}, step={"sender": "Acme"}).detail


def test_a_test_number_never_reaches_another_provider() -> None:
    three = TWO | {"simulator": provider()}
    assert route(three, plan={"test": True}).provider == "simulator"
    assert route(three, plan={"test": True}, rules=[RouteRule(providers=["a"])]).provider == "simulator"
    assert no_route(three, plan={"test": True}, step={"provider": "a"}).reason == "no_route"
    assert no_route(TWO, plan={"test": True}).reason == "no_route"


def test_a_real_number_reaches_the_simulator_only_where_somebody_said_so() -> None:
    assert route({"simulator": provider(), "a": provider()}).provider == "a"
    assert route({"simulator": provider()}).provider == "simulator"
    ruled = route({"simulator": provider(), "a": provider()}, rules=[RouteRule(providers=["simulator"])])
    assert ruled.provider == "simulator"


def test_a_channel_nobody_offers_is_no_route() -> None:
    found = no_route(TWO, step={"channel": Channel.VIBER})
    assert (found.reason, "channel viber" in found.detail) == ("no_route", True)


def test_a_route_tells_whether_receipts_and_look_ups_exist() -> None:
    found = route({"a": provider(receipts=False, lookups_s=(5, 60))})
    assert (found.able.receipts, found.able.lookups_s) == (False, (5, 60))

"""How far one attempt may leave a plan to its provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities, Walk
from pipeline.model.options import WholeNumber
from pipeline.records.internal import Plan, PlannedStep, RoutingEvent, WalkStep
from pipeline.records.public import Step
from pipeline.records.types import Channel, CodeHolder, RoutingKind
from pipeline.router.codes import CodeRules
from pipeline.router.route import NoRoute, Route, Wanted
from pipeline.router.routes import RouteChooser
from pipeline.settings import RouteRule, SenderRule, Settings
from tests.unit.router.support import OTHER, PHONE, Router, command, decision, place, request

SMS, VOICE, WHATSAPP = Channel.SMS, Channel.VOICE, Channel.WHATSAPP
THREE = (SMS, VOICE, WHATSAPP)


def walker(
    walk: Mapping[str, Any] | None = None, *, only: tuple[Channel, ...] = THREE, **able: Any
) -> dict[str, ProviderCapabilities]:
    """A provider ``a`` that walks from sms; ``walk`` and ``able`` differ from the most it could do."""
    most: dict[str, Any] = {"channels": frozenset((VOICE, WHATSAPP)), "any_plan": True}
    fields: dict[str, Any] = {"own_code": True, **able}
    channels = {channel: ChannelCapabilities(**fields) for channel in only}
    channels[SMS] = ChannelCapabilities(**fields, walk=Walk(**(most | dict(walk or {}))))
    return {"a": ProviderCapabilities(kind="any", channels=channels)}


def steps(*changes: dict[str, Any], automatic: bool = False, **common: Any) -> list[PlannedStep]:
    """Sms, voice and whatsapp to one person, each with its own wait; ``changes`` step by step."""
    planned: list[PlannedStep] = []
    for index, change in enumerate(changes):
        fields: dict[str, Any] = {
            "index": index,
            "channel": THREE[index],
            "country": "DE",
            "recipient_sealed": b"sealed %d" % index,
            "recipient_key": "me",
            "wait_s": 30 + index,
            "automatic": automatic,
        }
        planned.append(PlannedStep(**(fields | common | change)))
    return planned


def choose(
    providers: Mapping[str, ProviderCapabilities],
    planned: list[PlannedStep],
    *,
    first: int = 0,
    plan: dict[str, Any] | None = None,
    rules: list[RouteRule] | None = None,
    senders: list[SenderRule] | None = None,
    shortest: int = 4,
    **wanted: Any,
) -> Route | NoRoute:
    chooser = RouteChooser(
        providers=providers,
        rules=rules or [],
        senders=senders or [],
        codes=CodeRules(min_lengths={"default": shortest}),
        languages={"default": "en"},
        min_time_left_s=15,
    )
    made: dict[str, Any] = {"code_length": 6, "steps": planned} | (plan or {})
    values: dict[str, Any] = {
        "plan": Plan(**made),
        "step": planned[first],
        "number": "+4915123456789",
        "own_code": None,
        "validity_s": 300,
    }
    return chooser.choose(Wanted(**(values | wanted)))


def route(*args: Any, **kwargs: Any) -> Route:
    found = choose(*args, **kwargs)
    assert isinstance(found, Route), found
    return found


def walked(*args: Any, **kwargs: Any) -> list[int]:
    return [step.index for step in route(*args, **kwargs).walk]


ALL = steps({}, {}, {})


def test_a_provider_that_walks_takes_every_step_it_can() -> None:
    found = route(walker(), ALL)
    assert [(step.index, step.channel) for step in found.walk] == [(1, VOICE), (2, WHATSAPP)]
    assert found.why.endswith("; walks on to voice, whatsapp")


def test_what_it_walks_on_to_is_said_with_all_it_needs() -> None:
    planned = steps({}, {"ttl_s": 60, "flow_id": "f", "sender": "Desk"}, {"language": "de"})
    able = walker(ttl=(30, 600), flow_id=True, sender=True)
    found = route(able, planned, senders=[SenderRule(channel="whatsapp", sender="Shop")])
    assert found.walk == (
        WalkStep(
            index=1,
            channel=VOICE,
            recipient_sealed=b"sealed 1",
            wait_s=30,  # of the step before
            ttl_s=60,
            language="de",
            sender="Desk",
            flow_id="f",
        ),
        WalkStep(index=2, channel=WHATSAPP, recipient_sealed=b"sealed 2", wait_s=31, language="de", sender="Shop"),
    )


def test_a_spoken_step_without_any_language_is_american_english() -> None:
    planned = steps({"country": None}, {"country": None})
    assert route(walker(), planned).walk[0].language == "en-US"


@pytest.mark.parametrize(("keeps_first", "adjusted"), [(True, ()), (False, ("prefer_channel",))])
def test_a_preference_is_not_honoured_by_who_picks_the_channel_and_is_not_told(
    keeps_first: bool, adjusted: tuple[str, ...]
) -> None:
    able = walker({"keeps_first": keeps_first})
    assert route(able, ALL, plan={"prefer_channel": SMS}).adjusted == adjusted
    assert route(able, ALL).adjusted == ()
    assert route(able, ALL[:1], plan={"prefer_channel": SMS}).adjusted == ()


def test_who_does_not_walk_from_this_channel_is_used_for_its_step_alone() -> None:
    found = route(walker(), ALL, first=1)
    assert (found.provider, found.walk, "walk" in found.why) == ("a", (), False)


@pytest.mark.parametrize(
    ("second", "able", "walk"),
    [
        ({"channel": Channel.EMAIL}, {}, {}),
        ({"channel": VOICE}, {}, {"channels": frozenset((WHATSAPP,))}),
        ({"recipient_key": "somebody else"}, {}, {}),
        ({"provider": "b"}, {}, {}),
        ({"sender": "Shop"}, {}, {}),
        ({"flow_id": "f"}, {}, {}),
        ({"ttl_s": 20}, {"ttl": (30, 600)}, {}),
        ({"country": "FR"}, {"countries": frozenset({"DE"})}, {}),
        ({"text": "{code}"}, {"text": True}, {}),
        ({"template": "t"}, {"text": True}, {}),
        ({"subject": "Hi"}, {"subject": True}, {}),
        ({"options": {"o": "1"}}, {"options": {"o": WholeNumber(1, 9)}}, {}),
    ],
)
def test_a_walk_ends_before_the_first_step_that_the_provider_may_not_have(
    second: dict[str, Any], able: dict[str, Any], walk: dict[str, Any]
) -> None:
    planned = steps({}, second, {})
    assert walked(walker(walk, **able), planned) == []
    assert walked(walker(walk, **able), steps({}, {"channel": WHATSAPP}, second | {"index": 2})) == [1]


def test_a_walk_ends_where_the_provider_does_not_serve_the_channel() -> None:
    assert walked(walker(only=(SMS, VOICE)), ALL) == [1]


def test_one_text_for_every_step_is_no_obstacle() -> None:
    assert walked(walker(text=True), steps({}, {}, {}, text="{code}")) == [1, 2]
    assert walked(walker(options={"o": WholeNumber(1, 9)}), steps({}, {}, options={"o": "1"})) == [1]


def test_a_step_pinned_to_the_same_provider_goes_along() -> None:
    assert walked(walker(), steps({"provider": "a"}, {"provider": "a"}, {})) == [1, 2]


def test_a_rule_that_gives_a_later_channel_to_others_ends_the_walk() -> None:
    able = walker() | {"b": ProviderCapabilities(kind="any")}
    assert walked(able, ALL, rules=[RouteRule(channel="whatsapp", providers=["b"])]) == [1]
    assert walked(able, ALL, rules=[RouteRule(channel="whatsapp", providers=["b", "a"])]) == [1, 2]


def test_only_automatic_plans_go_to_who_takes_no_other() -> None:
    able = walker({"any_plan": False})
    assert walked(able, ALL) == []
    assert walked(able, steps({}, {}, automatic=True)) == [1]


def test_nothing_is_left_to_a_provider_that_would_be_too_late() -> None:
    assert walked(walker(), ALL, validity_s=30 + 31 + 15) == [1, 2]
    assert walked(walker(), ALL, validity_s=30 + 31 + 14) == [1]
    assert walked(walker(), ALL, validity_s=30 + 14) == []
    assert walked(walker(min_validity_s=60), ALL, validity_s=30 + 31 + 59) == [1]


def test_what_an_earlier_attempt_stands_for_is_not_walked_to_again() -> None:
    assert walked(walker(), ALL, last_step=0) == [1, 2]
    assert walked(walker(), ALL, last_step=1) == []


@pytest.mark.parametrize(
    ("walk", "able", "plan", "own_code", "expected"),
    [
        ({"code_max": 5}, {}, {"code_length": 5}, None, (CodeHolder.OURS, 5, True)),
        ({"code_max": 5}, {}, {}, None, (CodeHolder.OURS, 6, False)),
        ({"own_code": False}, {}, {}, None, (CodeHolder.OURS, 6, False)),
        ({"own_code": False, "provider_code": (5, 5)}, {}, {}, None, (CodeHolder.PROVIDER, 5, True)),
        (
            {"own_code": False, "provider_code": (5, 5)},
            {},
            {"code_length_asked": True},
            None,
            (CodeHolder.OURS, 6, False),
        ),
        ({"own_code": False, "provider_code": (4, 9)}, {"own_code": False}, {}, None, (CodeHolder.PROVIDER, 6, True)),
        ({}, {}, {}, "483920", (CodeHolder.CALLER, 6, True)),
        ({"own_code": False, "provider_code": (4, 9)}, {}, {}, "483920", (CodeHolder.CALLER, 6, False)),
        ({}, {"code_max": 4}, {}, None, (CodeHolder.OURS, 6, True)),  # only the walk's own bounds count
    ],
)
def test_the_code_must_fit_the_walk_else_the_provider_gets_one_step(
    walk: dict[str, Any],
    able: dict[str, Any],
    plan: dict[str, Any],
    own_code: str | None,
    expected: tuple[CodeHolder, int, bool],
) -> None:
    found = route(walker(walk, **able), ALL, plan=plan, own_code=own_code)
    assert (found.code_holder, found.code_length, bool(found.walk)) == expected
    assert ("does not walk on (code" in found.why) is not bool(found.walk)


def test_a_sender_keeps_a_message_from_a_walk_that_carries_none() -> None:
    providers = walker({"sender": False}, sender=True)
    assert walked(providers, steps({}, {}, {})) == [1, 2]
    assert walked(providers, steps({"sender": "ACME"}, {}, {})) == []
    by_rule = [SenderRule(sender="ACME")]
    assert route(providers, steps({}, {}, {}), senders=by_rule).walk == ()


def test_options_keep_a_message_from_a_walk_that_does_not_carry_them() -> None:
    taken = {"options": {"limit": WholeNumber(1, 5), "risk": WholeNumber(0, 1)}}
    providers = walker({"options": frozenset({"risk"}), "only_options": frozenset({"risk"})}, **taken)
    assert walked(providers, steps({}, {}, options={"risk": "1"})) == [1]
    assert walked(providers, steps({}, {}, options={"limit": "1"})) == []


def test_an_option_that_means_something_on_a_walk_alone_is_never_dropped() -> None:
    taken = {"options": {"risk": WholeNumber(0, 1)}}
    refused = choose(walker({"only_options": frozenset({"risk"})}, **taken), steps({"options": {"risk": "1"}}))
    assert isinstance(refused, NoRoute)
    assert "options" in refused.detail


@pytest.mark.parametrize(
    ("plan", "shortest", "walks"),
    [({}, 5, True), ({}, 6, False), ({"code_length": 6, "code_length_asked": True}, 4, False)],
)
def test_a_provider_that_is_not_told_the_length_may_make_any_it_makes(
    plan: dict[str, Any], shortest: int, walks: bool
) -> None:
    providers = walker({"own_code": False, "provider_code": (5, 7), "length_told": False})
    found = choose(providers, steps({}, {}), plan=plan, shortest=shortest)
    assert isinstance(found, Route)
    assert (found.code_holder is CodeHolder.PROVIDER, bool(found.walk)) == (walks, walks)


def test_a_code_with_letters_goes_as_far_as_channels_carry_them() -> None:
    able = walker(code_digits_only=False)
    channels = dict(able["a"].channels) | {WHATSAPP: ChannelCapabilities(own_code=True)}
    mixed = {"a": ProviderCapabilities(kind="any", channels=channels)}
    assert walked(mixed, ALL, own_code="48392A") == [1]
    assert walked(mixed, ALL, own_code="483920") == [1, 2]
    assert isinstance(choose(walker(), ALL, own_code="48392A"), NoRoute)


def test_who_can_neither_walk_nor_send_one_step_is_skipped() -> None:
    able = walker({"own_code": False}, own_code=False) | {
        "b": ProviderCapabilities(kind="any", channels={SMS: ChannelCapabilities(own_code=True)})
    }
    found = route(able, ALL)
    assert (found.provider, "skipped a (code)" in found.why) == ("b", True)


def test_soft_wishes_missed_on_any_step_are_named_once() -> None:
    able = walker(use_case=True)
    speaking = ChannelCapabilities(own_code=True, languages={"en": "EN"}, default_language="EN")
    able = {"a": ProviderCapabilities(kind="any", channels=dict(able["a"].channels) | {VOICE: speaking})}
    planned = steps({"language": "de"}, {"language": "de"}, {"language": "de"})
    found = route(able, planned, plan={"use_case": "ATCK", "brand": "Shop", "prefer_channel": SMS})
    assert sorted(found.adjusted) == ["brand", "language", "use_case"]


def test_a_missing_report_says_something_only_where_every_channel_reports() -> None:
    able = walker()
    channels = dict(able["a"].channels) | {VOICE: ChannelCapabilities(own_code=True, receipts=False)}
    silent = {"a": ProviderCapabilities(kind="any", channels=channels)}
    assert route(able, ALL).able.receipts
    assert not route(silent, ALL).able.receipts
    assert route(silent, steps({}, {"channel": WHATSAPP})).able.receipts


# --- the router as a whole ------------------------------------------------------------------------------------------

WALKER = walker()
THREE_STEPS = [Step(channel=channel, wait_s=20 + index) for index, channel in enumerate(THREE)]


def router(providers: Mapping[str, ProviderCapabilities] = WALKER, **settings: Any) -> Router:
    return Router(providers=providers, settings=Settings.model_validate(settings))


def test_the_attempt_says_how_far_it_goes_and_the_command_what_comes_next() -> None:
    task = router()
    effects = task.publish(request(steps=THREE_STEPS))
    attempt, sent = decision(effects).attempt, command(effects)
    assert attempt is not None
    assert (attempt.step_index, attempt.last_step, attempt.code_length) == (0, 2, 6)
    assert (sent.step_index, sent.wait_s) == (0, 20)
    assert [(step.index, step.channel, step.wait_s) for step in sent.walk] == [(1, VOICE, 20), (2, WHATSAPP, 21)]
    assert all(step.recipient_sealed == sent.recipient_sealed for step in sent.walk)


def test_steps_for_another_person_are_left_to_where_their_limits_live() -> None:
    mine = [Step(channel=SMS), Step(channel=VOICE, recipient=OTHER)]
    assert command(router().publish(request(steps=mine))).walk == []


def test_an_automatic_plan_is_handed_over_whole() -> None:
    able = walker({"any_plan": False})
    sent = command(router(able).publish(request()))
    assert (sent.channel, [step.channel for step in sent.walk]) == (SMS, [VOICE])
    # Voice first is another plan, and nobody walks from voice.
    assert command(router(able).publish(request(verification_id="v2", prefer_channel=VOICE))).walk == []


def test_a_later_step_walks_on_unless_an_earlier_attempt_stands_for_the_rest() -> None:
    task = router()
    plan = decision(task.publish(request(steps=THREE_STEPS))).plan
    assert plan is not None
    wish = RoutingEvent(
        verification_id="v1",
        kind=RoutingKind.NEXT_STEP,
        decision_id="d" * 32,
        plan=plan,
        step_index=0,
        n=2,
        send_by_at=task.now + 100_000,
        valid_until_at=task.now + 200_000,
    )
    fresh = task.event(msgspec.structs.replace(wish, last_step=0), place(PHONE))
    assert [step.index for step in command(fresh).walk] == [1, 2]
    again = task.event(msgspec.structs.replace(wish, n=3, last_step=2), place(PHONE))
    attempt = decision(again).attempt
    assert attempt is not None
    assert (command(again).walk, attempt.last_step) == ([], 0)


def test_a_repeat_takes_another_route_for_the_steps_that_were_handed_over_too() -> None:
    able = WALKER | {"b": ProviderCapabilities(kind="any", channels={VOICE: ChannelCapabilities(own_code=True)})}
    task = router(able)
    assert [step.channel for step in command(task.publish(request(steps=THREE_STEPS[:2]))).walk] == [VOICE]
    again = task.publish(request(verification_id="v2", steps=[Step(channel=VOICE)]))
    assert command(again).provider == "b"


def test_the_length_of_a_providers_code_is_the_attempts_while_the_plan_keeps_its_own() -> None:
    task = router(walker({"own_code": False, "provider_code": (7, 8)}))
    effects = task.publish(request(steps=THREE_STEPS))
    attempt, plan, sent = decision(effects).attempt, decision(effects).plan, command(effects)
    assert attempt is not None
    assert plan is not None
    assert (plan.code_length, attempt.code_length, sent.code_length) == (6, 7, 7)
    assert (attempt.code_holder, sent.code_holder) == (CodeHolder.PROVIDER, CodeHolder.PROVIDER)
    asked = task.publish(request(verification_id="v2", steps=THREE_STEPS, code_length=6))
    assert (command(asked).code_holder, command(asked).walk) == (CodeHolder.OURS, [])

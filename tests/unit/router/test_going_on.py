"""Providers that send a message again, or take it to another channel, when they are asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.records.internal import PlannedStep, TakenMessage
from pipeline.records.types import Channel, CodeHolder
from pipeline.settings import RouteRule
from tests.unit.router.test_walks import route, steps

SMS, VOICE, WHATSAPP = Channel.SMS, Channel.VOICE, Channel.WHATSAPP
ALL = frozenset((SMS, VOICE, WHATSAPP))
PLAN = steps({}, {}, {})
SENT = TakenMessage(provider="a", provider_message_id="m-1", again=True, told_steps=2, code_length=6)


def asked(*, resends: bool = True, further: dict[str, Any] | None = None, **able: Any) -> dict[str, Any]:
    """A provider ``a`` that makes its codes and goes on when asked, and one that makes a new message each time;
    ``further`` differs on the channels after the first."""
    most: dict[str, Any] = {"own_code": False, "provider_code": (6, 12), "resends": resends}
    channels = {
        channel: ChannelCapabilities(
            **(most | {"goes_on": ALL - {channel}} | able | ({} if channel is SMS else further or {}))
        )
        for channel in (SMS, VOICE, WHATSAPP)
    }
    other = {channel: ChannelCapabilities(own_code=True) for channel in channels}
    return {
        "a": ProviderCapabilities(kind="any", channels=channels),
        "b": ProviderCapabilities(kind="any", channels=other),
    }


def told(planned: list[PlannedStep], providers: dict[str, Any] | None = None, **wanted: Any) -> tuple[Channel, ...]:
    return route(providers or asked(), planned, **wanted).told


def test_it_is_told_of_every_step_it_could_be_asked_to_go_on_to() -> None:
    found = route(asked(), PLAN)
    assert (found.told, found.walk, found.taken) == ((VOICE, WHATSAPP), (), None)
    assert found.why == "order of configuration"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"recipient_key": "somebody else"}, "another person"),
        ({"language": "fr"}, "a verification has one language"),
        ({"options": {"x": "1"}}, "nothing of a step can be told but its channel"),
        ({"provider": "b"}, "pinned elsewhere"),
        ({"sender": "Desk"}, "a wish it cannot honour"),
    ],
)
def test_a_step_that_the_same_message_is_not_right_for_is_not_told_nor_any_behind_it(
    change: dict[str, Any], why: str
) -> None:
    assert told(steps({}, change, {})) == (), why
    assert told(steps({}, {}, change)) == (VOICE,), why


def test_nor_is_one_whose_code_would_be_another_or_that_rules_give_to_others() -> None:
    assert told(PLAN, asked(further={"provider_code": (8, 12)})) == ()
    assert told(PLAN, rules=[RouteRule(channel="voice", providers=["b"])]) == ()
    assert told(PLAN, validity_s=44) == (), "too little of the code's life is left after the wait"
    assert told(PLAN, last_step=1) == ()


@pytest.mark.parametrize(
    ("language", "first", "further", "goes_along"),
    [
        ("de-AT", {"de": "de"}, None, True),
        ("ja", {"de": "de"}, {"fr": "fr"}, True),
        ("ja", {"de": "de"}, None, False),
        ("de", {"nl": "nl"}, {"de": "de"}, False),
    ],
)
def test_nor_is_one_that_would_be_in_the_wished_language_by_itself_alone(
    language: str, first: dict[str, str], further: dict[str, str] | None, goes_along: bool
) -> None:
    """A message is made in one language: nothing would say that the further step is not in the wished one."""
    providers = asked(languages=first, further={"languages": further})
    assert bool(told(steps({}, {}, {}, language=language), providers)) is goes_along


@pytest.mark.parametrize(("again", "why"), [(True, "sent again when asked"), (False, "gone on to when asked")])
def test_the_message_it_has_is_sent_instead_of_a_new_one(again: bool, why: str) -> None:
    taken = msgspec.structs.replace(SENT, place=1, again=again)
    found = route(asked(), PLAN, first=1, taken=[taken])
    assert (found.provider, found.taken, found.told) == ("a", taken, ())
    assert (found.code_holder, found.code_length) == (CodeHolder.PROVIDER, 6)
    assert found.why.endswith(f"; {why}")


def test_of_several_the_newest_that_fits_is_sent() -> None:
    older = msgspec.structs.replace(SENT, provider_message_id="m-0")
    long = msgspec.structs.replace(SENT, provider_message_id="m-2", code_length=12)
    assert route(asked(), PLAN, taken=[long, SENT, older]).taken is SENT


@pytest.mark.parametrize(
    ("providers", "taken"),
    [
        (asked(resends=False), SENT),
        (asked(), msgspec.structs.replace(SENT, provider="b")),
        (asked(), msgspec.structs.replace(SENT, code_length=0)),
    ],
)
def test_else_a_new_message_is_made(providers: dict[str, Any], taken: TakenMessage) -> None:
    found = route(providers, PLAN, taken=[taken])
    assert (found.provider, found.taken) == ("a", None)


def test_a_message_does_not_change_which_provider_is_chosen() -> None:
    found = route(asked(), PLAN, taken=[SENT], used_providers=["a"])
    assert (found.provider, found.taken) == ("b", None)

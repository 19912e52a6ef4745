"""A wish that the provider's request would not say is refused before the call, whatever the router thought."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities, Walk
from pipeline.model.options import OneOf
from pipeline.model.reasons import Reason
from pipeline.records.internal import WalkStep
from pipeline.records.types import Channel
from pipeline.senders.carrying import refuse_uncarried
from pipeline.senders.provider import Unsendable
from pipeline.senders.registry import KINDS
from tests.unit.senders.doubles import command

STEPS = [WalkStep(index=1, channel=Channel.VOICE)]
WISHES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "sender": ({"sender": "Acme"}, {"sender": True}, "sender"),
    "text": ({"text": "{code}"}, {"text": True}, "text"),
    "template": ({"template": "login"}, {"text": True}, "template"),
    "subject": ({"subject": "Code"}, {"subject": True}, "subject"),
    "flow": ({"flow_id": "flow-1"}, {"flow_id": True}, "flow_id"),
    "ttl": ({"ttl_s": 60}, {"ttl": (30, 600)}, "ttl_s"),
    "option": ({"options": {"redial": "true"}}, {"options": {"redial": OneOf(("true",))}}, "such options"),
    "walk": ({"walk": STEPS}, {"walk": Walk(channels=frozenset({Channel.VOICE}))}, "further steps"),
}


def able(**differences: Any) -> ProviderCapabilities:
    return ProviderCapabilities(kind="acme", channels={Channel.SMS: ChannelCapabilities(own_code=True, **differences)})


@pytest.mark.parametrize(("wishes", "ability", "named"), WISHES.values(), ids=WISHES)
def test_a_hard_wish_that_would_be_dropped_is_refused_by_name(
    wishes: dict[str, Any], ability: dict[str, Any], named: str
) -> None:
    with pytest.raises(Unsendable) as problem:
        refuse_uncarried(command(**wishes), able())
    assert problem.value.reason is Reason.UNSUPPORTED_BY_PROVIDER
    assert problem.value.detail == f"acme carries no {named} on sms here"
    refuse_uncarried(command(**wishes), able(**ability))


def test_a_sender_of_another_look_is_refused_as_one_that_is_not_taken() -> None:
    with pytest.raises(Unsendable) as problem:
        refuse_uncarried(command(sender="Acme"), able(sender=True, sender_rule=OneOf(("+15550100000",))))
    assert problem.value.detail == "acme carries no sender on sms here"


@pytest.mark.parametrize(
    ("kind", "channel", "right", "wrong"),
    [
        ("telesign", Channel.SMS, "ACME", "A" * 21),
        ("telesign", Channel.VOICE, "+15550100000", "ACME"),
        ("smtp", Channel.EMAIL, "login@example.org", "ACME"),
    ],
)
def test_who_knows_what_a_sender_looks_like_says_so(kind: str, channel: Channel, right: str, wrong: str) -> None:
    known = KINDS[kind].capabilities.channels[channel]
    assert (known.takes_sender(right), known.takes_sender(wrong)) == (True, False)


def test_what_a_tenant_or_a_soft_wish_says_is_never_refused() -> None:
    soft = {"signature": "示例", "brand": "Acme", "use_case": "ATCK", "language": "sw", "prefer_channel": Channel.VOICE}
    refuse_uncarried(command(**soft), able())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_carries_a_plain_message_on_each_of_its_channels(kind: str) -> None:
    for channel in KINDS[kind].capabilities.channels:
        refuse_uncarried(command(channel=channel), KINDS[kind].capabilities)

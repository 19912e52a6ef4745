"""Kinds of cases in which something goes wrong where each provider has its own way: codes that only it can judge,
answers that only a look-up finds, walks over several channels, and other providers that step in.

What a single recipient needs beyond the simulator's table of endings is a rule of its provider's behaviour.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.demo.case import Case, Person
from pipeline.demo.cast import Cast
from pipeline.demo.configuration import WALKING
from pipeline.demo.providers import TITLES, reach
from pipeline.demo.trouble import WAIT_S
from pipeline.model.reasons import Reason
from pipeline.records.public import Step
from pipeline.records.types import Channel

_JUDGES: Final = (
    ("bird", Channel.SMS, "default"),
    ("telesign", Channel.SMS, "long"),
    ("thundersms", Channel.WHATSAPP, "long"),
)
"""Who judges codes, where, and the tenant for whom it makes them."""
_ASKED_BY: Final = {"bird": "check", "telesign": "status", "thundersms": "check"}
"""The operation by which each is asked."""
_TELLING: Final = (
    ("ycloud", Channel.SMS),
    ("telesign", Channel.SMS),
    ("bird", Channel.EMAIL),
    ("thundersms", Channel.VIBER),
)
_LOST: Final = {"fault": "no_answer"}
_UNTOLD: Final = {"receipt": {"status": "missing"}}


def mistyped(cast: Cast) -> list[Case]:
    provider, channel, tenant = cast.next_of(_JUDGES)
    kind = f"mistyped once, judged by {TITLES[provider]}"
    case = _pinned(cast, kind, provider, channel, tenant=tenant, person=Person.MISTYPES)
    return [case.expecting(made=True, checks=2)]


def guessed(cast: Cast) -> list[Case]:
    case = cast.ended(
        "wrong codes only, judged by Bird",
        Reason.CHECKS_EXHAUSTED,
        to=cast.mobile(),
        channel=Channel.SMS,
        provider="bird",
        person=Person.GUESSES,
        max_checks=2,
        steps=[Step(channel=Channel.SMS, provider="bird")],
    )
    return [case.expecting(made=True, checks=2)]


def out_of_order(cast: Cast) -> list[Case]:
    """Its provider cannot judge a code: that is nobody's mistake, and the same code is right a moment later."""
    provider, channel, tenant = cast.next_of(_JUDGES)
    kind = f"{TITLES[provider]} out of order when asked about a code"
    case = _persisting(cast, kind, provider, channel, tenant=tenant)
    rule = {"when": _of(case, _ASKED_BY[provider]), "times": 1, "refusal": "internal"}
    return [case.expecting(checks=2).ruled(provider, rule)]


def yes_lost(cast: Cast) -> list[Case]:
    """The provider's yes never arrives. It then says "verified already", which is a yes for this very code alone."""
    provider, channel, tenant = "thundersms", Channel.SMS, "long"
    case = _persisting(cast, "the provider's yes is lost", provider, channel, tenant=tenant)
    rule = {"when": _of(case, _ASKED_BY[provider]), "times": 1, **_LOST}
    return [case.expecting(checks=2).ruled(provider, rule)]


def lost_answer_told(cast: Cast) -> list[Case]:
    """The answer to the send is lost, and the report of the delivery finds its attempt all the same."""
    provider, channel = cast.next_of(_TELLING)
    magic = "35"
    to = cast.recipients.email(magic=magic) if channel is Channel.EMAIL else cast.recipients.phone(magic=magic)
    kind = f"reach only: answer lost, {TITLES[provider]} tells"
    return [reach(cast, kind, provider, channel, to=to, slow=True)]


def lost_answer_found(cast: Cast) -> list[Case]:
    """Nothing is answered and nothing told; the call stands in the provider's list."""
    case = reach(cast, "reach only: answer lost, found in YCloud's list", "ycloud", Channel.VOICE, slow=True)
    return [case.expecting(looked_up=True).ruled("ycloud", {"when": _of(case), **_LOST, **_UNTOLD})]


def judge_found(cast: Cast) -> list[Case]:
    """Without Bird's answer nobody knows by which id to check the code, until Bird's list tells it."""
    case = _persisting(cast, "answer lost, found in Bird's list", "bird", Channel.WHATSAPP)
    rule = {"when": _of(case), **_LOST, **_UNTOLD}
    return [case.expecting(checks=1, looked_up=True).ruled("bird", rule)]


def judge_found_though_delivered(cast: Cast) -> list[Case]:
    """As before; that the message arrived is told, but by no id."""
    case = _persisting(cast, "answer lost but delivered, found in Bird's list", "bird", Channel.SMS)
    return [case.expecting(checks=1, looked_up=True).ruled("bird", {"when": _of(case), **_LOST})]


def walk_ended(cast: Cast) -> list[Case]:
    """One call has both steps; when the first has served, the provider is asked to leave the second."""
    steps = [Step(channel=Channel.VIBER, provider=WALKING, wait_s=60), Step(channel=Channel.SMS, provider=WALKING)]
    case = cast.verified(
        "Viber then SMS in one call, ended", to=cast.mobile(), channel=Channel.VIBER, provider=WALKING, steps=steps
    )
    return [case.expecting(cancels=1)]


def walked_on(cast: Cast) -> list[Case]:
    """The provider goes on by itself; the next look-up, later than this person, would tell that it did."""
    wait_s = WAIT_S + 2
    steps = [Step(channel=Channel.VIBER, provider=WALKING, wait_s=wait_s), Step(channel=Channel.SMS, provider=WALKING)]
    case = cast.verified(
        "Viber then SMS in one call, walked on",
        to=cast.recipients.phone(magic="03"),
        channel=Channel.VIBER,
        provider=WALKING,
        read_on=Channel.SMS,
        steps=steps,
        slow=True,
    )
    return [case.expecting(cancels=1)]


def withdrawn(cast: Cast) -> list[Case]:
    """What the person did not need is withdrawn where the provider can."""
    steps = [Step(channel=Channel.VIBER, wait_s=WAIT_S), Step(channel=Channel.SMS, provider="telesign")]
    case = cast.verified(
        f"no receipt of Viber within {WAIT_S} s, so SMS by Telesign",
        to=cast.recipients.phone(magic="03"),
        channel=Channel.SMS,
        provider="telesign",
        attempts=2,
        steps=steps,
    )
    return [case.expecting(cancels=1)]


def gone_on(cast: Cast) -> list[Case]:
    """The provider is asked to go on to the next step's channel, and its one code is right wherever it is read."""
    steps = [Step(channel=Channel.SMS, provider="bird", wait_s=WAIT_S), Step(channel=Channel.WHATSAPP, provider="bird")]
    case = cast.verified(
        f"no receipt of SMS within {WAIT_S} s, so Bird goes on to WhatsApp",
        to=cast.recipients.phone(magic="03"),
        channel=Channel.WHATSAPP,
        provider="bird",
        attempts=2,
        steps=steps,
    )
    return [case.expecting(made=True, checks=1, operation="failover")]


def refused_then_telesign(cast: Cast) -> list[Case]:
    case = cast.verified(
        "Viber refused for want of credit, so SMS by Telesign",
        to=cast.mobile(),
        channel=Channel.SMS,
        provider="telesign",
        attempts=2,
        steps=[Step(channel=Channel.VIBER), Step(channel=Channel.SMS, provider="telesign")],
    )
    return [case.ruled("thundersms", {"when": _of(case), "refusal": "credit"})]


def undelivered_then_smtp(cast: Cast) -> list[Case]:
    kind, to = "e-mail undelivered by YCloud, sent by SMTP", cast.recipients.email(magic="02")
    return [cast.verified(kind, to=to, channel=Channel.EMAIL, provider="smtp", attempts=2)]


def refused_then_bird(cast: Cast) -> list[Case]:
    """Each provider of the channel in its turn, the last one making the code itself."""
    kind, to = "e-mail refused by YCloud and SMTP, sent by Bird", cast.recipients.email()
    case = cast.verified(kind, to=to, channel=Channel.EMAIL, provider="bird", attempts=3)
    case = case.ruled("ycloud", {"when": _of(case), "refusal": "account"})
    case = case.ruled("smtp", {"when": _of(case), "refusal": "route"})
    return [case.expecting(made=True, checks=1)]


def mail_lost(cast: Cast) -> list[Case]:
    kind, to = "in doubt at SMTP, code arrives", cast.recipients.email(magic="35")
    return [_pinned(cast, kind, "smtp", Channel.EMAIL, to=to, slow=True)]


def mail_refused(cast: Cast) -> list[Case]:
    return [
        cast.ended(
            "no such mailbox, by SMTP",
            Reason.RECIPIENT_REJECTED,
            to=cast.recipients.email(magic="10"),
            channel=Channel.EMAIL,
            provider="smtp",
            steps=[Step(channel=Channel.EMAIL, provider="smtp")],
        )
    ]


def throttled(cast: Cast) -> list[Case]:
    """All of Bird's messages wait as long as it says."""
    kind, to = "throttled twice by Bird, then sent", cast.recipients.phone(magic="20")
    case = _pinned(cast, kind, "bird", Channel.SMS, to=to, calls=3, slow=True)
    return [case.expecting(made=True, checks=1)]


def _persisting(cast: Cast, kind: str, provider: str, channel: Channel, **request: Any) -> Case:
    """Somebody who is told that nobody can judge the code, and types it again."""
    case = _pinned(cast, kind, provider, channel, person=Person.PERSISTS, slow=True, **request)
    return case.expecting(made=True)


def _pinned(cast: Cast, kind: str, provider: str, channel: Channel, *, to: str | None = None, **request: Any) -> Case:
    return cast.verified(
        kind,
        to=to or cast.mobile(),
        channel=channel,
        provider=provider,
        steps=[Step(channel=channel, provider=provider)],
        **request,
    )


def _of(case: Case, operation: str | None = None) -> dict[str, str]:
    """Requests about this case's recipient: those that send, or those of one operation."""
    when = {"recipient": case.recipients[-1]}
    return when if operation is None else {**when, "operation": operation}


SLOW: Final = (judge_found, judge_found_though_delivered, lost_answer_found)
"""Begun early: providers are asked for what was lost only when no call can still be on its way."""
ONCE: Final = (
    walked_on,
    withdrawn,
    gone_on,
    *[out_of_order] * len(_JUDGES),
    yes_lost,
    refused_then_telesign,
    refused_then_bird,
    throttled,
)
"""Enough of them once: each needs a rule of its own, or time."""
KINDS: Final = (
    *[mistyped] * len(_JUDGES),
    guessed,
    *[lost_answer_told] * len(_TELLING),
    walk_ended,
    undelivered_then_smtp,
    mail_lost,
    mail_refused,
)

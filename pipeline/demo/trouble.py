"""Kinds of cases in which a provider, a network or a person fails: refusals, lost answers, failover, expiry.

The endings of the recipients are those of :mod:`pipeline.simulator.magic`; both simulated providers obey them.
"""

from __future__ import annotations

from typing import Final

from pipeline.demo.case import Case, Person
from pipeline.demo.cast import Cast
from pipeline.demo.everyday import NEUTRINO_SMS
from pipeline.model.reasons import Reason
from pipeline.records.public import Step
from pipeline.records.types import Channel, VerificationMode

LIFE_S: Final = 30
"""Life of a code that is to expire: the shortest there is."""
WAIT_S: Final = 5
"""Wait of a step whose message is to come too late: the shortest there is."""

_ODD_RECEIPTS: Final = (
    ("03", Channel.SMS, "receipt never comes"),
    ("05", Channel.SMS, "receipts come twice"),
    ("06", Channel.WHATSAPP, "receipts out of order"),
    ("07", Channel.VOICE, "receipt before the answer"),
    ("40", Channel.SMS, "slow answer"),
)
_LOST_ANSWERS: Final = (
    ("31", "error 500 after sending"),
    ("32", "sent, but never answered"),
    ("35", "sent, then the connection closed"),
    ("37", "sent, the answer is garbage"),
    ("38", "sent, the answer is cut"),
    ("39", "sent, then the connection reset"),
    ("42", "sent, the answer drips"),
)
_REFUSALS: Final = (
    ("10", Reason.RECIPIENT_REJECTED, 1),
    ("11", Reason.RECIPIENT_BLOCKED, 1),
    ("17", Reason.RECIPIENT_BLOCKED, 1),
    ("13", Reason.ACCOUNT_REJECTED, 2),
    ("14", Reason.CREDIT_EXHAUSTED, 2),
    ("15", Reason.ROUTE_UNAVAILABLE, 2),
    ("16", Reason.ACCOUNT_REJECTED, 2),
    ("18", Reason.ROUTE_UNAVAILABLE, 2),
)
"""Ending, the reason of the last attempt, and how many providers are asked: a bad recipient is bad for all of them."""


def refused_then_second_provider(cast: Cast) -> list[Case]:
    return [
        cast.verified(
            "refused by YCloud, sent by Neutrino",
            to=cast.recipients.phone(magic="12"),
            channel=Channel.SMS,
            provider="neutrino",
            attempts=2,
            steps=[Step(channel=Channel.SMS)],
        )
    ]


def undelivered_then_second_provider(cast: Cast) -> list[Case]:
    return [
        cast.verified(
            "undelivered by YCloud, sent by Neutrino",
            to=cast.recipients.phone(magic="02"),
            channel=Channel.SMS,
            provider="neutrino",
            attempts=2,
            steps=[Step(channel=Channel.SMS)],
        )
    ]


def undelivered_then_next_step(cast: Cast) -> list[Case]:
    return [
        cast.verified(
            "WhatsApp undelivered, so voice",
            to=cast.recipients.phone(magic="02"),
            channel=Channel.VOICE,
            provider="neutrino",
            attempts=2,
            steps=[Step(channel=Channel.WHATSAPP), Step(channel=Channel.VOICE, provider="neutrino")],
        )
    ]


def waited_then_next_step(cast: Cast) -> list[Case]:
    steps = [Step(channel=Channel.SMS, provider="ycloud", wait_s=WAIT_S), Step(channel=Channel.VOICE)]
    return [
        cast.verified(
            f"no receipt within {WAIT_S} s, so voice",
            to=cast.recipients.phone(magic="03"),
            channel=Channel.VOICE,
            attempts=2,
            steps=steps,
        )
    ]


def doubt_then_next_step(cast: Cast) -> list[Case]:
    steps = [
        Step(channel=Channel.SMS, recipient=cast.recipients.phone(magic="36"), wait_s=WAIT_S),
        Step(channel=Channel.EMAIL, recipient=cast.recipients.email()),
    ]
    return [
        cast.verified(f"in doubt for {WAIT_S} s, so e-mail", to=None, channel=Channel.EMAIL, attempts=2, steps=steps)
    ]


def odd_receipts(cast: Cast) -> list[Case]:
    magic, channel, kind = cast.next_of(_ODD_RECEIPTS)
    to = cast.recipients.phone(magic=magic)
    return [cast.verified(kind, to=to, channel=channel, steps=[Step(channel=channel)], slow=True)]


def lost_answers(cast: Cast) -> list[Case]:
    magic, kind = cast.next_of(_LOST_ANSWERS)
    return [cast.verified(kind, to=cast.recipients.phone(magic=magic), channel=Channel.SMS, slow=True)]


def lost_answer_without_receipts(cast: Cast) -> list[Case]:
    return [
        cast.verified(
            "in doubt at Neutrino, code arrives",
            to=cast.recipients.phone(magic="31"),
            channel=Channel.SMS,
            provider="neutrino",
            steps=[*NEUTRINO_SMS],
            slow=True,
        )
    ]


def throttled(cast: Cast) -> list[Case]:
    # The sender waits as long as it is told and asks again for the same attempt.
    to = cast.recipients.phone(magic="20")
    return [cast.verified("throttled twice, then sent", to=to, channel=Channel.SMS, calls=3, slow=True)]


def refused(cast: Cast) -> list[Case]:
    magic, reason, attempts = cast.next_of(_REFUSALS)
    return [
        cast.ended(
            "refused by every provider",
            reason,
            to=cast.recipients.phone(magic=magic),
            channel=Channel.SMS,
            provider="ycloud" if attempts == 1 else "neutrino",
            attempts=attempts,
            steps=[Step(channel=Channel.SMS)],
        )
    ]


def undelivered(cast: Cast) -> list[Case]:
    channel = cast.next_of((Channel.WHATSAPP, Channel.EMAIL))
    to = cast.recipients.email(magic="02") if channel is Channel.EMAIL else cast.recipients.phone(magic="02")
    steps = [Step(channel=channel, provider="ycloud")]
    return [cast.ended("undelivered", Reason.UNDELIVERED, to=to, channel=channel, steps=steps)]


def reach_undelivered(cast: Cast) -> list[Case]:
    return [
        cast.ended(
            "reach only: undelivered",
            Reason.UNDELIVERED,
            to=cast.recipients.phone(magic="02"),
            channel=Channel.WHATSAPP,
            steps=[Step(channel=Channel.WHATSAPP)],
            mode=VerificationMode.REACH,
        )
    ]


def no_step_left(cast: Cast) -> list[Case]:
    return [
        cast.ended(
            "refused on every step",
            Reason.STEPS_EXHAUSTED,
            to=cast.recipients.phone(magic="10"),
            channel=Channel.WHATSAPP,
            attempts=2,
            steps=[Step(channel=Channel.SMS), Step(channel=Channel.WHATSAPP)],
        )
    ]


def guessed(cast: Cast) -> list[Case]:
    return [
        cast.ended(
            "wrong codes only",
            Reason.CHECKS_EXHAUSTED,
            to=cast.mobile(),
            channel=Channel.SMS,
            person=Person.GUESSES,
            max_checks=cast.next_of((3, 1, 5)),
        )
    ]


def guessed_too_often(cast: Cast) -> list[Case]:
    """Two verifications use up the twenty failures of a recipient, so the third is blocked."""
    kind, to = "too many failures of one recipient", cast.mobile()
    first = cast.ended(
        kind,
        Reason.CHECKS_EXHAUSTED,
        to=to,
        channel=Channel.SMS,
        person=Person.GUESSES,
        max_checks=10,
        steps=[Step(channel=Channel.SMS, provider="ycloud")],
    )
    second = cast.ended(
        kind,
        Reason.CHECKS_EXHAUSTED,
        to=to,
        channel=Channel.VOICE,
        person=Person.GUESSES,
        max_checks=10,
        steps=[Step(channel=Channel.VOICE, provider="ycloud")],
    )
    third = cast.refused(kind, Reason.TOO_MANY_FAILURES, to=to, after=(first.name, second.name))
    return [first, second, third]


def expires(cast: Cast) -> list[Case]:
    return [
        cast.ended(
            "typed too late",
            Reason.EXPIRED,
            to=cast.mobile(),
            channel=Channel.SMS,
            person=Person.TOO_LATE,
            expires_in_s=LIFE_S,
            steps=[Step(channel=Channel.SMS)],
        )
    ]


def expires_in_doubt(cast: Cast) -> list[Case]:
    return [
        cast.ended(
            "in doubt until it expires",
            Reason.EXPIRED,
            to=cast.recipients.phone(magic=cast.next_of(("30", "33"))),
            channel=Channel.SMS,
            expires_in_s=LIFE_S,
            steps=[Step(channel=Channel.SMS)],
        )
    ]


def reach_without_receipts(cast: Cast) -> list[Case]:
    return [
        cast.ended(
            "reach only: Neutrino never tells",
            Reason.EXPIRED,
            to=cast.mobile(),
            channel=Channel.SMS,
            provider="neutrino",
            mode=VerificationMode.REACH,
            expires_in_s=LIFE_S,
            steps=[*NEUTRINO_SMS],
        )
    ]


EXPIRING: Final = (expires, expires_in_doubt, expires_in_doubt, reach_without_receipts)

KINDS: Final = (
    refused_then_second_provider,
    undelivered_then_next_step,
    guessed,
    undelivered,
    *[refused] * len(_REFUSALS),
    *[lost_answers] * len(_LOST_ANSWERS),
    *[odd_receipts] * len(_ODD_RECEIPTS),
    undelivered_then_second_provider,
    waited_then_next_step,
    doubt_then_next_step,
    lost_answer_without_receipts,
    no_step_left,
    reach_undelivered,
)

ONCE: Final = (guessed_too_often, throttled)
"""Enough of them once: they hold up a whole provider, or take many checks."""

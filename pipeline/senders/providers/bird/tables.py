"""Every status and code that Bird publishes, and what it means here. Only HTTP statuses say why a request was refused:
the error bodies are not documented beyond a text for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, AttemptStatus, ResultClass
from pipeline.senders.answers import NOT_FOUND, in_doubt, judged, not_sent, rejected, throttled
from pipeline.senders.provider import Answer

NO_CREDIT: Final = 402
"""Which status Bird answers without credit is not published: this one, or any 4xx whose body mentions the balance."""

_CONTENT: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
_ACCOUNT: Final = rejected(ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED)

SEND_REFUSALS: Final[Mapping[int, Answer]] = MappingProxyType(
    {
        # Number, step or template; nothing dependable says which of them.
        400: _CONTENT,
        422: _CONTENT,
        401: _ACCOUNT,
        403: _ACCOUNT,
        NO_CREDIT: rejected(ResultClass.ACCOUNT, Reason.CREDIT_EXHAUSTED),
        404: replace(
            rejected(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE),
            alarm="the provider knows no such workspace, channel or verification",
        ),
        # Not documented: something may be on its way, so it is to be found, not sent again.
        409: in_doubt(""),
        429: throttled(),
    }
)
"""Refusals of a create by HTTP status."""
_GONE: Final = rejected(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE)
AGAIN_REFUSALS: Final[Mapping[int, Answer]] = MappingProxyType({**SEND_REFUSALS, 400: _GONE, 404: _GONE, 422: _GONE})
"""Refusals of a resend or a failover: the verification took its number and steps before, so it is over or forgotten,
which says nothing of the person."""


def _unasked(reason: Reason, alarm: str) -> Answer:
    """The question was not put to anybody: no verdict, and an operator has to act."""
    return replace(not_sent(reason), result_class=ResultClass.ACCOUNT, alarm=alarm)


_KEY: Final = _unasked(Reason.ACCOUNT_REJECTED, "the provider refuses the access key")

CHECK_REFUSALS: Final[Mapping[int, Answer]] = MappingProxyType(
    {
        # Wrong; or too often or too late, and then no code is right any more.
        400: judged(False),
        # A verification that Bird does not know can never be passed.
        404: replace(judged(False), alarm="the provider does not know a verification it made"),
        401: _KEY,
        403: _KEY,
        NO_CREDIT: _unasked(Reason.CREDIT_EXHAUSTED, "the provider account has no credit left"),
        409: in_doubt(""),
        429: throttled(),
    }
)
"""Answers to a typed code that is not accepted, by HTTP status."""

_LOOKUP_KEY: Final = replace(in_doubt(""), alarm="the provider refuses look-ups")

LOOKUP_REFUSALS: Final[Mapping[int, Answer]] = MappingProxyType(
    {401: _LOOKUP_KEY, 403: _LOOKUP_KEY, NO_CREDIT: _LOOKUP_KEY, 404: NOT_FOUND, 429: throttled()}
)
"""Refusals of a look-up by id, by HTTP status."""
LIST_REFUSALS: Final[Mapping[int, Answer]] = MappingProxyType(
    # What is missing is the list itself, which says nothing of any message.
    {**LOOKUP_REFUSALS, 404: replace(in_doubt(""), alarm="the provider has no list at list_path")}
)
"""Refusals of a list, by HTTP status."""

_OVER: Final = rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR)

VERIFICATIONS: Final[Mapping[str, Answer]] = MappingProxyType(
    {
        "accepted": Answer(result=AttemptResult.ACCEPTED),
        "pending": Answer(result=AttemptResult.ACCEPTED),
        # Whoever typed the code had received it.
        "verified": Answer(result=AttemptResult.ACCEPTED, status=AttemptStatus.DELIVERED),
        # Whatever was sent, no code of it is right any more.
        "failed": replace(_OVER, status=AttemptStatus.FAILED),
        "expired": replace(_OVER, status=AttemptStatus.EXPIRED),
        "canceled": replace(_OVER, status=AttemptStatus.FAILED),
    }
)
"""``status`` of a verification: only ``accepted`` is published, the others are the words such an API would use."""
UNKNOWN_VERIFICATION: Final = Answer(result=AttemptResult.ACCEPTED, status=AttemptStatus.UNKNOWN, unmapped=True)
"""A verification with an id was taken, whatever word says how it stands."""

VERDICTS: Final[Mapping[str, bool]] = MappingProxyType(
    {"verified": True, "failed": False, "expired": False, "canceled": False}
)
"""``status`` of a verification in a good answer to a check, where it says more than the HTTP status."""

NO_VERDICT: Final = "the provider answers checks with a status that is no verdict; see ok_is_right"

MESSAGES: Final[Mapping[str, AttemptStatus]] = MappingProxyType(
    {
        "accepted": AttemptStatus.QUEUED,
        "sent": AttemptStatus.SENT,
        "delivered": AttemptStatus.DELIVERED,
        "sending_failed": AttemptStatus.FAILED,
        "delivery_failed": AttemptStatus.UNDELIVERED,
    }
)
"""``status`` of a channel's message."""
FAILED: Final = frozenset({AttemptStatus.FAILED, AttemptStatus.UNDELIVERED, AttemptStatus.EXPIRED})

TEXTS: Final[Mapping[str, AttemptStatus]] = MappingProxyType(
    {"dlr not received": AttemptStatus.UNKNOWN, "expired": AttemptStatus.EXPIRED}
)
"""Texts of failed SMS that say something else than failure, in lower case."""

FAILURES: Final[Mapping[int, Reason]] = MappingProxyType(
    {
        11001: Reason.ROUTE_UNAVAILABLE,  # the channel is configured wrongly
        11002: Reason.CONTENT_REJECTED,  # invalid input
        12001: Reason.PROVIDER_ERROR,  # a service behind failed
        12002: Reason.CONTENT_REJECTED,  # unsupported type of message
        12003: Reason.ROUTE_UNAVAILABLE,  # unsupported destination
        15001: Reason.PROVIDER_ERROR,  # network or system failure
        15005: Reason.RECIPIENT_REJECTED,  # unknown subscriber
    }
)
"""``failure.code`` of a message."""
FAILURE_CLASSES: Final[Mapping[int, Reason]] = MappingProxyType(
    {
        11: Reason.CONTENT_REJECTED,  # validation
        12: Reason.PROVIDER_ERROR,  # service
        14: Reason.ACCOUNT_REJECTED,  # customer or account
        15: Reason.UNDELIVERED,  # platform or operator
    }
)
"""The thousands of a ``failure.code`` that stands in no other table."""
FAILURE_SOURCES: Final[Mapping[str, Reason | None]] = MappingProxyType(
    {
        "accounting": Reason.CREDIT_EXHAUSTED,
        # Where it failed, not why.
        "pre-processing": None,
        "contact": None,
        "touchpoint": None,
    }
)
"""``failure.source.name``; that of a platform (``sms-messagebird…``) says no more."""

"""The words of ThunderSMS, and what they mean to us."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptStatus, Channel

CHANNEL_NAMES: Final = MappingProxyType(
    {Channel.WHATSAPP: "whatsapp", Channel.SMS: "sms", Channel.VOICE: "voice", Channel.VIBER: "viber"}
)
CHANNELS_BY_NAME: Final = MappingProxyType(
    {**{name: channel for channel, name in CHANNEL_NAMES.items()}, "tts": Channel.VOICE}
)
"""``tts`` is the older spelling. The platform's ``rcs`` is no channel of ours."""


class Meaning(NamedTuple):
    """What one word for the state of a message says."""

    status: AttemptStatus
    reason: Reason | None = None
    ours: bool = False
    """Our account or its set-up at the provider is at fault, and only an operator can put it right."""


def _all(words: str, meaning: Meaning) -> dict[str, Meaning]:
    return dict.fromkeys(words.split(), meaning)


_BAD_NUMBER: Final = Meaning(AttemptStatus.UNDELIVERED, Reason.RECIPIENT_REJECTED)
_BLOCKED: Final = Meaning(AttemptStatus.UNDELIVERED, Reason.RECIPIENT_BLOCKED)
_SET_UP: Final = Meaning(AttemptStatus.FAILED, Reason.ACCOUNT_REJECTED, ours=True)
_TEXT: Final = Meaning(AttemptStatus.FAILED, Reason.CONTENT_REJECTED, ours=True)
_NOT_NOW: Final = Meaning(AttemptStatus.FAILED, Reason.UNDELIVERED)

MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        **_all("QUEUED AWAITING-DLR", Meaning(AttemptStatus.QUEUED)),
        **_all("SENT DISPATCHED", Meaning(AttemptStatus.SENT)),
        **_all("DELIVRD DELIVERED ANSWER COMPLETED", Meaning(AttemptStatus.DELIVERED)),
        # Of a whole verify object: nobody can type what did not arrive.
        **_all("VERIFIED", Meaning(AttemptStatus.DELIVERED)),
        **_all("READ", Meaning(AttemptStatus.READ)),
        # The number: another message will fare no better.
        **_all("INVALID-SUB INV-NUMBER HANDSET-ERR CONGESTION", _BAD_NUMBER),
        **_all("BARRED BLACKLST BLACKLIST SERIES-BLK SERIES-BLOCK DNDNUMB OPTOUT-REJ NOT-OPTIN", _BLOCKED),
        **_all("NOTALLOWED", Meaning(AttemptStatus.UNDELIVERED, Reason.ROUTE_UNAVAILABLE)),
        **_all("SPAM", Meaning(AttemptStatus.UNDELIVERED, Reason.CONTENT_REJECTED)),
        **_all("REJECTED DUPLICATE", Meaning(AttemptStatus.UNDELIVERED, Reason.UNDELIVERED)),
        # Our set-up.
        **_all("NO-CREDITS", Meaning(AttemptStatus.FAILED, Reason.CREDIT_EXHAUSTED, ours=True)),
        **_all("NO-ACCOUNT SNDR-BLOCK INV-SENDER PROMO-TMOUT INV-PROVISION INV-SERVICE INV-SCHEDULE", _SET_UP),
        **_all("DLT-REJECTED DLT-HEADER-INACTIVE DLT-SENDER-NOT-REG-TM", _SET_UP),
        **_all("TEMPLATE-NOT-FOUND INV-TEMPLATE", _TEXT),
        # Not now; another time it may work.
        **_all("ABSENT-SUB MOB-OFF MEMEXEC HANDSET-BUSY NET-ERR FAILED UNDELIV SERVER-ERR THROTTLED", _NOT_NOW),
        **_all("OFFLINE REJ-MULTIPART BUSY NOANSWER CANCEL CHANUNAVAIL", _NOT_NOW),
        **_all("EXPIRED DELETED", Meaning(AttemptStatus.EXPIRED, Reason.UNDELIVERED)),
        # Published, but they do not say whether anything arrived.
        **_all("TIMEOUT-DLR RECEIVED MISSED", Meaning(AttemptStatus.UNKNOWN)),
    }
)
"""Every published word of SMS, voice, WhatsApp, Viber and RCS messages and of verify objects, in capitals."""

FAMILIES: Final[Mapping[str, Meaning]] = MappingProxyType(
    {"DLT-INV-": _SET_UP, "DLT-TM-": _TEXT, "DLT-ENTITY-": _SET_UP}
)
"""What Indian registration (DLT) refuses, by how the word begins: an entity, a telemarketer, a template."""


def meaning(word: object) -> Meaning | None:
    """What a word means, in whatever case; None when it is in no table."""
    if not isinstance(word, str) or len(word) > 64:
        return None
    capitals = word.strip().upper()
    known = MEANINGS.get(capitals)
    return known or next((found for start, found in FAMILIES.items() if capitals.startswith(start)), None)


class Verdict(NamedTuple):
    """What an answer of ``verify/check`` says; all of them come with HTTP 200."""

    valid: bool | None
    already_verified: bool = False


VERDICTS: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        "success": Verdict(valid=True),
        "invalid": Verdict(valid=False),
        # Dead codes: no code is right any more, whatever was typed.
        "failed": Verdict(valid=False),
        "expired": Verdict(valid=False),
        "OTP already verified": Verdict(valid=None, already_verified=True),
    }
)
"""Compared exactly: HTTP 200 alone says nothing."""

SEND_WORDS: Final = frozenset({"sent", "ok", "200", "success", "queued", "awaiting-dlr", "dispatched", "accepted"})
"""``status`` of a good answer to ``verify/send``, in lower case; other answers of the platform say ``OK`` or 200."""

EVENTS: Final[Mapping[str, Channel | None]] = MappingProxyType(
    {
        "sms:message:status": Channel.SMS,
        "whatsapp:message:status": Channel.WHATSAPP,
        "viber:message:status": Channel.VIBER,
        "voice:message:out": Channel.VOICE,
        "rcs:message:status": None,
    }
)
"""Delivery events and our channel; all other events (incoming messages, unsubscriptions) are not ours."""
SIGNED_EVENTS: Final = ("whatsapp:", "viber:", "rcs:")
"""How the events begin whose webhooks can have a ``Signature``."""

"""Words shared by all records: enums, scalar kinds and the base class.

The Python types in this folder are the one source of the Avro schemas; ``schemas/*.avsc`` is generated from them
(``make schemas``), attribute docstrings become the fields' ``doc``, and a test holds both equal.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

Long = Annotated[int, msgspec.Meta(extra={"avro": "long"})]
"""An Avro ``long``; a plain ``int`` is an Avro ``int``."""

TimeMs = Annotated[int, msgspec.Meta(extra={"avro": "long"})]
"""Epoch milliseconds (field names end in ``_at``); 0 means not set unless the field says otherwise."""


class AvroRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False, gc=False):
    """Base of every record: immutable, compared by value, changed with ``msgspec.structs.replace``.

    Unseen by the garbage collector: records hold no cycles, and walking through a hundred thousand restored states
    again and again is no use.
    """


class Channel(StrEnum):
    """A way to reach a recipient."""

    SMS = "sms"
    VOICE = "voice"
    WHATSAPP = "whatsapp"
    VIBER = "viber"
    EMAIL = "email"
    UNKNOWN = "unknown"


class VerificationMode(StrEnum):
    """``reach`` only asks whether a message arrives; ``delivered`` is then final."""

    VERIFY = "verify"
    REACH = "reach"
    UNKNOWN = "unknown"


class VerificationState(StrEnum):
    """Where a verification stands; see ``pipeline.model.lifecycle`` for the allowed moves."""

    PENDING = "pending"
    SENT = "sent"
    DELIVERED = "delivered"
    VERIFIED = "verified"
    EXPIRED = "expired"
    FAILED = "failed"
    CANCELED = "canceled"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class AttemptResult(StrEnum):
    """The provider's immediate answer to one attempt."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    IN_DOUBT = "in_doubt"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class AttemptStatus(StrEnum):
    """What delivery reports say about one attempt."""

    NONE = "none"
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class CommandAction(StrEnum):
    """What a caller may ask of a running verification."""

    RESEND = "resend"
    FAILOVER = "failover"
    CANCEL = "cancel"
    UNKNOWN = "unknown"


class ReplyKind(StrEnum):
    """What a reply answers."""

    CHECK = "check"
    COMMAND = "command"
    UNKNOWN = "unknown"


class ResultClass(StrEnum):
    """Why an attempt was rejected or not sent, by what to try next."""

    NONE = "none"
    RECIPIENT = "recipient"
    CONTENT = "content"
    ACCOUNT = "account"
    ROUTE = "route"
    UNKNOWN = "unknown"


class CodeHolder(StrEnum):
    """Who knows the code of an attempt: derived by us, given by the caller, or made by the provider."""

    OURS = "ours"
    CALLER = "caller"
    PROVIDER = "provider"
    UNKNOWN = "unknown"


class DecisionKind(StrEnum):
    """What a decision says."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    ROUTED = "routed"
    UNROUTABLE = "unroutable"
    UNKNOWN = "unknown"


class CommandKind(StrEnum):
    """What a sender is asked to do."""

    SEND = "send"
    CHECK = "check"
    LOOKUP = "lookup"
    REPORT = "report"
    CANCEL = "cancel"
    UNKNOWN = "unknown"


class RoutingKind(StrEnum):
    """Why a record is in ``router-inbox``."""

    MISPLACED = "misplaced"
    NEXT_STEP = "next_step"
    VERIFIED = "verified"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class BreakerState(StrEnum):
    """Whether a sender's circuit breaker lets calls through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    UNKNOWN = "unknown"


class ControlKind(StrEnum):
    """What an entry of the ``control`` topic changes while everything runs."""

    KILL_SWITCH = "kill_switch"
    WEIGHT = "weight"
    UNKNOWN = "unknown"

"""Kinds of cases that no provider ever hears of: invalid requests of every reason, conflicts, records that are none."""

from __future__ import annotations

from typing import Any, Final

from pipeline.demo.case import Case, Expected
from pipeline.demo.cast import PARTITIONS, Cast
from pipeline.errors import DeadLetterReason
from pipeline.model.reasons import Reason
from pipeline.records.codec import Codec
from pipeline.records.public import Step, VerificationRequest
from pipeline.records.types import Channel
from pipeline.runtime.partition import partition_for

MINUTE_MS: Final = 60_000
_SMS: Final = Channel.SMS

_INVALID: Final[tuple[tuple[str, Reason, dict[str, Any]], ...]] = (
    ("recipient that is none", Reason.INVALID_RECIPIENT, {"to": "call me maybe"}),
    ("number that cannot exist", Reason.INVALID_RECIPIENT, {"to": "+49 30"}),
    ("national number without country", Reason.INVALID_RECIPIENT, {"to": "0151 23456789"}),
    ("e-mail address without a domain", Reason.INVALID_RECIPIENT, {"to": "nobody@localhost"}),
    ("no recipient", Reason.MISSING_FIELD, {"to": None}),
    ("amount without payee", Reason.MISSING_FIELD, {"amount": "12.50"}),
    ("country that is none", Reason.INVALID_COUNTRY, {"country": "UK"}),
    ("free-phone number", Reason.UNSUPPORTED_LINE_TYPE, {"to": "+498001234567"}),
    ("SMS to an e-mail address", Reason.INVALID_CHANNEL, {"to": "nobody@example.org", "steps": [Step(channel=_SMS)]}),
    ("step without a channel", Reason.INVALID_CHANNEL, {"steps": [Step()]}),
    (
        "preference beside steps",
        Reason.INVALID_STEPS,
        {"steps": [Step(channel=_SMS)], "prefer_channel": Channel.VOICE},
    ),
    (
        "step that begins after the expiry",
        Reason.INVALID_STEPS,
        {"steps": [Step(channel=_SMS, wait_s=60), Step(channel=Channel.VOICE)], "expires_in_s": 45},
    ),
    ("code with other signs", Reason.INVALID_CODE, {"code": "12-34-56"}),
    ("code too short for the tenant", Reason.INVALID_CODE_LENGTH, {"code": "4829"}),
    ("code length out of range", Reason.INVALID_CODE_LENGTH, {"code_length": 13}),
    ("language that is none", Reason.INVALID_LANGUAGE, {"language": "english please"}),
    ("text without a code", Reason.INVALID_TEXT, {"steps": [Step(channel=_SMS, text="Hello {brand}")]}),
    ("template nobody made", Reason.UNKNOWN_TEMPLATE, {"steps": [Step(channel=_SMS, template="farewell")]}),
    ("option nobody has", Reason.UNKNOWN_OPTION, {"steps": [Step(channel=_SMS, options={"turbo": "on"})]}),
    ("provider nobody configured", Reason.UNKNOWN_PROVIDER, {"steps": [Step(channel=_SMS, provider="acme")]}),
    (
        "channel the pinned provider lacks",
        Reason.UNSUPPORTED_BY_PROVIDER,
        {"to": "nobody@example.org", "steps": [Step(channel=Channel.EMAIL, provider="neutrino")]},
    ),
    (
        "wish the pinned provider cannot honour",
        Reason.NO_ROUTE,
        {"steps": [Step(channel=_SMS, provider="neutrino", sender="Example")]},
    ),
    ("unknown tenant", Reason.UNKNOWN_TENANT, {"tenant": "nobody"}),
    (
        "life that no provider of the channel can keep",
        Reason.NO_ROUTE,
        {"to": "nobody@example.org", "steps": [Step(channel=Channel.EMAIL, ttl_s=60)]},
    ),
    ("code no provider of the route can carry", Reason.NO_ROUTE, {"code": "AB12CD34"}),
    ("payment no provider of the route can show", Reason.NO_ROUTE, {"amount": "12.50", "payee": "Book shop"}),
    ("phone number in the metadata", Reason.INVALID_FIELD, {"metadata": {"caller": "+4915123456789"}}),
    ("too many checks", Reason.INVALID_FIELD, {"max_checks": 11}),
    ("expiry out of range", Reason.INVALID_FIELD, {"expires_in_s": 29}),
    ("address that is none", Reason.INVALID_FIELD, {"end_user_ip": "256.1.1.1"}),
    ("use case that is none", Reason.INVALID_FIELD, {"use_case": "FUN"}),
)

_UNREADABLE: Final = (
    ("record that is no Avro", b"POST /verify HTTP/1.1", DeadLetterReason.UNKNOWN_FRAMING),
    ("record of an unknown schema", b"\xc3\x01" + bytes(range(8)) + b"\x00", DeadLetterReason.UNKNOWN_SCHEMA),
    ("empty record", b"", DeadLetterReason.UNKNOWN_FRAMING),
    (
        "record that was cut off",
        Codec().encode(VerificationRequest(verification_id="demo-cut", recipient="nobody@example.org"))[:20],
        DeadLetterReason.UNDECODABLE,
    ),
)


def invalid(cast: Cast) -> list[Case]:
    """The next of the list."""
    kind, reason, given = cast.next_of(_INVALID)
    given = dict(given)
    to = given.pop("to") if "to" in given else cast.mobile()
    return [cast.refused(f"invalid: {kind}", reason, to=to, **given)]


def requested_in_the_future(cast: Cast) -> list[Case]:
    ahead = cast.now_ms + 30 * MINUTE_MS
    kind = "invalid: requested in the future"
    return [cast.refused(kind, Reason.INVALID_FIELD, to=cast.mobile(), requested_at=ahead)]


def too_late(cast: Cast) -> list[Case]:
    past = cast.now_ms - MINUTE_MS
    kind = "read after its deadline"
    return [cast.refused(kind, Reason.TOO_LATE, to=cast.mobile(), send_before_at=past)]


def id_used_twice(cast: Cast) -> list[Case]:
    """The same id with other content: for the same recipient the router knows, for another one only the tracker can."""
    kind = "id used again for something else"
    first = cast.verified(kind, to=cast.mobile(), channel=_SMS)
    assert first.request is not None
    assert first.request.recipient is not None
    conflict = Expected(dead_letter=DeadLetterReason.ID_CONFLICT)
    vid = first.name
    same = cast.case(
        kind, to=first.request.recipient, expected=conflict, verification_id=vid, brand="Other", after=(first.name,)
    )
    home = partition_for(first.request.recipient.encode(), PARTITIONS)
    other = cast.mobile()
    while partition_for(other.encode(), PARTITIONS) == home:
        other = cast.mobile()
    # By then a second message may be ordered. It is worth nothing: its code is that of a decision not accepted.
    seen_late = Expected(dead_letter=DeadLetterReason.ID_CONFLICT, found_by="tracker", spare_calls=1)
    elsewhere = cast.case(
        kind, to=other, expected=seen_late, verification_id=vid, steps=[Step(channel=_SMS)], after=(first.name,)
    )
    return [first, same, elsewhere]


def unreadable(cast: Cast) -> list[Case]:
    """The next of the list."""
    kind, payload, reason = cast.next_of(_UNREADABLE)
    return [Case(kind=kind, name=cast.name(), request=None, payload=payload, expected=Expected(dead_letter=reason))]


KINDS: Final = (
    *[invalid] * len(_INVALID),
    requested_in_the_future,
    too_late,
)

ONCE: Final = (*[unreadable] * len(_UNREADABLE), id_used_twice)

"""Every published code and status of the Verify family, and what it means here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, ResultClass
from pipeline.senders.answers import in_doubt, judged, not_sent, rejected, throttled
from pipeline.senders.provider import Answer


def _so_far(status: AttemptStatus) -> Answer:
    return Answer(result=AttemptResult.ACCEPTED, status=status)


def _undelivered(kind: ResultClass, reason: Reason) -> Answer:
    return replace(rejected(kind, reason), status=AttemptStatus.UNDELIVERED)


_QUEUED: Final = _so_far(AttemptStatus.QUEUED)
_SENT: Final = _so_far(AttemptStatus.SENT)
_DELIVERED: Final = _so_far(AttemptStatus.DELIVERED)
_UNREACHABLE: Final = _undelivered(ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED)
_BLOCKED: Final = _undelivered(ResultClass.RECIPIENT, Reason.RECIPIENT_BLOCKED)
_REFUSED: Final = _undelivered(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
_NO_ROUTE: Final = _undelivered(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE)
_NOT_NOW: Final = _undelivered(ResultClass.ROUTE, Reason.UNDELIVERED)
"""Another route, channel or try may reach the person."""

NOT_ATTEMPTED: Final = 500
"""The status that says for certain that nothing was called, sent or billed."""
UNTRIED: Final = frozenset((NOT_ATTEMPTED, 501, 2028))
"""Statuses that say so under any HTTP status; 2028's is not published."""
COMPLETED: Final = 1900
"""The status of a success that was noted."""

STATUSES: Final[Mapping[int, Answer]] = MappingProxyType(
    {
        # Voice.
        100: _DELIVERED,  # answered, perhaps by a machine
        101: _NOT_NOW,  # no answer
        103: _SENT,  # in progress
        105: _QUEUED,  # not handled yet
        106: _NOT_NOW,  # failed
        107: _NOT_NOW,  # busy
        108: _NOT_NOW,  # canceled by Telesign
        129: _BLOCKED,  # by our own list
        130: _BLOCKED,  # by Telesign
        # SMS.
        200: _DELIVERED,  # to the handset
        201: replace(_SENT, detail="the provider suspects fraud"),  # completed; says nothing of a delivery
        203: _SENT,  # to the gateway
        207: _NOT_NOW,  # for a reason nobody knows
        210: _NOT_NOW,  # phone off or full
        211: _UNREACHABLE,  # the phone, for good
        220: _NO_ROUTE,
        221: replace(rejected(ResultClass.ROUTE, Reason.UNDELIVERED), status=AttemptStatus.EXPIRED),
        222: _UNREACHABLE,  # takes no SMS
        229: _BLOCKED,  # by our own list
        230: _BLOCKED,  # by Telesign
        231: _REFUSED,  # content
        232: _BLOCKED,  # number out of service
        233: _BLOCKED,  # risk score
        # Countries and prefixes are closed for our account only: another provider may serve them.
        237: _NO_ROUTE,
        238: _NO_ROUTE,
        # Handed over, and nobody will ever know more; 251 is told after 12 hours.
        250: _SENT,
        251: _SENT,
        286: _BLOCKED,  # kind of phone
        290: _QUEUED,  # in progress
        291: _QUEUED,  # at Telesign
        292: _SENT,  # queued by the gateway
        295: _so_far(AttemptStatus.NONE),  # the status is late, the message need not be
        # All products.
        500: replace(not_sent(), status=AttemptStatus.FAILED),
        501: replace(rejected(ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED), status=AttemptStatus.FAILED),
        502: _NOT_NOW,  # campaign or short code
        503: _NOT_NOW,  # carrier, for now
        504: _undelivered(ResultClass.ROUTE, Reason.UNDELIVERED),  # carrier, for good
        505: _NOT_NOW,  # gateway, for now
        506: _undelivered(ResultClass.ROUTE, Reason.UNDELIVERED),  # gateway, for good
        507: _UNREACHABLE,  # no such destination
        508: _REFUSED,  # source address
        509: _REFUSED,  # parameters
        510: _UNREACHABLE,  # the subscriber takes none
        511: _NOT_NOW,  # the subscriber has no credit
        512: _NOT_NOW,  # roaming
        513: _NO_ROUTE,  # ported
        514: _NOT_NOW,  # absent
        515: _REFUSED,  # spam
        517: _REFUSED,  # DLT ids
        518: _BLOCKED,  # SIM swapped lately
        519: _NO_ROUTE,  # the SIM-swap check that was asked for is not to be had here
        520: _REFUSED,  # content
        521: _REFUSED,  # sender id
        599: in_doubt("the status is not available"),
        # Smart Verify.
        2000: _QUEUED,
        2028: _BLOCKED,  # risk too high
    }
)
"""``status.code`` of answers and look-ups. A row that is a refusal is one of the message, whenever it is told."""

CALLBACK_STATUSES: Final[Mapping[int, Answer]] = MappingProxyType(
    {**STATUSES, 503: replace(not_sent(Reason.PROVIDER_ERROR), status=AttemptStatus.FAILED)}
)
"""``status.code`` of callbacks, where 503 is "system unavailable"."""

CODE_STATES: Final[Mapping[str, Answer]] = MappingProxyType(
    {
        "VALID": judged(True),
        "INVALID": judged(False),
        # A dead code opens nothing any more.
        "EXPIRED": judged(False),
        "MAX_ATTEMPTS_EXCEEDED": judged(False),
        "UNKNOWN": in_doubt("the provider gave no verdict"),
    }
)
"""``verify.code_state`` after a typed code."""

SUB_RESOURCES: Final[Mapping[str, Channel]] = MappingProxyType(
    {"sms": Channel.SMS, "voice": Channel.VOICE, "call": Channel.VOICE}
)
"""``sub_resource``: Smart Verify says ``voice`` by its page and ``call`` in Telesign's own samples."""

_ACCOUNT: Final = rejected(ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED)
_CONTENT: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
_RECIPIENT: Final = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED)
_FOREIGN: Final = rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR)
"""Errors of other requests and products: a refusal all the same."""
_STALE: Final = replace(_ACCOUNT, repeat=True)
"""Date or nonce: a fresh pair may do. If not, a clock is wrong, and no request of this account will pass."""

ERRORS: Final[Mapping[int, Answer]] = MappingProxyType(
    {
        # Request.
        -10001: _CONTENT,  # invalid or missing parameter; see also REFUSED_FOR and ERRORS_AT
        -10004: _FOREIGN,  # reference expired
        -40004: _FOREIGN,  # no such resource
        -40005: _FOREIGN,  # no such method
        -40006: _CONTENT,  # bad request
        -40009: _RECIPIENT,  # number not supported
        -20004: rejected(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE),  # not enabled for this country
        # Our account.
        -10009: _ACCOUNT,  # source address
        -10030: rejected(ResultClass.ACCOUNT, Reason.CREDIT_EXHAUSTED),
        -10033: _ACCOUNT,  # trial: number not verified
        -20001: _ACCOUNT,  # customer id
        -20002: _ACCOUNT,  # product not enabled
        -20003: _ACCOUNT,  # feature not enabled
        -30000: _ACCOUNT,  # customer id
        -30001: _ACCOUNT,  # suspended
        -30002: _ACCOUNT,  # not activated
        -30003: _ACCOUNT,  # limit of a new account
        -30004: _ACCOUNT,  # no Authorization
        -30005: _ACCOUNT,  # malformed Authorization
        -30006: _ACCOUNT,  # signature
        -30007: _ACCOUNT,  # no date
        -30008: _ACCOUNT,  # x-ts-auth-method
        -30009: _ACCOUNT,  # malformed date
        -30010: _STALE,  # date out of range
        -30011: _STALE,  # length of the nonce
        -30012: _STALE,  # nonce used before
        -30015: _ACCOUNT,  # API key
        -40002: _ACCOUNT,  # not authorized
        -40008: _ACCOUNT,  # hard cap of the product: it will not pass in the seconds an attempt has
        -50054: _ACCOUNT,  # API key
        -50055: _ACCOUNT,  # API key inactive
        # Codes.
        -30013: _FOREIGN,  # reference unfit for a completion
        -50001: in_doubt("the provider takes no more tries"),
        -50057: _CONTENT,  # invalid code
        # Listed for the family, made by its app and push products.
        -50002: _FOREIGN,
        -50003: _FOREIGN,
        -50051: _FOREIGN,
        -50052: _FOREIGN,
        -50056: _FOREIGN,
        -50058: _FOREIGN,
        -60002: _FOREIGN,
        # Not now.
        -90001: not_sent(),  # only together with NOT_ATTEMPTED
        # Nobody knows.
        -40001: in_doubt("the status is not available"),
        -50059: in_doubt("the status is not available"),
    }
)
"""``errors[].code`` where it has one meaning."""

ERRORS_AT: Final[Mapping[tuple[int, int], Answer]] = MappingProxyType(
    {
        (-10001, 401): _ACCOUNT,  # host not allowed
        (-10001, 404): _FOREIGN,  # no such reference
        (-40007, 400): _CONTENT,  # no data submitted
        (-40007, 429): throttled(),
    }
)
"""Error and HTTP status, where only both together say what is meant."""

REFUSED_FOR: Final[Mapping[str, Answer]] = MappingProxyType(
    {"PhoneNumber": _RECIPIENT, "phone_number": _RECIPIENT, "Not Allowed Host": _ACCOUNT}
)
"""What a description of -10001 names → whose fault that is; any other parameter is the content's."""

UNKNOWN_REFERENCE: Final = frozenset((-10001, -10004))
"""Errors of a 404 that say that there is no such message, or none any more."""
CODE_REFUSALS: Final = frozenset((-50001, -50057))
"""Errors that answer a check with no."""

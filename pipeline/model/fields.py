"""The rules of single request fields; each raises Refused with a detail that names field, problem and fix.

A detail never repeats the value: it is published in the outcome, and what stands in a wrong field may be a secret.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from pipeline.errors import Refused
from pipeline.model.reasons import Reason
from pipeline.model.recipient import canonical

USE_CASES: Final = frozenset(
    ("ATCK", "BACF", "BACS", "CHBK", "CLDR", "LEAD", "OTHR", "PWRT", "RESV", "RXPF", "SHIP", "THEF", "TRVF", "UNKN")
)
"""Telesign's use-case codes; other providers are told where they know something alike."""

VERIFICATION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,48}")
DECIMAL: Final = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,12})?")
MAX_ECHO: Final = 128
MAX_METADATA: Final = 10
MAX_AHEAD_MS: Final = 300_000
_PHONE: Final = re.compile(r"\+(?:[()\[\]./\-\u2010-\u2015\u2212]*\d){7,15}(?![()\[\]./\-\u2010-\u2015\u2212]*\d)")
"""Anything an international number could be, in use or not."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def invalid(field: str, problem: str, reason: Reason = Reason.INVALID_FIELD) -> Refused:
    """A refusal of one field."""
    return Refused(reason, f"{field}: {problem}", field)


def check_id(verification_id: str) -> str:
    """The id, when it is 1-48 letters, digits, ``_`` or ``-``."""
    if VERIFICATION_ID.fullmatch(verification_id):
        return verification_id
    raise invalid("verification_id", "must be 1-48 ASCII letters, digits, _ or -; a UUID fits")


def check_line(value: str, field: str, longest: int) -> str:
    """One line of visible text; what goes into mails and signed requests must not break out of its place."""
    if not value.strip() or len(value) > longest:
        raise invalid(field, f"must be 1-{longest} characters")
    _no_control(value, field)
    return value


def check_echo(value: str | None, field: str) -> str | None:
    """Text of the caller's that is published with the outcome, so it may not be a recipient."""
    if value is None:
        return None
    if len(value) > MAX_ECHO:
        raise invalid(field, f"has {len(value)} characters; use at most {MAX_ECHO}")
    _no_control(value, field)
    _no_recipient(value, field)
    return value


def check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Up to 10 entries, keys of 1-40 and values of up to 256 characters; no recipients, no control characters."""
    if len(metadata) > MAX_METADATA:
        raise invalid("metadata", f"has {len(metadata)} entries; use at most {MAX_METADATA}")
    for number, (key, value) in enumerate(metadata.items(), 1):
        if not 1 <= len(key) <= 40:
            raise invalid("metadata", f"the key of entry {number} must have 1-40 characters")
        if len(value) > 256:
            raise invalid("metadata", f"the value of entry {number} has {len(value)} characters; use at most 256")
        for text in (key, value):
            _no_control(text, "metadata")
            _no_recipient(text, "metadata")
    return dict(metadata)


def _no_control(value: str, field: str) -> None:
    # What is published ends in databases and logs: PostgreSQL's text takes no U+0000, and a line break forges a line.
    if _CONTROL.search(value):
        raise invalid(field, "holds control characters or line breaks; remove them")


def _no_recipient(value: str, field: str) -> None:
    if value.isascii() and "+" not in value and "@" not in value:
        # Nothing that is left out or normalised below could become either of them.
        return
    # What nobody sees must not hide what everybody can read.
    text = "".join(
        sign
        for sign in unicodedata.normalize("NFKC", value)
        if not sign.isspace() and unicodedata.category(sign) not in ("Cf", "Cc")
    )
    if _PHONE.search(text) or ("@" in text and _is_address(text)):
        raise invalid(field, "holds a phone number or e-mail address, and is published; use an id of yours")


def _is_address(text: str) -> bool:
    try:
        canonical(text)
    except Refused:
        return False
    return True


def check_range(value: int | None, field: str, lowest: int, highest: int) -> int | None:
    """A number within its bounds, both included, or None."""
    if value is not None and not lowest <= value <= highest:
        raise invalid(field, f"is out of range; use {lowest}-{highest}")
    return value


def check_use_case(value: str | None) -> str | None:
    """One of the 14 use-case codes in capitals, or None."""
    if value is None or value.upper() in USE_CASES:
        return value and value.upper()
    raise invalid("use_case", f"is none of {' '.join(sorted(USE_CASES))}")


def check_ip(value: str | None) -> str | None:
    """An IPv4 or IPv6 address in its one spelling, or None."""
    if value is None:
        return None
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        raise invalid("end_user_ip", "is no IPv4 or IPv6 address") from None


def check_payment(amount: str | None, payee: str | None, *, own_code: bool) -> tuple[str | None, str | None]:
    """Amount and payee, both or neither, and only with a code of ours, which is the one they are bound into."""
    if amount is None and payee is None:
        return None, None
    if amount is None or payee is None:
        missing = "amount" if amount is None else "payee"
        raise invalid(missing, "is missing; amount and payee go together", Reason.MISSING_FIELD)
    if own_code:
        raise invalid("amount", "can only be bound into a code of ours; leave out the own code, or amount and payee")
    if not DECIMAL.fullmatch(amount):
        raise invalid("amount", "is no decimal number; write it like 12.50")
    return amount, check_line(payee, "payee", 140)


def check_requested_at(requested_at: int, *, recorded_at: int) -> int:
    """When it was requested (epoch milliseconds): the request's own time, or its record's when that is 0."""
    if requested_at < 0:
        raise invalid("requested_at", "is before 1970; give epoch milliseconds, or 0 for the record's time")
    if requested_at > recorded_at + MAX_AHEAD_MS:
        raise invalid("requested_at", "is more than 5 min ahead of the record's time; set the producer's clock")
    return requested_at or recorded_at


def check_send_before_at(send_before_at: int | None, *, recorded_at: int, horizon_ms: int) -> int | None:
    """The queue deadline of the caller's own (epoch milliseconds), or None."""
    if send_before_at is None:
        return None
    if send_before_at <= 0:
        raise invalid("send_before_at", "is before 1970; give epoch milliseconds or leave it out")
    if send_before_at > recorded_at + horizon_ms:
        # An id is remembered for the horizon only; whoever waits longer could be sent to twice.
        raise invalid("send_before_at", f"is more than {horizon_ms // 3_600_000} h ahead; publish the request later")
    return send_before_at

"""One spelling per person: the canonical form of phone numbers and e-mail addresses.

The canonical form is the key of a request, the input of the recipient's hash and what providers are given: E.164 with
``+``; an e-mail address with its domain as lower-case IDNA A-label and its local part unchanged (RFC 5321 leaves the
local part's case to its owner). The same person must come out the same however typed, or limits and duplicates fail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import idna

from pipeline.errors import Refused
from pipeline.model import numbering
from pipeline.model.country import normalise_country
from pipeline.model.reasons import Reason

_MAX_TYPED: Final = 320
UNSUPPORTED_LINE_TYPES: Final = frozenset({"toll_free", "premium_rate", "shared_cost", "pager", "uan", "voicemail"})
"""Lines that no person receives codes on; premium ones earn money for whoever asked."""

# Marks that phones and contact lists put around copied numbers; they carry no digit.
_INVISIBLE: Final = dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF])
_PHONE: Final = re.compile(r"[+＋]?[\d ()\[\]./\-\u00a0\u2000-\u200a\u2010-\u2015\u202f\u2212\u3000]{2,60}")
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PLAIN_DOMAIN: Final = re.compile(r"(?!.*--)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_MAX_LOCAL: Final = 64
# Numbering regions of their own, but in ISO 3166-1 part of Saint Helena.
_OF_ISLANDS: Final = {"AC": "SH", "TA": "SH"}
_MAX_ADDRESS: Final = 254


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient in its one spelling."""

    kind: str
    """``phone`` or ``email``."""
    canonical: str
    country: str | None
    """ISO 3166-1 alpha-2: the number's own country, for e-mail the hint; None for numbers of no country (+883)."""
    line_type: str | None
    """``mobile``, ``fixed_line``, ``fixed_line_or_mobile``, ``voip`` or ``personal_number``; None for e-mail."""
    masked: str
    """For people and logs: ``+49*******678``, ``j***@example.org``."""

    def __repr__(self) -> str:
        return f"Recipient({self.masked!r})"  # the default one would put the full number into tracebacks


def read_numbers_with(library: numbering.Library) -> None:
    """Choose who reads numbers in this process; raises SettingsError as :func:`pipeline.model.numbering.use` does."""
    numbering.use(library)
    _canonical.cache_clear()


def canonical(recipient: str, country: str | None = None, *, field: str = "recipient") -> Recipient:
    """Read a recipient as typed; ``country`` reads a number without ``+`` as national.

    Raises Refused with ``invalid_recipient``, ``invalid_country`` or ``unsupported_line_type``; ``field`` is how the
    caller named it, and the detail never repeats the recipient.
    """
    try:
        return _canonical(recipient, country)
    except Refused as refused:
        named = field if refused.field == "recipient" else field.removesuffix("recipient") + "country"
        raise Refused(refused.reason, f"{named}: {refused.detail}", named) from None


@lru_cache(maxsize=8192)
def _canonical(recipient: str, country: str | None) -> Recipient:
    if len(recipient) > _MAX_TYPED:
        raise _invalid(f"is longer than {_MAX_TYPED} characters")
    text = recipient.strip().translate(_INVISIBLE).strip()
    if not text:
        raise _invalid("is empty; give a phone number with + and country code, or an e-mail address")
    region = None
    if country is not None:
        try:
            region = normalise_country(country)
        except Refused as refused:
            raise Refused(refused.reason, refused.detail.removeprefix("country: "), "country") from None
    return _email(text, region) if "@" in text else _phone(text, region)


def _phone(text: str, region: str | None) -> Recipient:
    if not _PHONE.fullmatch(text):
        raise _invalid("is no phone number; use digits with + and country code, without letters or extension")
    if text[0] not in "+＋":
        if region is None:
            raise _invalid("is a number without + and country code; write it with them or give country")
        if not numbering.has_plan(region):
            raise Refused(
                Reason.INVALID_COUNTRY, "has no numbering plan of its own; write the number with +", "country"
            )
    try:
        number = numbering.read(text, region)
    except numbering.Unreadable:
        raise _invalid("is no phone number that can exist; check the country code and length") from None
    line_type = number.line_type
    if line_type is None:
        raise _invalid("is not a number in use in its country; check it digit by digit")
    if line_type in UNSUPPORTED_LINE_TYPES:
        raise Refused(
            Reason.UNSUPPORTED_LINE_TYPE,
            f"is a {line_type.replace('_', '-')} number, which cannot be verified; use a personal number",
            "recipient",
        )
    found = number.region
    prefix = f"+{number.code}"
    return Recipient(
        kind="phone",
        canonical=prefix + number.national,
        country=_OF_ISLANDS.get(found, found) if found is not None and found.isalpha() else None,
        line_type=line_type,
        masked=_mask_phone(prefix, number.national),
    )


def _mask_phone(prefix: str, national: str) -> str:
    shown = 3 if len(national) >= 7 else 1
    return prefix + "*" * (len(national) - shown) + national[-shown:]


def _email(text: str, region: str | None) -> Recipient:
    local, _, domain = text.rpartition("@")
    if not _LOCAL.fullmatch(local) or len(local) > _MAX_LOCAL:
        raise _invalid(
            "is no e-mail address: before @ stand 1-64 ASCII letters, digits and signs such as . + _, unquoted"
        )
    domain = _domain(domain)
    if len(local) + 1 + len(domain) > _MAX_ADDRESS:
        raise _invalid(f"is longer than an e-mail address may be ({_MAX_ADDRESS} characters)")
    return Recipient(
        kind="email",
        canonical=f"{local}@{domain}",
        country=region,
        line_type=None,
        # With one character shown, an address of one character would not be masked at all.
        masked=f"{local[0] if len(local) > 1 else ''}***@{domain}",
    )


def _domain(typed: str) -> str:
    domain = typed.lower()
    if len(domain) <= 253 and _PLAIN_DOMAIN.fullmatch(domain):
        return domain
    try:
        domain = idna.encode(typed, uts46=True, std3_rules=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise _invalid("is no e-mail address: the domain after @ is not a valid name") from None
    labels = domain.split(".")
    if len(labels) < 2 or not labels[-1] or labels[-1].isdigit():
        raise _invalid("is no e-mail address: the domain after @ needs a top-level name, such as example.org")
    return domain


def _invalid(problem: str) -> Refused:
    return Refused(Reason.INVALID_RECIPIENT, problem, "recipient")

"""What Neutrino tells about a number. Names of places and networks are empty: the simulator knows none."""

from __future__ import annotations

from typing import Any, Final

import phonenumbers

from pipeline.simulator.providers.neutrino.fields import Number

_TYPES: Final = {
    phonenumbers.PhoneNumberType.MOBILE: "mobile",
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE: "mobile",
    phonenumbers.PhoneNumberType.FIXED_LINE: "fixed-line",
    phonenumbers.PhoneNumberType.PREMIUM_RATE: "premium-rate",
    phonenumbers.PhoneNumberType.TOLL_FREE: "toll-free",
    phonenumbers.PhoneNumberType.VOIP: "voip",
}


def _type(number: Number) -> str:
    if number.parsed is None or not number.valid:
        return "unknown"
    return _TYPES.get(phonenumbers.number_type(number.parsed), "unknown")


def _place(number: Number) -> dict[str, Any]:
    parsed, local, code = number.parsed, "", ""
    if parsed is not None:
        local = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        code = f"+{parsed.country_code}"
    return {
        "international-number": number.e164,
        "local-number": local,
        "country": "",
        "country-code": number.country,
        "country-code3": "",
        "international-calling-code": code,
        "location": "",
        "currency-code": "",
    }


def validated(number: Number) -> dict[str, Any]:
    """The answer of ``phone-validate``."""
    kind = _type(number)
    return {"valid": number.valid, "type": kind, "is-mobile": kind == "mobile", "prefix-network": ""} | _place(number)


def hlr(number: Number) -> dict[str, Any]:
    """The answer of ``hlr-lookup``: every valid mobile number is reachable."""
    kind = _type(number)
    reachable = kind == "mobile"
    status = "ok" if reachable else kind if kind in ("fixed-line", "voip") else "invalid"
    return {
        "number-valid": number.valid,
        "hlr-valid": reachable,
        "hlr-status": status,
        "number-type": kind,
        "is-mobile": reachable,
        "is-ported": False,
        "is-roaming": False,
        "current-network": "",
        "origin-network": "",
        "ported-network": "",
        "imsi": "",
        "mcc": "",
        "mnc": "",
        "msc": "",
        "msin": "",
        "network-tags": "",
    } | _place(number)

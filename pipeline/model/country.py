"""ISO 3166-1 alpha-2 countries and the language most people in each read.

One table serves both, so a country cannot be accepted and then have no language. Kosovo (``XK``) is user-assigned but
has a calling code, so it is in. Where a country has several official languages the one most widely read in text
messages stands here; a request's own language always goes first.
"""

from __future__ import annotations

from typing import Final

from pipeline.errors import Refused
from pipeline.model.reasons import Reason

_BY_LANGUAGE: Final[dict[str, str]] = {
    "ar": "AE BH DJ DZ EG EH IQ JO KM KW LB LY MA MR OM PS QA SA SD SY TD TN YE",
    "az": "AZ",
    "be": "BY",
    "bg": "BG",
    "bn": "BD",
    "bs": "BA",
    "ca": "AD",
    "cs": "CZ",
    "da": "DK GL",
    "de": "AT CH DE LI",
    "dv": "MV",
    "dz": "BT",
    "el": "CY GR",
    "en": (
        "AG AI AQ AU BB BM BS BW BZ CA CC CK CX DM ER FJ FK FM GB GD GG GH GI GM GS GU GY HM IE IM IN IO JE "
        "JM KE KI KN KY LC LR LS MH MP MS MT MU MW NA NF NG NR NU NZ PG PN PW SB SC SG SH SL SS SX SZ TC TK "
        "TO TT TV UG UM US VC VG VI VU WS ZA ZM ZW "
    ),
    "es": "AR BO CL CO CR CU DO EC ES GQ GT HN MX NI PA PE PR PY SV UY VE",
    "et": "EE",
    "fa": "AF IR",
    "fi": "FI",
    "fo": "FO",
    "fr": ("BE BF BI BJ BL CD CF CG CI CM FR GA GF GN GP HT LU MC MF MG ML MQ NC NE PF PM RE RW SN TF TG WF YT"),
    "he": "IL",
    "hr": "HR",
    "hu": "HU",
    "hy": "AM",
    "id": "ID",
    "is": "IS",
    "it": "IT SM VA",
    "ja": "JP",
    "ka": "GE",
    "kk": "KZ",
    "km": "KH",
    "ko": "KP KR",
    "lo": "LA",
    "lt": "LT",
    "lv": "LV",
    "mk": "MK",
    "mn": "MN",
    "ms": "BN MY",
    "my": "MM",
    "nb": "BV NO SJ",
    "ne": "NP",
    "nl": "AW BQ CW NL SR",
    "pl": "PL",
    "pt": "AO CV GW MZ PT ST TL",
    "pt-BR": "BR",
    "ro": "MD RO",
    "ru": "KG RU",
    "si": "LK",
    "sk": "SK",
    "sl": "SI",
    "sm": "AS",
    "so": "SO",
    "sq": "AL XK",
    "sr": "ME RS",
    "sv": "AX SE",
    "sw": "TZ",
    "tg": "TJ",
    "th": "TH",
    "tk": "TM",
    "am": "ET",
    "tr": "TR",
    "uk": "UA",
    "ur": "PK",
    "uz": "UZ",
    "vi": "VN",
    "fil": "PH",
    "zh-CN": "CN",
    "zh-HK": "HK MO",
    "zh-TW": "TW",
}

LANGUAGE: Final[dict[str, str]] = {
    country: language for language, countries in _BY_LANGUAGE.items() for country in countries.split()
}
"""Country → language (BCP-47) used when a request names none."""


def normalise_country(country: str, *, field: str = "country") -> str:
    """The code in capitals; raises Refused ``invalid_country`` for what is no ISO 3166-1 alpha-2 code."""
    code = country.strip().upper()
    if code in LANGUAGE:
        return code
    hint = "; the United Kingdom is GB" if code == "UK" else ""
    raise Refused(
        Reason.INVALID_COUNTRY, f"{field}: no ISO 3166-1 alpha-2 code; write two letters such as DE{hint}", field
    )

"""Languages as BCP-47 tags, also when written as locales (``pt_BR``)."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import takewhile
from typing import Final

from pipeline.errors import Refused
from pipeline.model.country import LANGUAGE
from pipeline.model.reasons import Reason
from pipeline.records.types import Channel

_TAG: Final = re.compile(
    r"(?P<primary>[a-z]{2,3})"
    r"(?:-(?P<script>[a-z]{4}))?"
    r"(?:-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?P<variants>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)"
)
_MAX_TAG: Final = 35

# ISO 639-1. Two letters outside it are mostly a country code by mistake (``uk`` is Ukrainian, ``dk`` is nothing).
_ISO_639_1: Final = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de "
    "dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id "
    "ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu "
    "lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu "
    "rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to "
    "tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu "
)
_TWO_LETTERS: Final = frozenset(_ISO_639_1.split())
_TRADITIONAL: Final = frozenset({"tw", "hk", "mo"})
_WITHDRAWN: Final = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro"}


def normalise_language(language: str, *, field: str = "language") -> str:
    """The tag in its usual case (``pt-BR``, ``zh-Hant-TW``); raises Refused ``invalid_language``."""
    tag = _normalised(language) if len(language) <= _MAX_TAG else None
    if tag is None:
        raise Refused(Reason.INVALID_LANGUAGE, f"{field}: no BCP-47 language; write one such as en, pt-BR", field)
    return tag


@lru_cache(maxsize=1024)
def _normalised(language: str) -> str | None:
    match = _TAG.fullmatch(language.strip().replace("_", "-").lower())
    if match is None:
        return None
    primary = _WITHDRAWN.get(match["primary"], match["primary"])
    if len(primary) == 2 and primary not in _TWO_LETTERS:
        return None
    script = f"-{match['script'].title()}" if match["script"] else ""
    region = f"-{match['region'].upper()}" if match["region"] else ""
    return primary + script + region + match["variants"]


def choose_language(*, requested: str | None, country: str | None, tenant: str | None, channel: Channel) -> str:
    """The wished language: the request's, else the recipient's country's, the tenant's, English.

    ``requested`` and ``tenant`` are normalised already. Spoken text needs an accent, so voice without any is ``en-US``.
    """
    chosen = requested or (LANGUAGE.get(country) if country else None) or tenant or "en"
    return "en-US" if channel is Channel.VOICE and chosen == "en" and requested is None else chosen


@lru_cache(maxsize=4096)
def closest(wished: str, offered: tuple[str, ...]) -> str | None:
    """The offered tag that a reader of ``wished`` gets on with best, None when none is of that language.

    The tag itself, else ever shorter beginnings of it, else another region of the language: ``pt-BR`` for ``pt-PT``
    before any English. Chinese is compared with its script, which the region tells: ``zh-HK`` reads ``zh-Hant``.
    """
    tag = _with_script(wished)
    best, found = (0, 0), None
    for each in offered:
        other = _with_script(each)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(tag, other, strict=False)))
        if shared and (shared, -len(other)) > best:  # of equally near ones the plainest, of those the first
            best, found = (shared, -len(other)), each
    return found


def _with_script(tag: str) -> tuple[str, ...]:
    parts = tag.replace("_", "-").lower().split("-")
    if parts[0] == "zh" and not (len(parts) > 1 and len(parts[1]) == 4):
        parts.insert(1, "hant" if _TRADITIONAL & set(parts) else "hans")
    return tuple(parts)

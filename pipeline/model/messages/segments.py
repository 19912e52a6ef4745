"""How many SMS a text is: GSM 7-bit where its signs allow it, else UCS-2 (3GPP TS 23.038, TS 23.040)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

_DEFAULT: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""TS 23.038, 6.2.1, without the escape. Unicode's own mapping gives 0x09 as ``ç`` too; the standard's sign is ``Ç``."""
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
"""TS 23.038, 6.2.1.1: each takes the escape and a second septet."""

Encoding = Literal["GSM-7", "UCS-2"]
_LIMITS: Final[dict[Encoding, tuple[int, int]]] = {"GSM-7": (160, 153), "UCS-2": (70, 67)}
"""Units of a message alone, and of each part of a longer one, where a header of six bytes joins them."""


@dataclass(frozen=True, slots=True)
class Segments:
    """What a text costs on its way."""

    encoding: Encoding
    units: int
    """Septets, or 16-bit units."""
    count: int
    """SMS it is sent and paid as."""
    forcing: str
    """The signs GSM-7 does not have, each once, in their order; empty for GSM-7."""


def segments(text: str) -> Segments:
    """The encoding and number of parts of a text.

    Networks that use national shift tables may do with less, and those that replace signs on the way with other ones.
    """
    forcing = "".join(dict.fromkeys(sign for sign in text if sign not in _DEFAULT and sign not in _EXTENSION))
    encoding: Encoding = "UCS-2" if forcing else "GSM-7"
    sizes = [(2 if ord(sign) > 0xFFFF else 1) if forcing else (2 if sign in _EXTENSION else 1) for sign in text]
    units = sum(sizes)
    alone, part = _LIMITS[encoding]
    return Segments(encoding, units, 1 if units <= alone else _parts(sizes, part), forcing)


def _parts(sizes: list[int], part: int) -> int:
    """How many parts hold signs of these sizes; neither an escape nor a surrogate pair is ever cut in two."""
    count, used = 1, 0
    for size in sizes:
        if used + size > part:
            count, used = count + 1, 0
        used += size
    return count

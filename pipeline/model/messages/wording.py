"""The catalogue's texts, from ``texts/<tag>.toml``: one file per language, each with every text.

They use the placeholders of templates, and ``{duration}`` for the minutes in words: ``5 minutes``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec

# fmt: off
TAGS: Final = (
    "en", "af", "ar", "de", "es", "fr", "id", "it", "nl", "pl", "pt", "pt-BR", "ru", "tr", "vi", "zh-Hans", "zh-Hant",
)
# fmt: on
"""Every language there are texts in: those of all providers whose lists are published; English is the last resort."""


class Sentences(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What tells the code, by what there is to tell beside it, and what follows."""

    code: str
    code_of_brand: str
    payment: str
    payment_of_brand: str
    closing: str
    """How long the code lives, and that it is not to be shared."""

    def opening(self, *, brand: bool, payment: bool) -> str:
        """The sentence with the code, or in mails before it."""
        if payment:
            return self.payment_of_brand if brand else self.payment
        return self.code_of_brand if brand else self.code


class Spoken(Sentences, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """For voice."""

    again: str
    """The code once more."""


class Mail(Sentences, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """For e-mail, where the code has a line of its own."""

    subject: str
    subject_of_brand: str
    greeting: str
    ignore: str
    """For whoever did not ask for the code."""


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All texts of one language."""

    minutes: dict[str, str]
    """Plural form → how that many minutes are written."""
    written: Sentences
    """For SMS, WhatsApp and Viber."""
    spoken: Spoken
    mail: Mail
    between: str = " "
    """What stands between two sentences."""


@cache
def wordings() -> Mapping[str, Wording]:
    """Every text by language, read once from the package's own files."""
    folder = resources.files("pipeline.model.messages") / "texts"
    return {
        tag: msgspec.convert(tomllib.loads((folder / f"{tag}.toml").read_text(encoding="utf-8")), Wording)
        for tag in TAGS
    }

"""Choosing the text of a message: the step's own, a template's, or the catalogue's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.model.messages.message import Message
from pipeline.model.text import render
from pipeline.records.types import Channel

LANGUAGES: Final[Mapping[str, str]] = {"en": "en"}
"""Lower-case BCP-47 tag → the tag of the text, for the capabilities of providers that always send ours."""


class Catalogue:
    """All texts of one deployment; pure and safe to share."""

    def message(
        self,
        *,
        channel: Channel,
        tenant: str,
        language: str | None,
        valid_s: int,
        text: str | None = None,
        template: str | None = None,
        subject: str | None = None,
        brand: str | None = None,
        amount: str | None = None,
        payee: str | None = None,
    ) -> Message:
        """The text for one person; ``text`` wins over ``template``, which wins over the catalogue."""
        values = {
            "brand": brand or "",
            "minutes": str(max(1, valid_s // 60)),
            "amount": amount or "",
            "payee": payee or "",
        }
        return Message(
            template=text or "Your verification code is {code}",
            values=values,
            language=language or "en",
            subject=None if subject is None else render(subject, values),
            wished=text is not None or template is not None,
        )

"""Choosing the text of a message: the step's own, a template's, or the catalogue's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.errors import Refused
from pipeline.model.language import closest
from pipeline.model.messages.autofill import with_autofill
from pipeline.model.messages.direction import filled, without_ordering
from pipeline.model.messages.message import Message
from pipeline.model.messages.plurals import plural
from pipeline.model.messages.templates import read_template
from pipeline.model.messages.wording import TAGS, Wording, wordings
from pipeline.model.reasons import Reason
from pipeline.model.rules import TemplateRules, TextDefaults
from pipeline.records.types import Channel

LANGUAGES: Final[Mapping[str, str]] = {
    **{tag.lower(): tag for tag in TAGS},
    "zh": "zh-Hans",
    **dict.fromkeys(("zh-tw", "zh-hk", "zh-mo"), "zh-Hant"),
}
"""Lower-case BCP-47 tag → the tag of the text, for the capabilities of providers that always send ours; they and
:meth:`Catalogue.message` choose alike."""


class Catalogue:
    """All texts of one deployment; pure and safe to share."""

    def __init__(
        self,
        *,
        tenants: Mapping[str, TextDefaults] | None = None,
        templates: Mapping[str, TemplateRules] | None = None,
    ) -> None:
        """Raises SettingsError for a template that cannot be rendered, naming the setting."""
        tenants = tenants or {}
        self._domains = {name: tenant.domain for name, tenant in tenants.items()}
        self._languages = {name: tenant.language for name, tenant in tenants.items()}
        self._templates = {name: read_template(name, rules) for name, rules in (templates or {}).items()}
        self._wordings = wordings()

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
        """The text for one person; ``text`` wins over ``template``, which wins over the catalogue.

        ``valid_s`` is what is left of the code's life; minutes are whole ones, rounded down, and at least one. Raises
        Refused ``unknown_template``, which planning has ruled out for settings that did not change since.
        """
        minutes = max(1, valid_s // 60)
        given = {"brand": brand, "minutes": str(minutes), "amount": amount, "payee": payee}
        values = {name: without_ordering(value or "") for name, value in given.items()}
        own_subject = None
        if text is not None:
            tag, body = language or "en", text
        elif template is not None:
            tag, body, own_subject = self._of_template(template, language, tenant)
        else:
            tag = _near(language, TAGS) or "en"
            body = _written(self._wordings[tag], channel, values).replace(
                "{duration}", plural(tag, minutes, self._wordings[tag].minutes)
            )
        domain = self._domains.get(tenant)
        unlined = None
        if channel is Channel.SMS and domain is not None and (lined := with_autofill(body, domain)) != body:
            unlined, body = body, lined
        if channel is Channel.EMAIL:
            subject = filled(subject or own_subject or self._subject(tag, values), values)
        return Message(
            template=body,
            values=values,
            language=tag,
            subject=subject if channel is Channel.EMAIL else None,
            wished=text is not None or template is not None,
            spoken=channel is Channel.VOICE,
            unlined=unlined,
        )

    def _of_template(self, name: str, language: str | None, tenant: str) -> tuple[str, str, str | None]:
        """Language and text of a template, in the first of the wished languages that it has, and its subject if any."""
        template = self._templates.get(name)
        if template is None:
            raise Refused(Reason.UNKNOWN_TEMPLATE, "template: is not in the catalogue [templates]", "template")
        offered = tuple(template.texts)
        wishes = (language, self._languages.get(tenant), "en")
        tag = next((near for wish in wishes if (near := _near(wish, offered))), offered[0])
        of_subject = _near(tag, tuple(template.subjects))
        return tag, template.texts[tag], template.subjects[of_subject] if of_subject else None

    def _subject(self, language: str, values: Mapping[str, str]) -> str:
        mail = self._wordings[_near(language, TAGS) or "en"].mail
        return mail.subject_of_brand if values["brand"] else mail.subject


def _near(language: str | None, offered: tuple[str, ...]) -> str | None:
    return closest(language, offered) if language else None


def _written(wording: Wording, channel: Channel, values: Mapping[str, str]) -> str:
    """The catalogue's template for a channel, by what there is to tell; still with ``{duration}``."""
    told = {"brand": bool(values["brand"]), "payment": bool(values["amount"] and values["payee"])}
    if channel is Channel.EMAIL:
        mail = wording.mail
        return "\n\n".join((mail.greeting, mail.opening(**told), "{code}", mail.closing, mail.ignore))
    if channel is Channel.VOICE:
        spoken = wording.spoken
        return wording.between.join((spoken.opening(**told), spoken.again, spoken.closing))
    return wording.between.join((wording.written.opening(**told), wording.written.closing))

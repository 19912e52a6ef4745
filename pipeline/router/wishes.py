"""What a request wishes of a message, held against what a provider can do on a channel (pure).

A *hard* wish skips every provider that cannot honour it; a *soft* one is named in ``adjusted``. The code has rules of
its own (:mod:`pipeline.router.codes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeline.model.capabilities import ChannelCapabilities, provider_language
from pipeline.model.language import closest
from pipeline.model.messages.wording import TAGS
from pipeline.model.options import takes_options
from pipeline.records.internal import Plan, PlannedStep
from pipeline.records.types import Channel

CHINA: Final = "CN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What can be said of a text of the catalogue ``[templates]`` whichever of its languages is sent."""

    languages: tuple[str, ...]
    """BCP-47 tags."""
    brand: bool
    payment: bool

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Template:
        """``texts`` by language."""
        return cls(
            languages=tuple(texts),
            brand=all(_shows_brand(text) for text in texts.values()),
            payment=all(_shows_payment(text) for text in texts.values()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Judges by the texts of one deployment."""

    templates: Mapping[str, Template] = field(default_factory=dict)

    def obstacle(self, able: ChannelCapabilities, plan: Plan, step: PlannedStep, validity_s: int) -> str | None:
        """The first hard wish that cannot be honoured, by the name of its field; ``validity_s`` is what is left."""
        if able.countries is not None and step.country is not None and step.country not in able.countries:
            return "country"
        for wish, given, can in (
            ("sender", step.sender, step.sender is not None and able.takes_sender(step.sender)),
            ("template", step.template, able.text),
            ("text", step.text, able.text),
            ("subject", step.subject, able.subject),
            ("flow_id", step.flow_id, able.flow_id),
        ):
            if given is not None and not can:
                return wish
        if able.needs_flow_id and step.flow_id is None:
            return "flow_id"
        if not takes_options(able.options, step.options):
            return "options"
        if not _signs(able, plan, step):
            return "signature"
        if plan.amount is not None and not self._shows_payment(able, step):
            return "amount"
        if step.ttl_s is not None:
            # The validity a provider is given is never longer than the code lives, so only that much must fit.
            validity_s = min(step.ttl_s, validity_s)
            if able.ttl is None or not able.ttl[0] <= validity_s <= able.ttl[1]:
                return "ttl_s"
        return "minimum validity" if validity_s < able.min_validity_s else None

    def missed(self, able: ChannelCapabilities, plan: Plan, step: PlannedStep) -> list[str]:
        """The soft wishes that this message will not honour, ``prefer_channel`` apart."""
        return [
            wish
            for wish, missed in (
                ("language", step.language is not None and not self._speaks(able, plan, step, step.language)),
                ("use_case", plan.use_case is not None and not able.use_case),
                ("end_user_ip", plan.end_user_ip_sealed is not None and not able.end_user_ip),
                ("brand", plan.brand is not None and not self._shows_brand(able, step)),
                ("signature", wishes_signature(plan) and step.channel is not Channel.SMS),
            )
            if missed
        ]

    def language(self, able: ChannelCapabilities, plan: Plan, step: PlannedStep, asked: str) -> str | None:
        """The tag of the language a message goes out in when ``asked`` is wanted; None leaves it to the provider."""
        if _takes_our_wording(able, plan, step):
            ours = closest(asked, TAGS)
            if ours is None or step.channel is not Channel.VOICE:
                return ours or TAGS[0]
        return provider_language(able, asked)[0]

    def _speaks(self, able: ChannelCapabilities, plan: Plan, step: PlannedStep, language: str) -> bool:
        template, ours = self._template(step), _takes_our_wording(able, plan, step)
        offered = TAGS if ours else None if template is None else template.languages
        if offered is not None and closest(language, offered) is None:
            return False
        if step.channel is not Channel.VOICE and (ours or template is not None or step.text is not None):
            return True  # written already; only who speaks it must know the language
        return provider_language(able, language)[1]

    # Where the step has a text, it alone is what the person sees, whatever else the provider could show.

    def _shows_brand(self, able: ChannelCapabilities, step: PlannedStep) -> bool:
        if step.text is not None:
            return _shows_brand(step.text)
        template = self._template(step)
        return able.brand if template is None else template.brand

    def _shows_payment(self, able: ChannelCapabilities, step: PlannedStep) -> bool:
        if step.text is not None:
            return _shows_payment(step.text)
        template = self._template(step)
        return able.amount if template is None else template.payment

    def _template(self, step: PlannedStep) -> Template | None:
        return self.templates.get(step.template) if step.template is not None else None


def _takes_our_wording(able: ChannelCapabilities, plan: Plan, step: PlannedStep) -> bool:
    """Whether the catalogue's text goes along: that is how who takes texts shows a brand or a payment."""
    shown = (plan.brand is not None and able.brand) or (plan.amount is not None and able.amount)
    return able.text and (able.always_text or shown) and step.text is None and step.template is None


def wishes_signature(plan: Plan) -> bool:
    """Whether the signature is the request's own wish, not only the tenant's default."""
    return plan.signature is not None and not plan.signature_by_tenant


def _signs(able: ChannelCapabilities, plan: Plan, step: PlannedStep) -> bool:
    """Whether the message has the signature it needs, and goes where the one it was given means anything.

    Only SMS to mainland China carry one. A tenant's is a default for those. A request's own is a wish that each SMS of
    its plan must honour. Other channels beside an SMS to mainland China say in ``adjusted`` that they carry none.
    """
    if step.channel is Channel.SMS and step.country == CHINA:
        return able.signature if plan.signature is not None else CHINA not in able.needs_signature
    if not wishes_signature(plan):
        return step.country not in able.needs_signature
    in_china = any(other.channel is Channel.SMS and other.country == CHINA for other in plan.steps)
    return step.channel is not Channel.SMS and in_china


def _shows_brand(text: str) -> bool:
    return "{brand}" in text


def _shows_payment(text: str) -> bool:
    return "{amount}" in text and "{payee}" in text

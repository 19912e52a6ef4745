"""Choosing the provider of one step (pure): rules, wishes, code fit, repeats.

A *hard* wish skips every provider that cannot honour it; a *soft* one is named in ``adjusted``. The order of providers
is that of the first rule that matches, else that of the configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities, provider_language
from pipeline.model.language import choose_language
from pipeline.model.options import takes_options
from pipeline.model.reasons import Reason
from pipeline.model.steps import SIMULATOR
from pipeline.records.internal import Plan, PlannedStep
from pipeline.records.types import Channel, CodeHolder
from pipeline.settings import RouteRule, SenderRule

CHINA: Final = "CN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way one message goes."""

    provider: str
    sender: str | None
    language: str | None
    """The provider's own tag."""
    asked_language: str
    """The BCP-47 tag it stands for, or was taken instead of."""
    code_holder: CodeHolder
    adjusted: tuple[str, ...]
    able: ChannelCapabilities
    """What the provider can do on this channel."""
    why: str


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No provider can take the message, and what stood in the way at each."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """All that a route must fit."""

    plan: Plan
    step: PlannedStep
    number: str
    """The canonical recipient, for rules by prefix."""
    own_code: str | None
    """The caller's own code; None when the code is ours."""
    validity_s: int
    """How long the message will be good for."""
    used_providers: Collection[str] = ()
    """Providers already tried in this step."""
    recent: Sequence[tuple[str, str | None]] = ()
    """``(provider, sender)`` used for this recipient and channel within the repeat window, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChooser:
    """Chooses by the settings of one deployment."""

    providers: Mapping[str, ProviderCapabilities]
    """Enabled instances, in the order of the configuration."""
    rules: Sequence[RouteRule] = ()
    senders: Sequence[SenderRule] = ()
    allow_provider_codes: bool = True
    min_code_lengths: Mapping[str, int] = field(default_factory=dict)
    """The tenants' shortest codes."""
    languages: Mapping[str, str] = field(default_factory=dict)
    """The tenants' languages (BCP-47)."""

    @property
    def needs_number(self) -> bool:
        """Whether a rule looks at the number itself."""
        return any(rule.prefix is not None for rule in self.rules)

    def choose(self, wanted: Wanted) -> Route | NoRoute:
        """The best route, or why there is none."""
        step = wanted.step
        order, source = self._order(wanted)
        names = [name for name in order if name not in wanted.used_providers]
        moved = ""
        if step.provider is None and wanted.recent and len(names) > 1:
            names, moved = self._elsewhere_first(names, wanted)
        skipped: list[tuple[str, str]] = []
        for name in names:
            capabilities = self.providers[name].channels.get(step.channel)
            obstacle = _channel_obstacle(step) if capabilities is None else self._obstacle(capabilities, wanted)
            if capabilities is None or obstacle is not None:
                skipped.append((name, obstacle or ""))
                continue
            past = f"; skipped {', '.join(f'{other} ({wish})' for other, wish in skipped)}" if skipped else ""
            return self._route(name, capabilities, wanted, f"{source}{moved}{past}")
        return self._none(wanted, skipped)

    def _order(self, wanted: Wanted) -> tuple[list[str], str]:
        if wanted.step.provider is not None:
            pinned = [wanted.step.provider] if wanted.step.provider in self.providers else []
            if wanted.plan.test:
                pinned = [name for name in pinned if name == SIMULATOR]
            return pinned, "pinned by the request"
        if wanted.plan.test:
            return [name for name in (SIMULATOR,) if name in self.providers], "test number"
        for number, rule in enumerate(self.rules, 1):
            if _matches(rule, wanted):
                order = list(dict.fromkeys(name for name in rule.providers if name in self.providers))
                return order, f"rule {number}, {rule.strategy}"
        # The simulator texts nobody: it serves others than test numbers only where a rule or pin says so, or where it
        # is all there is.
        real = [name for name in self.providers if name != SIMULATOR]
        return real or list(self.providers), "order of configuration"

    def _elsewhere_first(self, names: list[str], wanted: Wanted) -> tuple[list[str], str]:
        """A person who asks again has mostly not received it, so the routes used last come last."""
        recent = list(wanted.recent)
        used: dict[str, int] = {}
        for name in names:
            route = (name, self._sender(name, wanted.step))
            if route in recent:
                used[name] = recent.index(route)
        if not used:
            return names, ""
        order = sorted(names, key=lambda name: used.get(name, -1))
        return order, f"; repeated request, {names[0]} moved back" if order != names else "; repeated request"

    def _sender(self, provider: str, step: PlannedStep) -> str | None:
        if step.sender is not None:
            return step.sender
        able = self.providers[provider].channels.get(step.channel)
        if able is None or not able.sender:
            return None
        for rule in self.senders:
            if (
                rule.provider in (None, provider)
                and rule.channel in (None, step.channel.value)
                and rule.country in (None, step.country)
            ):
                return rule.sender
        return None

    def _obstacle(self, able: ChannelCapabilities, wanted: Wanted) -> str | None:
        """The first hard wish this provider cannot honour on this channel, by the name of its field."""
        plan, step = wanted.plan, wanted.step
        if able.countries is not None and step.country is not None and step.country not in able.countries:
            return "country"
        for wish, given, can in (
            ("sender", step.sender, able.sender),
            ("template", step.template, able.text),
            ("text", step.text, able.text),
            ("subject", step.subject, able.subject),
            ("flow_id", step.flow_id, able.flow_id),
        ):
            if given is not None and not can:
                return wish
        if not takes_options(able.options, step.options):
            return "options"
        if not _signs(able, plan, step):
            return "signature"
        if plan.amount is not None and not able.amount and not _shows_payment(step):
            return "amount"
        validity_s = wanted.validity_s
        if step.ttl_s is not None:
            # The validity a provider is given is never longer than the code lives, so only that much must fit.
            validity_s = min(step.ttl_s, validity_s)
            if able.ttl is None or not able.ttl[0] <= validity_s <= able.ttl[1]:
                return "ttl_s"
        if validity_s < able.min_validity_s:
            return "minimum validity"
        return "code" if self._holder(able, wanted) is None else None

    def _holder(self, able: ChannelCapabilities, wanted: Wanted) -> CodeHolder | None:
        """Who would make the code on this route; None when it cannot carry any that is allowed."""
        plan = wanted.plan
        fits = able.code_min <= plan.code_length <= able.code_max
        if wanted.own_code is not None:
            code = wanted.own_code
            carried = (code.isdigit() or not able.code_digits_only) and (code[0] != "0" or able.code_leading_zero)
            return CodeHolder.CALLER if able.own_code and fits and carried else None
        if able.own_code and fits:
            return CodeHolder.OURS
        # What a provider makes is bound to no payment, and its length must be the one asked for.
        if able.provider_code is None or not self.allow_provider_codes or plan.amount is not None:
            return None
        shortest, longest = able.provider_code
        long_enough = plan.code_length >= self.min_code_lengths.get(plan.tenant, 0)
        return CodeHolder.PROVIDER if shortest <= plan.code_length <= longest and long_enough else None

    def _route(self, name: str, able: ChannelCapabilities, wanted: Wanted, why: str) -> Route:
        plan, step = wanted.plan, wanted.step
        fallback = self.languages.get(plan.tenant)
        asked = choose_language(requested=step.language, country=step.country, tenant=fallback, channel=step.channel)
        language, honoured = provider_language(able, asked)
        holder = self._holder(able, wanted)
        assert holder is not None
        adjusted = [
            wish
            for wish, missed in (
                ("language", step.language is not None and not honoured),
                ("use_case", plan.use_case is not None and not able.use_case),
                ("end_user_ip", plan.end_user_ip_sealed is not None and not able.end_user_ip),
                ("brand", plan.brand is not None and not able.brand and "{brand}" not in (step.text or "")),
                ("prefer_channel", plan.prefer_channel not in (None, step.channel)),
                ("signature", _wishes_signature(plan) and step.channel is not Channel.SMS),
            )
            if missed
        ]
        return Route(
            provider=name,
            sender=self._sender(name, step),
            language=language,
            asked_language=asked,
            code_holder=holder,
            adjusted=tuple(adjusted),
            able=able,
            why=why,
        )

    def _none(self, wanted: Wanted, skipped: list[tuple[str, str]]) -> NoRoute:
        step = wanted.step
        field_name = f"steps[{step.index}]"
        if step.provider is not None and skipped:
            wish = skipped[0][1]
            detail = f"{field_name}.provider: {step.provider} cannot honour {wish}; drop the wish or the pin"
            # Where the message goes is no wish: there the pin itself is what is wrong.
            unsupported = wish in ("country", _channel_obstacle(step))
            return NoRoute(Reason.UNSUPPORTED_BY_PROVIDER if unsupported else Reason.NO_ROUTE, detail)
        if step.provider is not None and not wanted.plan.test and step.provider not in self.providers:
            detail = f"{field_name}.provider: is not configured or not enabled"
            return NoRoute(Reason.UNKNOWN_PROVIDER, detail)
        if skipped and all(wish == "country" for _, wish in skipped):
            detail = f"{field_name}: no enabled provider serves {step.country} on {step.channel}"
            return NoRoute(Reason.UNSUPPORTED_COUNTRY, detail)
        if skipped:
            wishes = ", ".join(f"{wish} ({name})" for name, wish in skipped)
            return NoRoute(
                Reason.NO_ROUTE, f"{field_name}: no provider can honour the request; wishes not met: {wishes}"
            )
        if wanted.used_providers:
            return NoRoute(Reason.NO_ROUTE, f"{field_name}: every provider of {step.channel} was tried")
        where = "test numbers go to the provider named simulator only" if wanted.plan.test else "see [routes]"
        return NoRoute(Reason.NO_ROUTE, f"{field_name}: no enabled provider is allowed for {step.channel}; {where}")


def _matches(rule: RouteRule, wanted: Wanted) -> bool:
    plan, step = wanted.plan, wanted.step
    return (
        rule.tenant in (None, plan.tenant)
        and rule.use_case in (None, plan.use_case)
        and rule.country in (None, step.country)
        and rule.channel in (None, step.channel.value)
        and (rule.prefix is None or wanted.number.startswith(rule.prefix))
    )


def _channel_obstacle(step: PlannedStep) -> str:
    return f"channel {step.channel}"


def _wishes_signature(plan: Plan) -> bool:
    return plan.signature is not None and not plan.signature_by_tenant


def _signs(able: ChannelCapabilities, plan: Plan, step: PlannedStep) -> bool:
    """Whether the message has the signature it needs, and goes where the one it was given means anything.

    Only SMS to mainland China carry one. A tenant's is a default for those. A request's own is a wish that each SMS of
    its plan must honour. Other channels beside an SMS to mainland China say in ``adjusted`` that they carry none.
    """
    if step.channel is Channel.SMS and step.country == CHINA:
        return able.signature if plan.signature is not None else CHINA not in able.needs_signature
    if not _wishes_signature(plan):
        return step.country not in able.needs_signature
    in_china = any(other.channel is Channel.SMS and other.country == CHINA for other in plan.steps)
    return step.channel is not Channel.SMS and in_china


def _shows_payment(step: PlannedStep) -> bool:
    return step.text is not None and "{amount}" in step.text and "{payee}" in step.text

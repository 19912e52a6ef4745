"""Choosing the provider of one step (pure): rules, wishes, code fit, repeats, and how far the provider walks.

A *hard* wish skips every provider that cannot honour it; a *soft* one is named in ``adjusted``. The order of providers
is that of the first rule that matches, else that of the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities, Walk, provider_language
from pipeline.model.language import choose_language
from pipeline.model.reasons import Reason
from pipeline.model.steps import SIMULATOR, step_name
from pipeline.records.internal import Plan, PlannedStep, TakenMessage, WalkStep
from pipeline.records.types import CodeHolder
from pipeline.router.codes import Code, CodeRules, spells
from pipeline.router.route import NoRoute, Route, Wanted
from pipeline.router.walks import followers
from pipeline.router.wishes import Wishes
from pipeline.settings import RouteRule, SenderRule


class _Carried(NamedTuple):
    """What a provider would make of a message."""

    code: Code
    further: Sequence[PlannedStep] = ()
    """The steps it walks on to."""
    told: Sequence[PlannedStep] = ()
    """The steps it goes on to when asked."""
    taken: TakenMessage | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChooser:
    """Chooses by the settings of one deployment."""

    providers: Mapping[str, ProviderCapabilities]
    """Enabled instances, in the order of the configuration."""
    rules: Sequence[RouteRule] = ()
    senders: Sequence[SenderRule] = ()
    codes: CodeRules = field(default_factory=CodeRules)
    wishes: Wishes = field(default_factory=Wishes)
    languages: Mapping[str, str] = field(default_factory=dict)
    """The tenants' languages (BCP-47)."""
    min_time_left_s: int = 0
    """Nothing is sent with less time left than this."""

    @property
    def needs_number(self) -> bool:
        """Whether a rule looks at the number itself."""
        return any(rule.prefix is not None for rule in self.rules)

    def choose(self, wanted: Wanted) -> Route | NoRoute:
        """The best route, or why there is none."""
        step = wanted.step
        order, source = self._order(wanted.plan, step, wanted.number)
        names = [name for name in order if name not in wanted.used_providers]
        moved = ""
        if step.provider is None and wanted.recent and len(names) > 1:
            names, moved = self._elsewhere_first(names, wanted)
        skipped: list[tuple[str, str]] = []
        for name in names:
            able = self.providers[name].channels.get(step.channel)
            carried = _channel_obstacle(step) if able is None else self._carried(name, able, wanted)
            if able is None or isinstance(carried, str):
                skipped.append((name, str(carried)))
                continue
            past = f"; skipped {', '.join(f'{other} ({wish})' for other, wish in skipped)}" if skipped else ""
            return self._route(name, able, wanted, carried, f"{source}{moved}{past}")
        return self._none(wanted, skipped)

    def _order(self, plan: Plan, step: PlannedStep, number: str) -> tuple[list[str], str]:
        """The providers this step may go to, best first, and who says so."""
        if step.provider is not None:
            pinned = [step.provider] if step.provider in self.providers else []
            if plan.test:
                pinned = [name for name in pinned if name == SIMULATOR]
            return pinned, "pinned by the request"
        if plan.test:
            return [name for name in (SIMULATOR,) if name in self.providers], "test number"
        for place, rule in enumerate(self.rules, 1):
            if _matches(rule, plan, step, number):
                order = list(dict.fromkeys(name for name in rule.providers if name in self.providers))
                return order, f"rule {place}, {rule.strategy}"
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
        if able is None:
            return None
        for rule in self.senders:
            if (
                rule.provider in (None, provider)
                and rule.channel in (None, step.channel.value)
                and rule.country in (None, step.country)
                # A name meant for text messages says nothing of what a call shows.
                and able.takes_sender(rule.sender)
            ):
                return rule.sender
        return None

    def _carried(self, name: str, able: ChannelCapabilities, wanted: Wanted) -> _Carried | str:
        """Whether and how this provider takes the message; else the first hard wish it cannot honour."""
        plan, step, own_code = wanted.plan, wanted.step, wanted.own_code
        obstacle = self.wishes.obstacle(able, plan, step, wanted.validity_s)
        if obstacle is not None:
            return obstacle
        spelled = own_code is None or spells(able, own_code)
        why = ""
        if able.walk is not None and spelled and step.index + 1 < len(plan.steps) and self._says(able.walk, name, step):
            further = followers(
                able.walk.channels,
                plan,
                step,
                any_plan=able.walk.any_plan,
                validity_s=wanted.validity_s,
                last_step=wanted.last_step,
                min_time_left_s=self.min_time_left_s,
                fits=lambda each, left_s: self._takes(name, each, left_s, wanted),
            )
            if further:
                code = self.codes.choose(able.walk, plan, callers=own_code is not None)
                if isinstance(code, Code):
                    return _Carried(code, further, why=f"; walks on to {', '.join(each.channel for each in further)}")
                why = f"; does not walk on ({code})"
        if able.walk is not None and not able.walk.only_options.isdisjoint(step.options):
            return "options"
        code = self.codes.choose(able, plan, callers=own_code is not None, spelled=spelled)
        if not isinstance(code, Code):
            return code
        for taken in wanted.taken:
            if taken.provider == name and _may_go_on(able, taken, code):
                return _Carried(code, taken=taken, why=f"; {'sent again' if taken.again else 'gone on to'} when asked")
        return _Carried(code, told=self._told(name, able, code, wanted), why=why)

    def _told(self, name: str, able: ChannelCapabilities, code: Code, wanted: Wanted) -> Sequence[PlannedStep]:
        """The steps this provider is told of beforehand: those that the same message, as it is, is right for."""
        plan, step = wanted.plan, wanted.step
        if not able.goes_on:
            return ()

        def fits(each: PlannedStep, left_s: int) -> bool:
            further = self.providers[name].channels.get(each.channel)
            return (
                further is not None
                and each.language == step.language
                and _speak_alike(able, further, self._language(plan, step))
                and self.codes.choose(further, plan, callers=wanted.own_code is not None) == code
                and self._takes(name, each, left_s, wanted)
            )

        return followers(
            able.goes_on,
            plan,
            step,
            any_plan=True,
            validity_s=wanted.validity_s,
            last_step=wanted.last_step,
            min_time_left_s=self.min_time_left_s,
            fits=fits,
        )

    def _says(self, walk: Walk, name: str, step: PlannedStep) -> bool:
        """Whether a call that walks on can say what this step wishes."""
        carried = walk.options is None or walk.options.issuperset(step.options)
        return carried and (walk.sender or self._sender(name, step) is None)

    def _takes(self, name: str, step: PlannedStep, left_s: int, wanted: Wanted) -> bool:
        """Whether this provider may and can serve a further step, its code apart from its length."""
        able = self.providers[name].channels.get(step.channel)
        return (
            able is not None
            and name in self._order(wanted.plan, step, wanted.number)[0]
            and self.wishes.obstacle(able, wanted.plan, step, left_s) is None
            and (wanted.own_code is None or spells(able, wanted.own_code))
        )

    def _route(self, name: str, able: ChannelCapabilities, wanted: Wanted, carried: _Carried, why: str) -> Route:
        plan, step = wanted.plan, wanted.step
        asked = self._language(plan, step)
        adjusted = self.wishes.missed(able, plan, step)
        left_to_it = bool(carried.further) and able.walk is not None and not able.walk.keeps_first
        if plan.prefer_channel is not None and (plan.prefer_channel != step.channel or left_to_it):
            adjusted.append("prefer_channel")
        walk: list[WalkStep] = []
        before = step
        for each in carried.further:
            further = self.providers[name].channels[each.channel]
            adjusted += self.wishes.missed(further, plan, each)
            able = replace(able, receipts=able.receipts and further.receipts)
            walk.append(
                WalkStep(
                    index=each.index,
                    channel=each.channel,
                    recipient_sealed=each.recipient_sealed,
                    wait_s=before.wait_s,
                    ttl_s=each.ttl_s,
                    language=self._language(plan, each),
                    sender=self._sender(name, each),
                    flow_id=each.flow_id,
                )
            )
            before = each
        return Route(
            provider=name,
            sender=self._sender(name, step),
            language=self.wishes.language(able, plan, step, asked),
            asked_language=asked,
            code_holder=carried.code.holder,
            code_length=carried.code.length,
            adjusted=tuple(dict.fromkeys(adjusted)),
            able=able,
            walk=tuple(walk),
            told=tuple(each.channel for each in carried.told),
            taken=carried.taken,
            why=f"{why}{carried.why}",
        )

    def _language(self, plan: Plan, step: PlannedStep) -> str:
        """The BCP-47 tag a message of this step is asked for in."""
        fallback = self.languages.get(plan.tenant)
        return choose_language(requested=step.language, country=step.country, tenant=fallback, channel=step.channel)

    def _none(self, wanted: Wanted, skipped: list[tuple[str, str]]) -> NoRoute:
        step = wanted.step
        field_name = step_name(step.index)
        if step.provider is not None and skipped:
            wish = skipped[0][1]
            unasked = wish == "code_length" and not wanted.plan.code_length_asked
            way_out = "name another code_length or drop the pin" if unasked else "drop the wish or the pin"
            told = f"cannot honour {wish}; {way_out}"
            if _is_needed(wanted, wish):
                told = f"needs {wish} here; give it or drop the pin"
            # Where the message goes is no wish: there the pin itself is what is wrong.
            unsupported = wish in ("country", _channel_obstacle(step))
            reason = Reason.UNSUPPORTED_BY_PROVIDER if unsupported else Reason.NO_ROUTE
            return NoRoute(reason, f"{field_name}.provider: {step.provider} {told}")
        if step.provider is not None and not wanted.plan.test and step.provider not in self.providers:
            detail = f"{field_name}.provider: is not configured or not enabled; name another or none"
            return NoRoute(Reason.UNKNOWN_PROVIDER, detail)
        if skipped and all(wish == "country" for _, wish in skipped):
            detail = f"{field_name}: no enabled provider serves {step.country} on {step.channel}"
            return NoRoute(Reason.UNSUPPORTED_COUNTRY, detail)
        if skipped:
            wishes = (f"{'needs ' if _is_needed(wanted, wish) else ''}{wish} ({name})" for name, wish in skipped)
            problem = "no provider can honour the request; wishes not met"
            return NoRoute(Reason.NO_ROUTE, f"{field_name}: {problem}: {', '.join(wishes)}")
        if wanted.used_providers:
            return NoRoute(Reason.NO_ROUTE, f"{field_name}: every provider of {step.channel} was tried")
        where = "test numbers go to the provider named simulator only" if wanted.plan.test else "see [routes]"
        return NoRoute(Reason.NO_ROUTE, f"{field_name}: no enabled provider is allowed for {step.channel}; {where}")


def _may_go_on(able: ChannelCapabilities, taken: TakenMessage, code: Code) -> bool:
    """Whether this step can be another sending of the message, with the code that the message has."""
    can = able.resends if taken.again else bool(able.goes_on)
    return can and code == (CodeHolder.PROVIDER, taken.code_length)


def _speak_alike(one: ChannelCapabilities, other: ChannelCapabilities, language: str) -> bool:
    """Whether both honour the language, or fall back on the same one: a message is made in one for all its channels."""
    (tag, honoured), (other_tag, other_honours) = provider_language(one, language), provider_language(other, language)
    return honoured == other_honours and (honoured or tag == other_tag)


def _matches(rule: RouteRule, plan: Plan, step: PlannedStep, number: str) -> bool:
    return (
        rule.tenant in (None, plan.tenant)
        and rule.use_case in (None, plan.use_case)
        and rule.country in (None, step.country)
        and rule.channel in (None, step.channel.value)
        and (rule.prefix is None or number.startswith(rule.prefix))
    )


def _is_needed(wanted: Wanted, wish: str) -> bool:
    """Whether the provider asks for what the request does not have, so that no wish of it could be dropped."""
    given = {"signature": wanted.plan.signature, "flow_id": wanted.step.flow_id}
    return wish in given and given[wish] is None


def _channel_obstacle(step: PlannedStep) -> str:
    return f"channel {step.channel}"

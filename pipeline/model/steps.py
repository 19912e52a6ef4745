"""The rules of steps: what one may hold, what defaults give it, which there are when a request names none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from pipeline.errors import Refused
from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.country import normalise_country
from pipeline.model.fields import check_line, check_range, invalid
from pipeline.model.language import normalise_language
from pipeline.model.reasons import Reason
from pipeline.model.recipient import Recipient
from pipeline.model.text import MAX_SUBJECT, MAX_TEXT, check_text, missing_values
from pipeline.records.public import Step, VerificationRequest
from pipeline.records.types import Channel

MAX_STEPS: Final = 20
MAX_OPTIONS: Final = 20
SIMULATOR: Final = "simulator"
"""The provider instance that alone may get test numbers."""

_MERGED: Final = ("country", "sender", "provider", "ttl_s", "language", "flow_id", "subject")


def step_name(index: int) -> str:
    """How a detail names a step."""
    return f"steps[{index}]"


def channel_defaults(request: VerificationRequest) -> dict[Channel, Step]:
    """The defaults by channel; raises Refused ``invalid_steps`` or ``invalid_channel``."""
    found: dict[Channel, Step] = {}
    for index, default in enumerate(request.channel_defaults):
        name = f"channel_defaults[{index}]"
        if default.channel is Channel.UNKNOWN:
            raise invalid(f"{name}.channel", "is none of sms voice whatsapp viber email", Reason.INVALID_CHANNEL)
        if default.channel in found:
            raise invalid(name, f"is the second one for {default.channel}; give one per channel", Reason.INVALID_STEPS)
        if default.recipient is not None or default.wait_s is not None:
            given = "wait_s" if default.recipient is None else "recipient"
            raise invalid(f"{name}.{given}", "belongs to a step, not to defaults; move it", Reason.INVALID_STEPS)
        check_default_country(default, index)
        found[default.channel] = default
    return found


def check_default_country(default: Step, index: int) -> None:
    """Raises Refused ``invalid_country``."""
    if default.country is not None:
        normalise_country(default.country, field=f"channel_defaults[{index}].country")


def country_of(step: Step, request: VerificationRequest) -> str | None:
    """The country a step's own recipient is read with: the step's, its channel's default, the request's."""
    defaults = (default.country for default in request.channel_defaults if default.channel is step.channel)
    named = (step.country, *defaults, request.country)
    return next((country for country in named if country is not None), None)


def merge(step: Step, default: Step | None) -> Step:
    """A step with what it leaves open taken from its channel's defaults."""
    if default is None:
        return step
    changes = {name: getattr(default, name) for name in _MERGED if getattr(step, name) is None}
    if step.text is None and step.template is None:
        # Text and template say the same thing in two ways, so a step that gives one of them takes neither.
        changes |= {"text": default.text, "template": default.template}
    return msgspec.structs.replace(step, **changes, options={**default.options, **step.options})


def check_step(
    step: Step,
    name: str,
    *,
    brand: bool,
    payment: bool,
    providers: Mapping[str, ProviderCapabilities],
    templates: Mapping[str, Collection[str]],
) -> None:
    """Hold a merged step to its rules, apart from its recipient and its place among the others.

    ``templates``: the placeholders that each template's texts use.
    """
    if step.channel is Channel.UNKNOWN:
        raise invalid(f"{name}.channel", "is none of sms voice whatsapp viber email", Reason.INVALID_CHANNEL)
    check_range(step.wait_s, f"{name}.wait_s", 5, 900)
    check_range(step.ttl_s, f"{name}.ttl_s", 30, 1_209_600)
    if step.language is not None:
        normalise_language(step.language, field=f"{name}.language")
    if step.sender is not None:
        check_line(step.sender, f"{name}.sender", 254)
    if step.flow_id is not None:
        if step.channel is not Channel.VOICE:
            raise invalid(f"{name}.flow_id", "is only for voice; remove it")
        check_line(step.flow_id, f"{name}.flow_id", 128)
    if step.subject is not None:
        if step.channel is not Channel.EMAIL:
            raise invalid(f"{name}.subject", "is only for email; remove it")
        check_line(step.subject, f"{name}.subject", MAX_SUBJECT)
        check_text(step.subject, field=f"{name}.subject", brand=brand, payment=payment, required=False)
    if step.text is not None:
        if step.template is not None:
            raise invalid(f"{name}.text", "cannot go with a template; give one of them", Reason.INVALID_TEXT)
        check_text(step.text, field=f"{name}.text", brand=brand, payment=payment, longest=MAX_TEXT)
    if step.template is not None:
        if step.template not in templates:
            raise invalid(f"{name}.template", "is not in the catalogue [templates]", Reason.UNKNOWN_TEMPLATE)
        if problem := missing_values(templates[step.template], brand=brand, payment=payment):
            raise invalid(f"{name}.template", problem, Reason.INVALID_TEXT)
    _check_provider(step, name, providers)


def _check_provider(step: Step, name: str, providers: Mapping[str, ProviderCapabilities]) -> None:
    if step.provider is not None:
        pinned = providers.get(step.provider)
        if pinned is None:
            raise invalid(
                f"{name}.provider", "is not configured or not enabled; name another or none", Reason.UNKNOWN_PROVIDER
            )
        if step.channel not in pinned.channels:
            problem = f"does not offer {step.channel}; name another or none"
            raise invalid(f"{name}.provider", problem, Reason.UNSUPPORTED_BY_PROVIDER)
        takers = [pinned]
    else:
        takers = [provider for provider in providers.values() if step.channel in provider.channels]
    if not step.options:
        return
    if len(step.options) > MAX_OPTIONS:
        raise invalid(f"{name}.options", f"has {len(step.options)} entries; use at most {MAX_OPTIONS}")
    listed = [provider.channels[step.channel].options for provider in takers]
    for number, (option, value) in enumerate(step.options.items(), 1):
        rules = [options[option] for options in listed if option in options]
        if not rules:
            whom = "the pinned provider" if step.provider is not None else "any enabled provider"
            known = " ".join(sorted({name for options in listed for name in options}))
            problem = f"entry {number} is no option of {whom} for {step.channel}; there are {known or 'none'}"
            raise invalid(f"{name}.options", problem, Reason.UNKNOWN_OPTION)
        if not any(rule.takes(value) for rule in rules):
            raise invalid(f"{name}.options.{option}", " or ".join(dict.fromkeys(rule.says for rule in rules)))


def check_fit(step: Step, recipient: Recipient, name: str) -> None:
    """A channel and its recipient belong together; raises Refused ``invalid_channel``."""
    if (step.channel is Channel.EMAIL) != (recipient.kind == "email"):
        needed = "an e-mail address" if step.channel is Channel.EMAIL else "a phone number"
        problem = f"{step.channel} needs {needed}; give {name}.recipient or another channel"
        raise invalid(f"{name}.channel", problem, Reason.INVALID_CHANNEL)


def automatic_steps(
    recipient: Recipient,
    *,
    listed: Sequence[str],
    prefer: Channel | None,
    providers: Mapping[str, ProviderCapabilities],
    test: bool,
) -> list[Step]:
    """The steps of a request that names none; raises Refused ``no_channel``.

    Mobile and unknown lines get the policy's channels in order, landlines voice only, e-mail addresses e-mail. A
    preference goes first where the device and an enabled provider can take it.
    """
    if recipient.kind == "email":
        possible = [Channel.EMAIL]
    else:
        possible = [Channel(channel) for channel in listed if channel != Channel.EMAIL]
        if prefer is not None and prefer not in (Channel.EMAIL, Channel.UNKNOWN):
            possible = [prefer, *(channel for channel in possible if channel is not prefer)]
        if recipient.line_type == "fixed_line":
            possible = [channel for channel in possible if channel is Channel.VOICE]
    offered = {
        channel
        for name, provider in providers.items()
        if not test or name == SIMULATOR
        for channel in provider.channels
    }
    steps = [Step(channel=channel) for channel in possible if channel in offered]
    if not steps:
        what = (
            "e-mail address" if recipient.kind == "email" else f"{(recipient.line_type or 'phone').replace('_', ' ')}"
        )
        raise Refused(
            Reason.NO_CHANNEL,
            f"recipient: no channel of an enabled provider reaches this {what}; name steps",
            "recipient",
        )
    return steps


def gives_no_receipts(step: Step, providers: Mapping[str, ProviderCapabilities], *, test: bool) -> bool:
    """Whether no provider this step may go to reports deliveries, so that its wait can only be the one without."""
    possible = [step.provider] if step.provider is not None else [SIMULATOR] if test else list(providers)
    able = [providers[name].channels.get(step.channel) for name in possible if name in providers]
    reports = [channel.receipts for channel in able if channel is not None]
    return bool(reports) and not any(reports)


def steps_in_time(waits: Sequence[int], *, expires_in_s: int, min_time_left_s: int) -> int:
    """How many steps can begin early enough to be sent at all, given how long each may take (seconds)."""
    start = 0
    for index, wait in enumerate(waits):
        if index and start + min_time_left_s > expires_in_s:
            return index
        start += wait
    return len(waits)

"""From a command to what is asked of Telesign: method, path, query and form, not yet signed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from pipeline.model.capabilities import ProviderCapabilities, provider_language
from pipeline.model.messages import Message
from pipeline.model.options import OptionRule
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.types import Channel, CommandKind
from pipeline.senders.provider import Opened, Unsendable, not_offered
from pipeline.senders.providers.telesign.abilities import (
    SMART_OPTIONS,
    SMS_OPTIONS,
    SMS_SENDER,
    TOGETHER,
    VOICE_OPTIONS,
    VOICE_SENDER,
)
from pipeline.settings import TelesignSettings

CODE: Final = "$$CODE$$"
AMOUNT: Final = "$$AMOUNT$$"
PAYEE: Final = "$$PAYEE$$"
MAX_TRANSACTION: Final = 40
"""Longest ``transaction_amount`` and ``transaction_payee``."""
REFERENCE_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
"""A reference id: 32 hex digits as published. It becomes part of a path, so nothing else is let in."""
_PREFERENCES: Final = MappingProxyType({Channel.SMS: "sms", Channel.VOICE: "call"})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Draft:
    """A request before it is encoded and signed."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One of the three that send."""

    path: str
    code: re.Pattern[str]
    """Own codes it carries unchanged."""
    options: Mapping[str, OptionRule]


SMS: Final = Endpoint(path="/v1/verify/sms", code=re.compile(r"[0-9]{3,7}", re.ASCII), options=SMS_OPTIONS)
VOICE: Final = Endpoint(path="/v1/verify/call", code=re.compile(r"[1-9][0-9]{2,6}", re.ASCII), options=VOICE_OPTIONS)
SMART: Final = Endpoint(path="/v1/verify/smart", code=re.compile(r"[1-9][0-9]{4}", re.ASCII), options=SMART_OPTIONS)
_ENDPOINTS: Final = MappingProxyType({Channel.SMS: SMS, Channel.VOICE: VOICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafter:
    """Drafts requests as the settings of one account want them."""

    settings: TelesignSettings
    capabilities: ProviderCapabilities
    callback_url: Callable[[SendCommand], str | None]
    """Where the callbacks of one message go; None leaves it to the account's own address."""

    def draft(self, command: SendCommand, opened: Opened) -> Draft:
        """The request for one command. Raises Unsendable for what Telesign cannot carry."""
        make = _DRAFTS.get(command.kind)
        if make is None:
            raise not_offered("telesign", command)
        return make(self, command, opened)

    def wants_text(self, command: SendCommand) -> bool:
        """Whether a text of ours would say something that Telesign's own wording does not."""
        ours = (command.text, command.template, command.brand, command.amount)
        return self.settings.own_texts or any(each is not None for each in ours)

    def _send(self, command: SendCommand, opened: Opened) -> Draft:
        endpoint = SMART if command.walk else _ENDPOINTS[command.channel]
        form = {"phone_number": opened.recipient.removeprefix("+")}
        form |= _given("ucid", command.use_case) | _given("originating_ip", opened.end_user_ip)
        form |= self._code(endpoint, command.channel, opened.code)
        form |= _WORDING[endpoint.path](self, command, opened.message, opened)
        form |= _sender(endpoint, command.sender)
        options = _options(endpoint, command.options)
        if any(form.get(name, value) != value for name, value in options.items()):
            raise Unsendable(Reason.INVALID_FIELD, "options.caller_id: is another number than the sender")
        form |= options
        if "pressx" in form and "tts_message" in form:
            raise Unsendable(Reason.INVALID_FIELD, "options.pressx: cannot go together with a text of ours")
        if endpoint is SMART:
            if self.settings.smart_preference and command.prefer_channel is not None:
                form |= _given("preference", _PREFERENCES.get(command.prefer_channel))
        else:
            form |= _given("callback_url", self.callback_url(command))
        return Draft(method="POST", path=endpoint.path, form=form)

    def _code(self, endpoint: Endpoint, channel: Channel, code: str | None) -> dict[str, str]:
        if code is None:
            return {}
        if endpoint is SMART and not self.settings.smart_own_code:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "Smart Verify takes own codes only with smart_own_code")
        longest = self.capabilities.channels[channel].code_max
        if not endpoint.code.fullmatch(code) or len(code) > longest:
            raise Unsendable(
                Reason.UNSUPPORTED_BY_PROVIDER,
                f"telesign takes codes of 3-{longest} digits by {channel}, calls without a leading zero, of 5 by both",
            )
        return {"verify_code": code}

    def _language(self, command: SendCommand) -> dict[str, str]:
        """Of Telesign's own wording; without one it speaks US English."""
        return _given("language", provider_language(self.capabilities.channels[command.channel], command.language)[0])

    def _worded_sms(self, command: SendCommand, message: Message | None, opened: Opened) -> dict[str, str]:
        amount, payee = command.amount, opened.payee
        payment: dict[str, str] = {}
        if amount is not None and payee is not None and max(len(amount), len(payee)) <= MAX_TRANSACTION:
            payment = {"transaction_amount": amount, "transaction_payee": payee}
        if message is None:
            return payment | self._language(command)
        if payment:
            message = replace(message, values={**message.values, "amount": AMOUNT, "payee": PAYEE})
        # ``language`` goes unused beside a text of ours.
        return payment | {"template": self._short(message)}

    def _worded_call(self, command: SendCommand, message: Message | None, opened: Opened) -> dict[str, str]:
        if message is None:
            return self._language(command)
        return {"tts_message": _text(message), "language": _spoken(command, message)}

    def _worded_smart(self, command: SendCommand, message: Message | None, opened: Opened) -> dict[str, str]:
        if message is None:
            return self._language(command)
        text = self._short(message)
        # The line that lets a browser fill in the code is not for ears.
        spoken = "\n".join(line for line in text.splitlines() if not line.startswith("@"))
        return {"sms_message": text, "tts_message": spoken, "language": _spoken(command, message)}

    def _short(self, message: Message) -> str:
        """The text for an SMS, without the autofill line where it would be too long with it."""
        longest = self.settings.max_text_chars
        for each in (message, message.without_autofill()):
            if len(text := _text(each)) <= longest:
                return text
        raise Unsendable(
            Reason.INVALID_TEXT, f"text: is longer than the {longest} characters of this account; see max_text_chars"
        )

    def _check(self, command: SendCommand, opened: Opened) -> Draft:
        return Draft(method="GET", path=_status(command), query={"verify_code": opened.code or ""})

    def _look_up(self, command: SendCommand, opened: Opened) -> Draft:
        return Draft(method="GET", path=_status(command))

    def _report(self, command: SendCommand, opened: Opened) -> Draft:
        return Draft(method="PUT", path=f"/v1/verify/completion/{_reference_id(command)}")


_DRAFTS: Final[Mapping[CommandKind, Callable[[Drafter, SendCommand, Opened], Draft]]] = MappingProxyType(
    {
        CommandKind.SEND: Drafter._send,
        CommandKind.CHECK: Drafter._check,
        CommandKind.LOOKUP: Drafter._look_up,
        CommandKind.REPORT: Drafter._report,
    }
)
_WORDING: Final = MappingProxyType(
    {SMS.path: Drafter._worded_sms, VOICE.path: Drafter._worded_call, SMART.path: Drafter._worded_smart}
)


def _reference_id(command: SendCommand) -> str:
    """Raises Unsendable: a message whose answer was lost has none, and nothing else finds it."""
    found = command.provider_message_id
    if found is None or not REFERENCE_ID.fullmatch(found):
        raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "telesign finds a message by its reference id only")
    return found


def _status(command: SendCommand) -> str:
    return f"/v1/verify/{_reference_id(command)}"


def _given(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}


def _text(message: Message) -> str:
    return message.text(CODE)


def _spoken(command: SendCommand, message: Message) -> str:
    """The language of a text that is read out: its own, in the wished accent where that is of the same language."""
    wished = command.language
    same = wished is not None and wished.partition("-")[0] == message.language.partition("-")[0]
    return wished if wished is not None and same else message.language


def _sender(endpoint: Endpoint, sender: str | None) -> dict[str, str]:
    if sender is None:
        return {}
    if endpoint is SMART:
        raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "Smart Verify takes no sender")
    if endpoint is VOICE:
        if not VOICE_SENDER.takes(sender):
            raise Unsendable(Reason.INVALID_FIELD, f"sender: {VOICE_SENDER.says}, one that was bought from Telesign")
        return {"caller_id": sender.removeprefix("+")}
    if not SMS_SENDER.takes(sender):
        raise Unsendable(Reason.INVALID_FIELD, f"sender: {SMS_SENDER.says}")
    return {"sender_id": sender}


def _options(endpoint: Endpoint, options: Mapping[str, str]) -> dict[str, str]:
    if not options:
        return {}
    for name, value in options.items():
        rule = endpoint.options.get(name)
        if rule is None:
            raise Unsendable(Reason.UNKNOWN_OPTION, f"{endpoint.path} has no option of this name")
        if not rule.takes(value):
            raise Unsendable(Reason.INVALID_FIELD, f"options.{name}: {rule.says}")
    for pair in TOGETHER:
        given = [name for name in pair if name in options]
        if len(given) == 1:
            raise Unsendable(Reason.INVALID_FIELD, f"options.{given[0]}: needs {' and '.join(pair)} together")
    return dict(sorted(options.items()))

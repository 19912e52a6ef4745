"""From a command to the HTTP request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
import orjson
from msgspec.structs import replace

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.codes import normalise_typed
from pipeline.model.messages import Message
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand, WalkStep
from pipeline.records.types import Channel
from pipeline.senders.deadlines import valid_s
from pipeline.senders.posting import Post
from pipeline.senders.provider import Opened, Unsendable
from pipeline.senders.providers.thundersms.abilities import CODE_LENGTHS, MAX_TTL_S, MIN_TTL_S
from pipeline.senders.providers.thundersms.languages import spoken
from pipeline.senders.providers.thundersms.tables import CHANNEL_NAMES
from pipeline.senders.told import USER_AGENT
from pipeline.settings import ProviderChannelSettings, ThunderSmsSettings

BASE_URL: Final = "https://portal.thundersms.com/api/v2"
"""The documentation writes ``http``; the sister portals are served by https, so that is asked for here."""

_CODE: Final = re.compile(r"[1-9][0-9]{3,9}", re.ASCII)
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_PLACEHOLDER: Final = "{token}"
"""Where the provider puts the code."""
_NO_CODE: Final = "0"
"""Asked in place of a typed text that can be no code: too short to be one either, and safe in a path."""


class Requests:
    """Builds the requests of one account; holds what is the same in all of them."""

    def __init__(self, settings: ThunderSmsSettings, capabilities: ProviderCapabilities) -> None:
        self._capabilities = capabilities
        self._foreign_id_place = settings.foreign_id_place
        self._accounts: Mapping[str, ProviderChannelSettings] = {
            str(name): account for name, account in settings.channels.items()
        }
        self._base = (settings.base_url or BASE_URL).rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {settings.access_token.get_secret_value()}",
            # Without it errors may come as pages or redirects.
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        self._post = Post(httpx.URL(f"{self._base}/verify/send"), {**self._headers, "Content-Type": "application/json"})

    def probe(self) -> httpx.Request:
        """``GET auth/me``, which tests a token."""
        return self._get("auth", "me")

    def check(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """``GET verify/check/{id}/{token}``. What can be no code is asked too, as the provider counts as well.

        Raises Unsendable without the id of a message.
        """
        typed = normalise_typed(opened.code or "")
        fits = CODE_LENGTHS[0] <= len(typed) <= CODE_LENGTHS[1]
        return self._get("verify", "check", _message_id(command), typed if fits else _NO_CODE)

    def lookup(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """``GET verify/search/{id}``. Raises Unsendable without an id: nothing else finds a message."""
        return self._get("verify", "search", _message_id(command))

    def cancel(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """``GET verify/cancel/{id}``. Raises Unsendable without the id of a message."""
        return self._get("verify", "cancel", _message_id(command))

    def send(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """``POST verify/send`` with one channel, or with all of a walk. Raises Unsendable for what it cannot carry."""
        if command.options:
            raise Unsendable(Reason.UNKNOWN_OPTION, "thundersms has no options")
        life_s = _life_s(command, opened, now_ms)
        channels = list(self._channels(command, opened, life_s))
        payload = self._payload(command, opened, life_s)
        body: dict[str, Any] = {"channels": channels, "payload": payload}
        # Where it belongs is not published for this request.
        match self._foreign_id_place:
            case "payload":
                payload["foreign_id"] = command.reference
            case "request":
                body["foreign_id"] = command.reference
            case "channels":
                for channel in channels:
                    channel["meta"] = {"foreign_id": command.reference}
        return self._post.request(orjson.dumps(body))

    def _channels(self, command: SendCommand, opened: Opened, life_s: int) -> Iterator[dict[str, Any]]:
        # A further step says how long the one before it may take; the last one has nothing to wait for.
        waits: list[int | None] = [*(step.wait_s for step in command.walk), None]
        steps: list[SendCommand | WalkStep] = [command, *command.walk]
        recipients = (opened.recipient, *opened.walk)
        if len(recipients) != len(steps):
            raise Unsendable(Reason.INVALID_STEPS, "the steps and the recipients of a walk are not as many")
        for order, (step, recipient, wait_s) in enumerate(zip(steps, recipients, waits, strict=True)):
            able = self._able(step.channel)
            account = self._accounts.get(CHANNEL_NAMES[step.channel])
            if not _NUMBER.fullmatch(recipient):
                raise Unsendable(Reason.INVALID_RECIPIENT, "thundersms takes phone numbers only")
            told: dict[str, Any] = {"name": CHANNEL_NAMES[step.channel]}
            if sender := step.sender or (account and account.sender):
                told["from"] = sender
            told |= {"recipient": {"to": recipient[1:]}, "order": order}
            if wait_s is not None:
                told["wait"] = wait_s
            if step.channel is Channel.VOICE:
                flow_id = step.flow_id or (account and account.flow_id)
                if not flow_id:
                    raise Unsendable(
                        Reason.UNSUPPORTED_BY_PROVIDER,
                        "thundersms calls only with a flow id, of the step or of providers.<name>.channels.voice",
                    )
                told["flow_id"] = flow_id
                if language := _language(step, opened):
                    told["language"] = spoken(language)
            if able.ttl is not None:
                # Without one a message may arrive when its code is long dead.
                ttl_s = life_s if step.ttl_s is None else min(step.ttl_s, life_s)
                told["ttl"] = min(max(ttl_s, MIN_TTL_S), MAX_TTL_S)
            yield told

    def _payload(self, command: SendCommand, opened: Opened, life_s: int) -> dict[str, Any]:
        code, message = opened.code, opened.message
        payload: dict[str, Any] = {"length": command.code_length if code is None else len(code), "timeout": life_s}
        if code is not None:
            if not _CODE.fullmatch(code):
                raise Unsendable(
                    Reason.UNSUPPORTED_BY_PROVIDER, "thundersms takes codes of 4-10 digits without a leading zero"
                )
            payload["token"] = code
        if (command.text or command.template) and not self._able(command.channel).text:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "thundersms takes no texts here (own_texts)")
        if message is not None and _writes(command, message, self._able(command.channel)):
            payload["template"] = message.text(_PLACEHOLDER)
        if opened.end_user_ip:
            payload["ip_address"] = opened.end_user_ip
        return payload

    def _able(self, channel: Channel) -> ChannelCapabilities:
        able = self._capabilities.channels.get(channel)
        if able is None:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, f"thundersms does not serve {channel} here")
        return able

    def _get(self, *path: str) -> httpx.Request:
        # An id is the provider's word: encoded, so that it stays one part of the path.
        parts = "/".join(quote(part, safe="").replace(".", "%2E") for part in path)
        return httpx.Request("GET", httpx.URL(f"{self._base}/{parts}"), headers=self._headers)


def _message_id(command: SendCommand) -> str:
    if not command.provider_message_id:
        raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "thundersms knows a message by its own id only")
    return command.provider_message_id


def _life_s(command: SendCommand, opened: Opened, now_ms: int) -> int:
    """What is left of the code's life: a step's ttl is the message's, and the code must outlive that."""
    return opened.valid_s if command.ttl_s is None else valid_s(replace(command, ttl_s=None), now_ms)


def _writes(command: SendCommand, message: Message, able: ChannelCapabilities) -> bool:
    """Whether our text goes along: always to be read, and to be spoken only where the step wishes it.

    There is one text for all channels of a walk.
    """
    channels = {command.channel, *(step.channel for step in command.walk)}
    return able.text and (message.wished or channels != {Channel.VOICE})


def _language(step: SendCommand | WalkStep, opened: Opened) -> str | None:
    """Of what is spoken: our text where one is wished, else what the step wants."""
    message = opened.message
    return message.language if message is not None and message.wished else step.language

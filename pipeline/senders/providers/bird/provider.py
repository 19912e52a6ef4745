"""One Bird account: which request belongs to which command, and which reading to which answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import httpx

from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.types import Channel, CommandKind
from pipeline.senders.provider import Answer, NoExtras, Opened, Probe, Unplaced, Unsendable, Webhook
from pipeline.senders.providers.bird import answers
from pipeline.senders.providers.bird.capabilities import CAPABILITIES
from pipeline.senders.providers.bird.requests import Requests
from pipeline.senders.providers.bird.webhooks import Webhooks, is_signed
from pipeline.settings import BirdSettings


class _Again(NamedTuple):
    """A send that is another sending of a verification, by the path that is set for it."""

    path: str
    message_id: str


class Bird(NoExtras):
    """One Bird account."""

    def __init__(
        self,
        *,
        instance: str,
        settings: BirdSettings,
        capabilities: ProviderCapabilities = CAPABILITIES,
        webhook_url: str = "",
    ) -> None:
        self.instance = instance
        self.capabilities = capabilities
        self._settings = settings
        self._requests = Requests(settings, capabilities)
        self._secrets = tuple(secret.get_secret_value().encode() for secret in settings.signing_key)
        self.webhooks_enabled = any(self._secrets)
        self._webhooks = Webhooks(
            instance=instance,
            channel_ids={each.lower(): Channel(name) for name, each in settings.channels.items() if each},
            by_name={Channel.SMS.value: Channel.SMS} if settings.navigator_id else {},
        )

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """The request for a send, check or look-up. Raises Unsendable for all else, and for what is switched off.

        A send that has a ``provider_message_id`` is for a step of that verification: with ``resend_path`` Bird sends it
        again, with ``failover_path`` it goes on to it. Without them a new verification is made, as always.
        """
        build = _BUILD.get(command.kind)
        if build is None:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, f"bird has no {command.kind}")
        return build(self, command, opened)

    def interpret(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        """What a full answer to the command's request means."""
        return _INTERPRET[command.kind](self, command, opened, response)

    def _build_send(self, command: SendCommand, opened: Opened) -> httpx.Request:
        if (again := self._again(command)) is not None:
            return self._requests.again(*again, command.place)
        return self._requests.create(command, opened)

    def _interpret_send(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        if (again := self._again(command)) is not None:
            return answers.sent_again(response, again.message_id)
        return answers.created(response)

    def _again(self, command: SendCommand) -> _Again | None:
        path = self._settings.resend_path if command.again else self._settings.failover_path
        message_id = command.provider_message_id
        return _Again(path, message_id) if path and message_id is not None else None

    def _build_check(self, command: SendCommand, opened: Opened) -> httpx.Request:
        if not command.provider_message_id or not opened.code:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "a check needs bird's id and a code")
        return self._requests.check(command.provider_message_id, opened.code)

    def _interpret_check(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        message_id = command.provider_message_id or ""
        return answers.checked(response, message_id, ok_is_right=self._settings.ok_is_right)

    def _build_lookup(self, command: SendCommand, opened: Opened) -> httpx.Request:
        if command.provider_message_id is not None:
            if not self._settings.get_path:
                raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "get_path is not set")
            return self._requests.get(command.provider_message_id)
        if not self._settings.list_path or command.called_at is None:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "list_path is not set, or the call was never begun")
        return self._requests.list_around(command.called_at)

    def _interpret_lookup(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        if command.provider_message_id is not None:
            return answers.found(response, command.provider_message_id)
        return answers.listed(
            response,
            command,
            opened,
            names=self._settings.names,
            step_id=self._requests.step_id(command.channel),
            window=self._requests.window(command.called_at or 0),
        )

    def probe(self, now_ms: int) -> httpx.Request | None:
        """A list of one, where the list is switched on."""
        return self._requests.list_one() if self._settings.list_path else None

    def probed(self, response: httpx.Response) -> Probe:
        """What a full answer to the probe says."""
        return answers.probed(response)

    def statuses(self, webhook: Webhook) -> Sequence[Unplaced]:
        """The delivery report in one event; it names only receiver and channel. Raises BadWebhook."""
        return self._webhooks.statuses(webhook)

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """Whether time, address and body were signed with one of the keys; constant time."""
        return is_signed(webhook, self._secrets, max_age_s=max_age_s)


_BUILD: Final[Mapping[CommandKind, Callable[[Bird, SendCommand, Opened], httpx.Request]]] = MappingProxyType(
    {
        CommandKind.SEND: Bird._build_send,
        CommandKind.CHECK: Bird._build_check,
        CommandKind.LOOKUP: Bird._build_lookup,
    }
)
_INTERPRET: Final[Mapping[CommandKind, Callable[[Bird, SendCommand, Opened, Any], Answer]]] = MappingProxyType(
    {
        CommandKind.SEND: Bird._interpret_send,
        CommandKind.CHECK: Bird._interpret_check,
        CommandKind.LOOKUP: Bird._interpret_lookup,
    }
)

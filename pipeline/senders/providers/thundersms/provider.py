"""One ThunderSMS account: which function serves which kind of command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import httpx

from pipeline.model.capabilities import ProviderCapabilities
from pipeline.records.internal import SendCommand
from pipeline.records.types import CommandKind
from pipeline.senders.answers import in_doubt
from pipeline.senders.provider import Answer, NoExtras, Opened, Probe, Report, Unplaced, Webhook, not_offered
from pipeline.senders.providers.thundersms import answers, webhooks
from pipeline.senders.providers.thundersms.abilities import CAPABILITIES
from pipeline.senders.providers.thundersms.requests import Requests
from pipeline.settings import ThunderSmsSettings

_READ: Final[Mapping[CommandKind, Callable[[SendCommand, httpx.Response], Answer]]] = MappingProxyType(
    {
        CommandKind.SEND: answers.sent,
        CommandKind.CHECK: answers.checked,
        CommandKind.LOOKUP: answers.looked_up,
        CommandKind.CANCEL: answers.canceled,
    }
)


class ThunderSms(NoExtras):
    """One ThunderSMS account."""

    def __init__(
        self,
        *,
        instance: str,
        settings: ThunderSmsSettings,
        capabilities: ProviderCapabilities = CAPABILITIES,
        webhook_url: str = "",
    ) -> None:
        self.instance = instance
        self.capabilities = capabilities
        requests = Requests(settings, capabilities)
        self._probe = requests.probe
        self._build: Mapping[CommandKind, Callable[[SendCommand, Opened, int], httpx.Request]] = {
            CommandKind.SEND: requests.send,
            CommandKind.CHECK: requests.check,
            CommandKind.LOOKUP: requests.lookup,
            CommandKind.CANCEL: requests.cancel,
        }
        self._secrets = tuple(secret.get_secret_value() for secret in settings.webhook_secret)
        self._webhook_ids = tuple(each.get_secret_value() for each in settings.webhook_id)
        self._validation_key = settings.webhook_validation_key.get_secret_value()
        self.webhooks_enabled = any(self._secrets)

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """``POST verify/send``, or a GET of check, search, cancel. Raises Unsendable."""
        build = self._build.get(command.kind)
        if build is None:
            raise not_offered("thundersms", command)
        return build(command, opened, now_ms)

    def interpret(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        """A full answer to the request of ``build``."""
        read = _READ.get(command.kind)
        return (
            in_doubt("an answer to nothing that was asked", unmapped=True) if read is None else read(command, response)
        )

    def probe(self, now_ms: int) -> httpx.Request:
        """``GET auth/me``."""
        return self._probe()

    def probed(self, response: httpx.Response) -> Probe:
        """What ``auth/me`` says of the token."""
        return answers.probed(response)

    def handshake(self, webhook: Webhook) -> bytes | None:
        """The challenge given back, when the webhook is being set up at the provider."""
        return webhooks.challenge(webhook, self._validation_key)

    def statuses(self, webhook: Webhook) -> Sequence[Report | Unplaced]:
        """The delivery report of a webhook: by our reference where it is echoed, else by the provider's id."""
        return webhooks.reports(webhook, self.instance)

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """``Authorization: Bearer`` with one of the secrets, and ``Signature`` where it can be checked; no time."""
        return webhooks.authentic(webhook, self._secrets, self._webhook_ids)

"""YCloud Verify, API v2: sms, voice, WhatsApp and e-mail with our own code and signed delivery reports.

Facts: YCloud's OpenAPI (SDK 1.16), its pages on errors and webhooks, and its developer kit. Their statement and ours:
there is no idempotency key, ``externalId`` gives no replay safety, and a repeated start sends and bills again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

import httpx
import orjson

from pipeline.model.capabilities import ProviderCapabilities, provider_language
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.types import Channel, CommandKind
from pipeline.senders.answers import DONE
from pipeline.senders.posting import Post
from pipeline.senders.provider import (
    Answer,
    NoExtras,
    Opened,
    Probe,
    Report,
    Unsendable,
    Webhook,
    not_offered,
)
from pipeline.senders.providers.ycloud import webhooks
from pipeline.senders.providers.ycloud.answers import listed, refused, started
from pipeline.senders.providers.ycloud.tables import CAPABILITIES, CHANNEL_NAMES, DEFAULT_LANGUAGE
from pipeline.senders.told import USER_AGENT, currency, decimal, json_object, rfc3339
from pipeline.settings import YCloudSettings

BASE_URL: Final = "https://api.ycloud.com/v2"
START_PATH: Final = "/verify/verifications"
CHECK_PATH: Final = "/verify/verificationChecks"
BALANCE_PATH: Final = "/balance"
LIST_PATHS: Final = MappingProxyType({Channel.SMS: "/sms", Channel.VOICE: "/voices"})
"""Messages by time; there is no list of verifications, of e-mails, or of WhatsApp messages whose id is not known."""


LIST_WINDOW_MS: Final = (60_000, 120_000)
"""Before and after our clock's word for the call: clocks differ, and a message may be made a moment after its start."""


_CODE: Final = re.compile(r"[0-9]{4,8}", re.ASCII)


class YCloud(NoExtras):
    """One YCloud account."""

    def __init__(
        self,
        *,
        instance: str,
        settings: YCloudSettings,
        capabilities: ProviderCapabilities = CAPABILITIES,
        webhook_url: str = "",
    ) -> None:
        self.instance = instance
        self.capabilities = capabilities
        self._base = (settings.base_url or BASE_URL).rstrip("/")
        self._url = httpx.URL(self._base + START_PATH)
        self._check_url = httpx.URL(self._base + CHECK_PATH)
        self._headers = {
            "X-API-Key": settings.api_key.get_secret_value(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        }
        self._send = Post(self._url, self._headers)
        self._secrets = tuple(secret.get_secret_value().encode() for secret in settings.webhook_secret)
        self.webhooks_enabled = any(self._secrets)
        self._whatsapp_falls_back = settings.whatsapp_falls_back

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """The request for a send, report or look-up. Raises Unsendable for a channel or code the API does not take."""
        if command.kind is CommandKind.REPORT:
            return self._report(command, opened)
        if command.kind is CommandKind.LOOKUP:
            return self._list(command)
        if command.kind is not CommandKind.SEND:
            raise not_offered("ycloud", command)
        able = self.capabilities.channels.get(command.channel)
        if able is None:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, f"ycloud does not serve {command.channel} here")
        body: dict[str, str] = {"channel": CHANNEL_NAMES[command.channel], "to": opened.recipient}
        if opened.code is not None:
            if not (_CODE.fullmatch(opened.code) and len(opened.code) <= able.code_max):
                raise Unsendable(
                    Reason.UNSUPPORTED_BY_PROVIDER,
                    f"ycloud takes codes of {able.code_min}-{able.code_max} digits on {command.channel}",
                )
            body["code"] = opened.code
        if command.channel is Channel.SMS:
            if command.sender:
                body["senderId"] = command.sender
            if opened.recipient.startswith("+86"):
                # Only mainland China knows signatures; elsewhere the field is an error.
                if not command.signature:
                    raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, "ycloud sends SMS to +86 only with a signature")
                body["signature"] = command.signature
        body["language"] = provider_language(able, command.language)[0] or DEFAULT_LANGUAGE
        body["externalId"] = command.reference
        return self._send.request(orjson.dumps(body))

    def _report(self, command: SendCommand, opened: Opened) -> httpx.Request:
        """A check of the code that was right: YCloud's success rates are made of these, also for codes of ours."""
        if command.provider_message_id is None or opened.code is None:
            raise not_offered("ycloud", command)
        body = {"verificationId": command.provider_message_id, "code": opened.code}
        return httpx.Request("POST", self._check_url, headers=self._headers, content=orjson.dumps(body))

    def _list(self, command: SendCommand) -> httpx.Request:
        """The newest hundred messages about the time of the call: the API finds none by our reference."""
        path = LIST_PATHS.get(command.channel)
        if path is None or command.called_at is None:
            raise not_offered("ycloud", command)
        before_ms, after_ms = LIST_WINDOW_MS
        query = {
            "limit": "100",
            "filter.createTime.gte": rfc3339(command.called_at - before_ms),
            "filter.createTime.lte": rfc3339(command.called_at + after_ms),
        }
        return httpx.Request("GET", f"{self._base}{path}?{urlencode(query)}", headers=self._headers)

    def interpret(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        """A full answer to one of the requests above."""
        body = json_object(response.content)
        if response.status_code != 200:
            return refused(response, body)
        if command.kind is CommandKind.REPORT:
            return DONE  # right or not by YCloud's count: the person has verified
        if command.kind is CommandKind.LOOKUP:
            return listed(command, body)
        return started(body)

    def probe(self, now_ms: int) -> httpx.Request:
        """``GET /balance``."""
        return httpx.Request("GET", self._base + BALANCE_PATH, headers=self._headers)

    def probed(self, response: httpx.Response) -> Probe:
        """The balance, or the error's code."""
        body = json_object(response.content)
        amount, unit = decimal(body.get("amount")), currency(body.get("currency"))
        if response.status_code == 200 and amount is not None:
            return Probe(True, f"balance {amount} {unit or ''}".rstrip())
        return Probe(False, refused(response, body).detail or "")

    def statuses(self, webhook: Webhook) -> Sequence[Report]:
        """See :func:`pipeline.senders.providers.ycloud.webhooks.reports`."""
        return webhooks.reports(self.instance, webhook, whatsapp_falls_back=self._whatsapp_falls_back)

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """See :func:`pipeline.senders.providers.ycloud.webhooks.is_signed`."""
        return webhooks.is_signed(webhook, self._secrets, max_age_s=max_age_s)

"""One Telesign account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlencode
from uuid import uuid4

import httpx

from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.senders.form import form
from pipeline.senders.provider import Answer, NoExtras, Opened, Probe, Report, Unplaced, Unsendable, Webhook
from pipeline.senders.providers.telesign import answers
from pipeline.senders.providers.telesign.abilities import CAPABILITIES
from pipeline.senders.providers.telesign.auth import Signer, key_bytes
from pipeline.senders.providers.telesign.callbacks import Callbacks
from pipeline.senders.providers.telesign.requests import SMART, SMS, VOICE, Draft, Drafter
from pipeline.senders.providers.telesign.tables import UNKNOWN_REFERENCE
from pipeline.senders.told import USER_AGENT
from pipeline.settings import TelesignSettings

BASE_URL: Final = "https://rest-ww.telesign.com"
"""Of full-service accounts; ``rest-api.telesign.com`` serves self-service ones."""
NOBODY: Final = "0" * 32
"""A reference id that no message has."""


class Telesign(NoExtras):
    """Sends, checks, looks up and reports; reads callbacks."""

    def __init__(
        self,
        *,
        instance: str,
        settings: TelesignSettings,
        capabilities: ProviderCapabilities = CAPABILITIES,
        webhook_url: str = "",
        new_nonce: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self.instance = instance
        self.capabilities = capabilities
        api_key = settings.api_key.get_secret_value()
        self._base = (settings.base_url or BASE_URL).rstrip("/")
        # Reading an address costs more than signing the request.
        self._urls = {endpoint.path: httpx.URL(self._base + endpoint.path) for endpoint in (SMS, VOICE, SMART)}
        self._signer = Signer(
            customer_id=settings.customer_id.get_secret_value(),
            api_key=api_key,
            method=settings.auth,
            new_nonce=new_nonce,
        )
        self._callbacks = Callbacks(instance=instance, key=key_bytes(api_key))
        self._drafter = Drafter(
            settings=settings,
            capabilities=capabilities,
            callback_url=lambda command: (
                f"{webhook_url}/{self._callbacks.token(command.reference)}" if webhook_url else None
            ),
        )
        self.webhooks_enabled = bool(api_key)

    def wants_text(self, command: SendCommand) -> bool:
        """Where it says something that Telesign's own wording does not."""
        return self._drafter.wants_text(command)

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """The request for a send, check, look-up or report. Raises Unsendable."""
        if command.channel not in self.capabilities.channels:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, f"telesign does not serve {command.channel} here")
        return self._request(self._drafter.draft(command, opened), now_ms)

    def interpret(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        """A full answer to it."""
        return answers.interpret(command.kind, response, command.provider_message_id)

    def probe(self, now_ms: int) -> httpx.Request:
        """Asks for a message that nobody sent: that needs right credentials and costs nothing."""
        return self._request(Draft(method="GET", path=f"/v1/verify/{NOBODY}"), now_ms)

    def probed(self, response: httpx.Response) -> Probe:
        """Not found is what right credentials get."""
        reply = answers.told(response.content)
        if response.status_code == 404 and reply.error in UNKNOWN_REFERENCE:
            return Probe(True, "the credentials are right")
        error = f" error {reply.error}" if reply.error else ""
        return Probe(False, f"HTTP {response.status_code}{error}")

    def statuses(self, webhook: Webhook) -> Sequence[Report | Unplaced]:
        """One callback: with our reference where its address holds one. Raises BadWebhook."""
        return self._callbacks.statuses(webhook)

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """Over the body only: there is no time in it that could be too old."""
        return self.webhooks_enabled and self._callbacks.signed(webhook)

    def _request(self, draft: Draft, now_ms: int) -> httpx.Request:
        # Signed is what is sent, so it is encoded once. The path is signed without its query.
        body = form(draft.form)
        url = self._urls.get(draft.path)
        if url is None:
            query = f"?{urlencode(draft.query)}" if draft.query else ""
            url = httpx.URL(f"{self._base}{draft.path}{query}")
        headers = {
            **self._signer.headers(draft.method, draft.path, body, now_ms),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        return httpx.Request(draft.method, url, headers=headers, content=body)

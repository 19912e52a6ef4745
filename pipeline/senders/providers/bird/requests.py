"""The requests to Bird, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import orjson

from pipeline.model.capabilities import ProviderCapabilities, provider_language
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.types import Channel
from pipeline.senders.provider import Opened, Unsendable
from pipeline.senders.providers.bird.capabilities import CODE_LENGTHS, LONGEST_S, SHORTEST_S
from pipeline.senders.told import USER_AGENT, rfc3339
from pipeline.settings import BirdSettings

BASE_URL: Final = "https://api.bird.com"
CLOCKS_MS: Final = 5_000
"""How far Bird's clock may be from ours."""
_ADDRESS: Final = {Channel.SMS: "phonenumber", Channel.WHATSAPP: "phonenumber", Channel.EMAIL: "emailaddress"}


class Requests:
    """Builds every request of one account."""

    def __init__(self, settings: BirdSettings, capabilities: ProviderCapabilities) -> None:
        workspace = quote(settings.workspace_id.get_secret_value(), safe="")
        self._base = f"{(settings.base_url or BASE_URL).rstrip('/')}/workspaces/{workspace}"
        self._create_url = httpx.URL(f"{self._base}/verify")
        self._settings = settings
        ids = {Channel(name): each for name, each in settings.channels.items() if each}
        # A navigator picks the SMS channel by country, as Bird recommends.
        navigator = {Channel.SMS: {"navigatorId": settings.navigator_id}} if settings.navigator_id else {}
        self._steps = {channel: {"channelId": each} for channel, each in ids.items()} | navigator
        self._templates = {Channel(name): each for name, each in settings.templates.items()}
        self._capabilities = capabilities
        self._headers = {
            "Authorization": f"AccessKey {settings.access_key.get_secret_value()}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        }

    def create(self, command: SendCommand, opened: Opened) -> httpx.Request:
        """``POST /verify`` with the step of this attempt, and those it may be asked to go on to. Raises Unsendable."""
        able = self._capabilities.channels.get(command.channel)
        if able is None or not self._steps.keys() >= {command.channel, *command.further}:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, f"bird does not serve {command.channel} here")
        shortest, longest = CODE_LENGTHS
        if opened.code is not None or not shortest <= command.code_length <= longest:
            raise Unsendable(
                Reason.UNSUPPORTED_BY_PROVIDER, f"bird makes its codes itself, of {shortest}-{longest} digits"
            )
        tag, honoured = provider_language(able, command.language)
        # A list of languages holds primary tags; the whole tag tells Bird the region too.
        locale = command.language if honoured else tag
        body: dict[str, Any] = {"identifier": {_ADDRESS[command.channel]: opened.recipient}}
        if locale is not None:
            body["locale"] = locale
        body["maxAttempts"] = self._settings.max_attempts
        body["timeout"] = min(max(opened.valid_s, SHORTEST_S), LONGEST_S)
        body["codeLength"] = command.code_length
        further = command.further if self._settings.failover_path else []
        body["steps"] = [self._step(channel, locale) for channel in (command.channel, *further)]
        return self._post(self._create_url, body)

    def step_id(self, channel: Channel) -> str:
        """The id by which the steps of a channel name their way; empty for a channel that is not configured."""
        return next(iter(self._steps.get(channel, {}).values()), "")

    def _step(self, channel: Channel, locale: str | None) -> dict[str, Any]:
        step: dict[str, Any] = dict(self._steps[channel])
        template = self._templates.get(channel)
        if template is not None:
            step["template"] = {"projectId": template.project_id, "version": template.version}
            if spoken := template.locale or locale:
                step["template"]["locale"] = spoken
        return step

    def again(self, path: str, message_id: str, place: int) -> httpx.Request:
        """Send a step of a verification again, or go on to it, as ``path`` says."""
        return self._post(self._base + path.format(id=_quoted(message_id)), {self._settings.names.step: place})

    def check(self, message_id: str, code: str) -> httpx.Request:
        """``POST /verify/{verifyId}`` with what was typed."""
        return self._post(f"{self._base}/verify/{_quoted(message_id)}", {"code": code})

    def get(self, message_id: str) -> httpx.Request:
        """One verification by its id."""
        return self._get(self._settings.get_path.format(id=_quoted(message_id)))

    def list_around(self, called_at: int) -> httpx.Request:
        """The verifications that a call begun then can have created."""
        start_ms, end_ms = self.window(called_at)
        names = self._settings.names
        query = {
            names.limit: str(self._settings.list_limit),
            names.start: rfc3339(start_ms),
            names.end: rfc3339(end_ms),
        }
        return self._get(f"{self._settings.list_path}?{urlencode(query)}")

    def window(self, called_at: int) -> tuple[int, int]:
        """When a call begun at ``called_at`` can have created something; both in epoch milliseconds."""
        longest_ms = round(self._settings.timeout_s * 1_000)
        return called_at - CLOCKS_MS, called_at + longest_ms + CLOCKS_MS

    def list_one(self) -> httpx.Request:
        """The shortest list, for who only wants to know whether the key is right."""
        return self._get(f"{self._settings.list_path}?{urlencode({self._settings.names.limit: '1'})}")

    def _post(self, url: httpx.URL | str, body: Mapping[str, Any]) -> httpx.Request:
        return httpx.Request("POST", url, headers=self._headers, content=orjson.dumps(body))

    def _get(self, path: str) -> httpx.Request:
        headers = {name: value for name, value in self._headers.items() if name != "Content-Type"}
        return httpx.Request("GET", self._base + path, headers=headers)


def _quoted(message_id: str) -> str:
    return quote(message_id, safe="")

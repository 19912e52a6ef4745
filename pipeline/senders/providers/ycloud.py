"""YCloud Verify, API v2: sms, voice, WhatsApp and e-mail with our own code and signed delivery reports.

Facts: YCloud's OpenAPI (SDK 1.16), its pages on errors and webhooks, and its developer kit. Their statement and ours:
there is no idempotency key, ``externalId`` gives no replay safety, and a repeated start sends and bills again.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import httpx
import orjson

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities, provider_language
from pipeline.model.reasons import Reason
from pipeline.model.reference import parse_reference
from pipeline.model.told_time import plausible
from pipeline.records.internal import SendCommand
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, ResultClass
from pipeline.senders.answers import in_doubt, rejected, throttled
from pipeline.senders.provider import Answer, BadWebhook, NoExtras, Opened, Report, Unsendable, Webhook
from pipeline.senders.told import (
    USER_AGENT,
    currency,
    decimal,
    header,
    json_object,
    provider_id,
    retry_after_s,
    rfc3339_ms,
)
from pipeline.settings import YCloudSettings

BASE_URL: Final = "https://api.ycloud.com/v2"
START_PATH: Final = "/verify/verifications"
SIGNATURE_HEADER: Final = "YCloud-Signature"


CHANNEL_NAMES: Final = MappingProxyType(
    {Channel.SMS: "sms", Channel.VOICE: "voice", Channel.WHATSAPP: "whatsapp", Channel.EMAIL: "email_code"}
)
CHANNELS_BY_NAME: Final = MappingProxyType({name: channel for channel, name in CHANNEL_NAMES.items()})

LANGUAGES: Final = MappingProxyType(
    {
        **{tag: tag for tag in ("ar", "de", "en", "es", "fr", "id", "it", "ru", "tr", "vi")},
        **dict.fromkeys(("pt", "pt-br"), "pt_BR"),
        **dict.fromkeys(("zh", "zh-cn", "zh-hans", "zh-sg"), "zh_CN"),
        **dict.fromkeys(("zh-hk", "zh-hant", "zh-mo", "zh-tw"), "zh_HK"),
    }
)
"""All 13 tags the API takes, by BCP-47."""
DEFAULT_LANGUAGE: Final = "en"


def _channel(**differences: Any) -> ChannelCapabilities:
    """Own code of 4-8 characters; the alphabet is not published, so digits only."""
    return replace(
        ChannelCapabilities(
            own_code=True,
            code_min=4,
            code_max=8,
            code_digits_only=True,
            code_leading_zero=True,
            languages=LANGUAGES,
            default_language=DEFAULT_LANGUAGE,
            receipts=True,
        ),
        **differences,
    )


CAPABILITIES: Final = ProviderCapabilities(
    kind="ycloud",
    channels=MappingProxyType(
        {
            Channel.SMS: _channel(sender=True, signature=True, needs_signature=frozenset({"CN"})),
            # The voice product behind it takes 4-6 digits; whether a leading zero is spoken is not published.
            Channel.VOICE: _channel(code_max=6, code_leading_zero=False),
            Channel.WHATSAPP: _channel(),
            Channel.EMAIL: _channel(),
        }
    ),
)

_PARAMETER: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
"""Becomes a rejected recipient when the error's ``target`` is ``to``."""
_ACCOUNT: Final = rejected(ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED)
_ROUTE: Final = rejected(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE)
_CONTENT: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
_BLOCKED: Final = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_BLOCKED)

ERRORS: Final[Mapping[str, tuple[int, Answer]]] = MappingProxyType(
    {
        "BAD_REQUEST": (400, _PARAMETER),
        "PARAM_INVALID": (400, _PARAMETER),
        "PARAM_INVALID_LENGTH": (400, _PARAMETER),
        "PARAM_MISSING": (400, _PARAMETER),
        "PARAM_NOT_MATCH": (400, _PARAMETER),
        "MESSAGING_REGION_UNSUPPORTED": (400, _ROUTE),
        "UNAUTHORIZED": (401, _ACCOUNT),
        "ACCOUNT_LIMITED": (403, _ACCOUNT),
        "ACCOUNT_UNAVAILABLE": (403, _ACCOUNT),
        "FORBIDDEN": (403, _ACCOUNT),
        "BALANCE_INSUFFICIENT": (403, rejected(ResultClass.ACCOUNT, Reason.CREDIT_EXHAUSTED)),
        "RECIPIENT_IN_BLOCK_LIST": (403, _BLOCKED),
        "RECIPIENT_UNSUBSCRIBED": (403, _BLOCKED),
        "SENDER_ID_UNAVAILABLE": (403, _CONTENT),
        "SMS_SIGNATURE_UNAVAILABLE": (403, _CONTENT),
        "CONTENT_PROHIBITED": (403, _CONTENT),
        "EMAIL_DOMAIN_UNVERIFIED": (403, _ROUTE),
        "WHATSAPP_PHONE_NUMBER_UNAVAILABLE": (403, _ROUTE),
        "WHATSAPP_TEMPLATE_UNAVAILABLE": (403, _ROUTE),
        "WHATSAPP_WABA_UNAVAILABLE": (403, _ROUTE),
        "WHATSAPP_BUSINESS_ACCOUNT_UNAVAILABLE": (403, _ROUTE),
        "NOT_FOUND": (404, rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR)),
        # Something of ours is there already, perhaps a message on its way: not to be tried again, only to be found.
        "ALREADY_EXISTS": (409, in_doubt("")),
        "CONTENT_TOO_LARGE": (413, _CONTENT),
        "TOO_MANY_REQUESTS": (429, throttled()),
        "ACCOUNT_RATE_LIMITED": (429, throttled()),
        "SENDER_RATE_LIMITED": (429, throttled()),
        # The message may have gone out before the failure.
        "INTERNAL_SERVER_ERROR": (500, in_doubt("")),
        "SERVICE_UNAVAILABLE": (503, in_doubt("")),
    }
)
"""Every published error code with its HTTP status; the code decides."""

START_STATUSES: Final[Mapping[str, Answer]] = MappingProxyType(
    {
        "pending": Answer(result=AttemptResult.ACCEPTED),
        "approved": Answer(result=AttemptResult.ACCEPTED, status=AttemptStatus.DELIVERED),
        "blocked": replace(_BLOCKED, status=AttemptStatus.UNDELIVERED),
        "undelivered": replace(rejected(ResultClass.ROUTE, Reason.UNDELIVERED), status=AttemptStatus.UNDELIVERED),
        "expired": replace(rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR), status=AttemptStatus.EXPIRED),
    }
)
"""``status`` of a verification in a 200 answer: not every 200 is a yes."""

EVENTS: Final = MappingProxyType(
    {
        "sms.message.updated": "sms",
        "voice.message.updated": "voice",
        "email.delivery.updated": "emailDelivery",
        "whatsapp.message.updated": "whatsappMessage",
    }
)
"""Delivery events and the key their message stands under; all other event types are not ours."""

MESSAGE_STATUSES: Final = MappingProxyType(
    {
        "accepted": AttemptStatus.QUEUED,
        "sending": AttemptStatus.QUEUED,
        "sent": AttemptStatus.SENT,
        "delivered": AttemptStatus.DELIVERED,
        "read": AttemptStatus.READ,
        "undelivered": AttemptStatus.UNDELIVERED,
        "failed": AttemptStatus.FAILED,
    }
)

_OCCURRED: Final = MappingProxyType(
    {AttemptStatus.SENT: "sendTime", AttemptStatus.DELIVERED: "deliverTime", AttemptStatus.READ: "readTime"}
)
_CODE: Final = re.compile(r"[0-9]{4,8}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_.\[\]-]{0,63}", re.ASCII)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SIGNED_AT: Final = re.compile(r"[1-9][0-9]{0,12}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


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
        self._url = httpx.URL((settings.base_url or BASE_URL).rstrip("/") + START_PATH)
        self._headers = {
            "X-API-Key": settings.api_key.get_secret_value(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        }
        self._secrets = tuple(secret.get_secret_value().encode() for secret in settings.webhook_secret)
        self.webhooks_enabled = any(self._secrets)

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """``POST /verify/verifications``. Raises Unsendable for a channel or code the API does not take."""
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
        return httpx.Request("POST", self._url, headers=self._headers, content=orjson.dumps(body))

    def interpret(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        """A full answer of ``POST /verify/verifications``."""
        body = json_object(response.content)
        if response.status_code == 200:
            return _started(body)
        return _refused(response, body)

    def statuses(self, webhook: Webhook) -> Sequence[Report]:
        """One delivery event. The body is never logged: the voice event holds the code in clear.

        It occurred at the most exact time in it that is plausible, else when we received it.
        """
        event = json_object(webhook.body)
        received_at = webhook.received_at
        if not isinstance(event.get("type"), str):
            raise BadWebhook("type: is missing or no text")
        key = EVENTS.get(event["type"])
        if key is None:
            return []
        message = event.get(key)
        if not isinstance(message, dict):
            raise BadWebhook(f"{key}: is missing or no object")
        if message.get("bizType") != "verify" or not message.get("verificationId"):
            return []  # other traffic of the same account
        external = message.get("externalId")
        if not isinstance(external, str):
            return []
        reference = parse_reference(external)
        if reference is None:
            return []  # another system's verification on the same account
        told = message.get("status")
        status = MESSAGE_STATUSES.get(told if isinstance(told, str) else "", AttemptStatus.UNKNOWN)
        failed = status in (AttemptStatus.UNDELIVERED, AttemptStatus.FAILED)
        times = (_OCCURRED.get(status, ""), "updateTime")
        told_times = (*(rfc3339_ms(message.get(name)) for name in times), rfc3339_ms(event.get("createTime")))
        known_times = (plausible(at, received_at=received_at) for at in told_times)
        report = DeliveryStatus(
            verification_id=reference.verification_id,
            attempt_id=reference.attempt_id,
            provider=self.instance,
            status=status,
            reason=Reason.UNDELIVERED if failed else None,
            occurred_at=next((at for at in known_times if at is not None), received_at),
            received_at=received_at,
            cost=decimal(message.get("totalPrice")),
            currency=currency(message.get("currency")),
        )
        return [Report(report, external)]

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """``YCloud-Signature: t=<s>,s=<hex>`` over ``t.body``; upper-case hex and a trailing dot are forgeries."""
        found = _signature(header(webhook.headers, SIGNATURE_HEADER))
        if found is None or abs(webhook.received_at / 1_000 - int(found[0])) > max_age_s:
            return False
        signed = found[0].encode() + b"." + webhook.body
        given = bytes.fromhex(found[1])
        matches = [
            hmac.compare_digest(hmac.digest(secret, signed, "sha256"), given) for secret in self._secrets if secret
        ]
        return any(matches)


def _signature(text: str) -> tuple[str, str] | None:
    """Time and digest in the header, in any order and among other fields; None when one is wrong or there twice.

    Two of a field are refused, as it is not said which counts.
    """
    fields: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in ("t", "s"):
            continue
        if name in fields:
            return None
        fields[name] = value
    at, digest = fields.get("t", ""), fields.get("s", "")
    return (at, digest) if _SIGNED_AT.fullmatch(at) and _DIGEST.fullmatch(digest) else None


def _started(body: dict[str, Any]) -> Answer:
    message_id = provider_id(body.get("id"))
    status = body.get("status", "pending")
    answer = START_STATUSES.get(status) if isinstance(status, str) else None
    if message_id is None or answer is None:
        return in_doubt("HTTP 200 that is no verification of a known status", unmapped=True)
    fallback = body.get("smsFallbackEnabled") is True
    return replace(
        answer,
        detail="the provider falls back to SMS by itself" if fallback else None,
        provider_message_id=message_id,
        used_channel=CHANNELS_BY_NAME.get(body["channel"]) if isinstance(body.get("channel"), str) else None,
        cost=decimal(body.get("totalPrice")),
        currency=currency(body.get("currency")),
    )


def _refused(response: httpx.Response, body: dict[str, Any]) -> Answer:
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    code = error.get("code")
    target = error.get("target")
    known = ERRORS.get(code) if isinstance(code, str) else None
    detail = f"HTTP {response.status_code}"
    if isinstance(code, str) and _WORD.fullmatch(code):
        detail += f" {code}"
    if isinstance(target, str) and _WORD.fullmatch(target):
        detail += f" ({target})"
    request_id = response.headers.get("YCloud-Request-ID") or error.get("requestId")
    if isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id):
        detail += f", request {request_id}"
    if known is None and response.status_code != 429:
        return in_doubt(detail, unmapped=True)
    answer = known[1] if known is not None else replace(throttled(), unmapped=True)
    if answer is _PARAMETER and target == "to":
        answer = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED)
    if answer.throttled:
        answer = replace(answer, retry_after_s=retry_after_s(response.headers))
    return replace(answer, detail=detail)

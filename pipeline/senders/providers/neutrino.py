"""Neutrino: SMS Verify and Phone Verify (voice) with our own code; no receipts, no reference, no message id.

Facts: Neutrino's OpenAPI 3.7.2 and pages, its SDKs (names and numbers of the errors), and what its error page says of
HTTP statuses. Correlation exists only within one exchange; ``sent: true`` is the last that is ever heard of a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import httpx

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities, provider_language
from pipeline.model.options import OptionRule, WholeNumber
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders.answers import in_doubt, not_sent, rejected, throttled
from pipeline.senders.form import CONTENT_TYPE
from pipeline.senders.form import form as encoded
from pipeline.senders.posting import Post
from pipeline.senders.provider import Answer, NoExtras, Opened, Probe, Unsendable, not_offered
from pipeline.senders.told import USER_AGENT, json_object, retry_after_s
from pipeline.settings import NeutrinoSettings

BASE_URL: Final = "https://neutrinoapi.net"


PATHS: Final = MappingProxyType({Channel.SMS: "/sms-verify", Channel.VOICE: "/phone-verify"})
HANDED_OVER: Final = MappingProxyType({Channel.SMS: "sent", Channel.VOICE: "calling"})
"""The field of the answer that says whether the message left."""

LANGUAGES: Final = MappingProxyType({tag: tag for tag in ("de", "en", "es", "fr", "it", "pt", "ru")})
"""All 7 tags the API takes; they have no regions."""
DEFAULT_LANGUAGE: Final = "en"

OPTIONS: Final[Mapping[str, OptionRule]] = MappingProxyType(
    {"limit": WholeNumber(1, 1_000), "limit_ttl": WholeNumber(1, 365), "playback_delay": WholeNumber(0, 60_000)}
)
"""Step options: messages per number within the TTL, days, milliseconds before the voice (voice only)."""
_SMS_OPTIONS: Final = MappingProxyType({name: OPTIONS[name] for name in ("limit", "limit_ttl")})

_CHANNEL: Final = ChannelCapabilities(
    own_code=True,
    # ``security-code`` is an int32: more than 9 digits may fail, and a leading zero is lost.
    code_min=4,
    code_max=9,
    code_digits_only=True,
    code_leading_zero=False,
    languages=LANGUAGES,
    default_language=DEFAULT_LANGUAGE,
    # Told in the answer in clear, so that nobody has to ask for a verdict. Neutrino's own check would take any live
    # code of the whole account for right: it knows neither a number nor a request.
    provider_code=(4, 12),
    receipts=False,
)

CAPABILITIES: Final = ProviderCapabilities(
    kind="neutrino",
    channels=MappingProxyType(
        {
            Channel.SMS: replace(_CHANNEL, brand=True, options=_SMS_OPTIONS),
            Channel.VOICE: replace(_CHANNEL, options=OPTIONS),
        }
    ),
)

_REQUEST: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
_ACCOUNT: Final = rejected(ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED)
_CREDIT: Final = rejected(ResultClass.ACCOUNT, Reason.CREDIT_EXHAUSTED)
_FOREIGN: Final = rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR)
"""Errors of other endpoints: a refusal all the same."""

ERRORS: Final[Mapping[int, Answer]] = MappingProxyType(
    {
        # The request. A bad number comes as number-valid=false, so 1 is a parameter of ours.
        1: _REQUEST,  # missing or invalid parameter
        3: _REQUEST,  # invalid URL
        9: _REQUEST,  # invalid JSON
        12: _REQUEST,  # audio cannot be loaded
        44: _REQUEST,  # request too large
        18: _FOREIGN,  # this API is deprecated
        45: _FOREIGN,  # endpoint does not exist
        # The limit per number at this provider (our ``limit``, or its default): another provider may still send.
        14: rejected(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE),
        # Our settings. Daily limits free up 24 hours after the first call of their window.
        2: _ACCOUNT,  # daily limit
        4: _ACCOUNT,  # account or IP banned
        7: _ACCOUNT,  # account not verified
        8: _ACCOUNT,  # telephony not enabled
        10: _ACCOUNT,  # no access to this API
        16: _ACCOUNT,  # limit of the free plan
        31: _ACCOUNT,  # daily limit set by ourselves
        43: _ACCOUNT,  # user id or key invalid
        13: _CREDIT,  # HLR limit, card declined
        19: _CREDIT,  # credit limit reached, payment declined
        # Not now. Full lines free up in seconds; a service that is down is better left to another provider.
        5: not_sent(),  # not responding
        52: not_sent(),  # maintenance
        6: throttled(1.0),  # too many connections
        11: throttled(2.0),  # too many simultaneous calls
        15: throttled(5.0, pauses_provider=False),  # a call to this number is in progress
        # A fault while sending: the message may have gone out.
        51: in_doubt(""),
        # Batch endpoint.
        21: _FOREIGN,
        22: _FOREIGN,
        23: _FOREIGN,
        24: _FOREIGN,
        # Other endpoints: rendering, data sets.
        17: _FOREIGN,
        26: _FOREIGN,
        27: _FOREIGN,
        28: _FOREIGN,
        # Made by the SDKs for their own side of the line (time-outs, DNS, TLS, I/O, no JSON), never on the wire. Should
        # one come over it, it tells of a line behind the provider, of which nothing is certain.
        **{code: in_doubt("") for code in range(61, 72)},
    }
)
"""Every published ``api-error``; the HTTP status is too coarse to decide by."""

_CODE: Final = re.compile(r"[1-9][0-9]{3,8}", re.ASCII)
_MADE: Final = re.compile(r"[0-9]{4,12}", re.ASCII)


class Neutrino(NoExtras):
    """One Neutrino account."""

    def __init__(
        self,
        *,
        instance: str,
        settings: NeutrinoSettings,
        capabilities: ProviderCapabilities = CAPABILITIES,
        webhook_url: str = "",
    ) -> None:
        self.instance = instance
        self.capabilities = capabilities
        self._unsent_is_certain = settings.unsent_is_certain
        self._base = (settings.base_url or BASE_URL).rstrip("/")
        self._headers = {
            "User-ID": settings.user_id.get_secret_value(),
            "API-Key": settings.api_key.get_secret_value(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        headers = {**self._headers, "Content-Type": CONTENT_TYPE}
        self._posts = {channel: Post(httpx.URL(self._base + path), headers) for channel, path in PATHS.items()}

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        """``POST /sms-verify`` or ``/phone-verify``. Raises Unsendable for a channel, code or option it cannot take.

        The number goes as E.164 with ``+`` and without ``country-code``: with it, Neutrino would read it as national.
        """
        if command.kind is not CommandKind.SEND:
            raise not_offered("neutrino", command)
        able = self.capabilities.channels.get(command.channel)
        if able is None:
            raise Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, f"neutrino does not serve {command.channel} here")
        form = {"number": opened.recipient}
        if opened.code is None:
            form["code-length"] = str(command.code_length)
        elif _CODE.fullmatch(opened.code):
            form["security-code"] = opened.code
        else:
            raise Unsendable(
                Reason.UNSUPPORTED_BY_PROVIDER, "neutrino takes codes of 4-9 digits without a leading zero"
            )
        form["language-code"] = provider_language(able, command.language)[0] or DEFAULT_LANGUAGE
        if able.brand and command.brand:
            form["brand-name"] = command.brand
        for name, text in sorted(command.options.items()):
            rule = able.options.get(name)
            if rule is None:
                raise Unsendable(Reason.UNKNOWN_OPTION, f"neutrino has no option of this name on {command.channel}")
            if not rule.takes(text):
                raise Unsendable(Reason.INVALID_FIELD, f"options.{name}: {rule.says}")
            form[name.replace("_", "-")] = str(int(text))
        return self._posts[command.channel].request(encoded(form))

    def interpret(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        """A full answer of ``/sms-verify`` or ``/phone-verify``."""
        body = json_object(response.content)
        if response.status_code == 200 and "api-error" not in body:
            return self._handed_over(command.channel, opened, body)
        return _refused(response, body)

    def probe(self, now_ms: int) -> httpx.Request:
        """Whether a number nobody has is valid: the one question that sends and costs nothing."""
        return httpx.Request("GET", f"{self._base}/phone-validate?number=%2B12025550100", headers=self._headers)

    def probed(self, response: httpx.Response) -> Probe:
        """Any answer to the question itself will do."""
        body = json_object(response.content)
        if response.status_code == 200 and isinstance(body.get("valid"), bool):
            return Probe(True, "credentials accepted")
        return Probe(False, _refused(response, body).detail or "")

    def _handed_over(self, channel: Channel, opened: Opened, body: dict[str, Any]) -> Answer:
        valid = body.get("number-valid")
        left = body.get(HANDED_OVER[channel])
        if valid is False and left is not True:  # an invalid number that was sent to is no certain statement
            return replace(rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED), number_valid=False)
        if valid is not True or not isinstance(left, bool):
            return in_doubt(f"HTTP 200 with odd number-valid and {HANDED_OVER[channel]}", unmapped=True)
        if left:
            return _sent(channel, opened, body)
        detail = f"{HANDED_OVER[channel]}: false"
        return replace(not_sent(detail=detail) if self._unsent_is_certain else in_doubt(detail), number_valid=True)


def _sent(channel: Channel, opened: Opened, body: dict[str, Any]) -> Answer:
    answer = Answer(result=AttemptResult.ACCEPTED, status=AttemptStatus.SENT, number_valid=True, used_channel=channel)
    echoed = body.get("security-code")
    if opened.code is None:
        if isinstance(echoed, str | int) and _MADE.fullmatch(str(echoed)):
            return replace(answer, made_code=str(echoed))
        alarm = "the provider sent a code of its own and did not say which"
        return replace(
            rejected(ResultClass.CONTENT, Reason.PROVIDER_ERROR), number_valid=True, detail=alarm, alarm=alarm
        )
    if echoed is None:
        return replace(answer, alarm="the provider did not say which code it sent")
    if str(echoed) != opened.code:
        # The person holds a code that no check of ours will ever accept: as good as not sent, so let another provider
        # send ours. Only an operator can find out why.
        alarm = "the provider sent another code than the one it was given"
        return replace(
            rejected(ResultClass.CONTENT, Reason.PROVIDER_ERROR), number_valid=True, detail=alarm, alarm=alarm
        )
    return answer


def _refused(response: httpx.Response, body: dict[str, Any]) -> Answer:
    status = response.status_code
    code = body.get("api-error")
    if status == 429 and "api-error" not in body:
        # From whatever stands before the API; a request turned away for its rate was not carried out.
        return replace(throttled(retry_after_s(response.headers)), detail="HTTP 429", unmapped=True)
    if isinstance(code, bool) or not isinstance(code, int):
        return in_doubt(f"HTTP {status} without api-error", unmapped=True)
    answer = ERRORS.get(code)
    detail = f"HTTP {status} api-error {code}" if 0 <= code <= 9_999 else f"HTTP {status} with an odd api-error"
    return in_doubt(detail, unmapped=True) if answer is None else replace(answer, detail=detail)

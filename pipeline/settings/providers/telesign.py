"""Telesign, by the names of its console."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from pipeline.settings.base import shaped
from pipeline.settings.credentials import Credential
from pipeline.settings.providers.common import ProviderSettings

_Tag = Annotated[str, shaped(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*", "a BCP-47 tag, such as en or pt-BR")]

SMART_DIGITS: Final = 5
"""Of a code of ours for Smart Verify, and of the shortest that it makes."""


class TelesignSettings(ProviderSettings):
    """Telesign SMS Verify, Voice Verify and Smart Verify: sms, voice."""

    kind: Literal["telesign"] = "telesign"
    """Which provider it is."""
    channels: list[Literal["sms", "voice"]] = []
    """Channels to use; empty means all that the provider offers."""
    rate_per_s: float = Field(50.0, gt=0)
    """Calls per second of this credential, over all processes; the default is Telesign's for full-service accounts,
    self-service ones have 1."""
    customer_id: Credential = SecretStr("")
    """Customer id, 36 characters."""
    api_key: Credential = SecretStr("")
    """API key, Base64; also signs the callbacks."""
    auth: Literal["basic", "digest"] = "digest"
    """``digest`` signs each request (HMAC-SHA256), ``basic`` sends the key."""
    own_texts: bool = False
    """Send our texts also where Telesign's own wording would do; a text, brand or payment of a request always takes
    ours."""
    max_text_chars: int = Field(160, ge=1, le=1_600)
    """Longest SMS text of ours; Telesign raises its 160 to 1600 on request."""
    max_call_digits: int = Field(5, ge=5, le=7)
    """Longest code of ours for a call: 5 digits by the API's description, 7 by a guide of Telesign's."""
    languages: list[_Tag] = []
    """Languages that Telesign's own wording is known to have, as BCP-47 tags; it publishes no list for texts, templates
    and speech alike. Any other is then left to Telesign and named in ``adjusted``; empty passes any on."""
    report_success: bool = True
    """Tell Telesign when a person entered our code rightly, which it recommends strongly."""
    smart_verify: bool = False
    """Hand automatic SMS-then-voice plans to Smart Verify as a whole. Such a message takes no sender and no option but
    ``ignore_risk``; without ``smart_own_code`` Telesign makes its code, of 7 digits or of 5: only for tenants whose
    ``min_code_length`` allows 5, and for requests that wish no length."""
    smart_own_code: bool = False
    """Give Smart Verify a code of ours where the request's or the tenant's ``code_length`` is 5. Telesign's SDK sends
    one, its current page lists none."""
    smart_preference: bool = False
    """Tell Smart Verify the preferred channel, as ``sms`` or ``call``; Telesign's page and its SDK name the values
    differently."""

    @field_validator("customer_id")
    @classmethod
    def _no_colon(cls, value: SecretStr) -> SecretStr:
        if ":" in value.get_secret_value():
            raise ValueError("holds a colon, which ends it in a header; copy it anew, without the key")
        return value

    @field_validator("api_key")
    @classmethod
    def _base64(cls, value: SecretStr) -> SecretStr:
        try:
            # Leniently, as Telesign's own SDK: what is no letter of the alphabet is passed over.
            decoded = base64.b64decode(value.get_secret_value())
        except ValueError:
            decoded = b""
        if value.get_secret_value() and not decoded:
            raise ValueError("is no Base64; copy it anew, with the = at its end")
        return value

    def lacks(self) -> Iterator[tuple[str, str]]:
        """What Smart Verify needs to be used at all."""
        if self.smart_verify and len(set(self.channels)) == 1:
            yield "smart_verify", "needs sms and voice; add the other one to channels, or remove it"
        for field in ("smart_own_code", "smart_preference"):
            if getattr(self, field) and not self.smart_verify:
                yield field, "says something of Smart Verify, which is not used; set smart_verify = true, or remove it"

    def idle(self, shortest_code: int) -> Iterator[tuple[str, str]]:
        """Smart Verify, whose codes may be of five digits."""
        if self.smart_verify and shortest_code > SMART_DIGITS:
            yield (
                "smart_verify",
                f"its codes may have {SMART_DIGITS} digits, fewer than any tenant takes, so nothing would be handed "
                f"over; set tenants.<name>.min_code_length = {SMART_DIGITS} for one, or remove it",
            )

    def cannot_reach(self, public_url: str) -> str | None:
        """It calls back by https on port 443 only; the simulator does everywhere."""
        if not self.requires_receipts:
            return None
        host = urlsplit(self.base_url).hostname or ""
        address = urlsplit(public_url)
        if (self.base_url and not host.endswith(".telesign.com")) or (
            address.scheme == "https" and address.port in (None, 443)
        ):
            return None
        return (
            "Telesign calls back by https on port 443 only; write https:// without a port, or set requires_receipts = "
            "false for Telesign, whose status is then asked for"
        )

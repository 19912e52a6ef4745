"""Telesign, by the names of its console."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from pipeline.settings.base import shaped
from pipeline.settings.credentials import Credential
from pipeline.settings.providers.common import ProviderSettings

_Tag = Annotated[str, shaped(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*", "a BCP-47 tag, such as en or pt-BR")]


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
    ``ignore_risk``; without ``smart_own_code`` Telesign makes its code."""
    smart_own_code: bool = False
    """Give Smart Verify a code of ours, of 5 digits. Telesign's SDK sends one, its current page lists none."""
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

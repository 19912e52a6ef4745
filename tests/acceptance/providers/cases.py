"""Each provider on each channel it serves: what is asked for, who makes the code, and how its arrival is heard of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.acceptance.providers.accounts import INSTANCES, SECOND

Made = Literal["ours", "theirs", "told"]
"""By us; by the provider, which alone can judge it; by the provider, which told us."""
Heard = Literal["report", "correlator", "asked", "never"]
"""By a signed report that names our reference; by one that does not; by looking it up; not at all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One way to verify somebody."""

    provider: str
    channel: str
    made: Made = "ours"
    heard: Heard
    digits: int = 8
    """Of the code that arrives."""
    cost: bool = False
    operation: str
    """What the provider calls the request to send."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the request, beside the step that pins the provider."""
    note: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.provider, self.channel, self.note) if part)

    @property
    def kind(self) -> str:
        """Of the provider."""
        return INSTANCES[self.provider]

    @property
    def request(self) -> dict[str, Any]:
        """Without the recipient."""
        pinned = {"steps": [{"channel": self.channel, "provider": self.provider}]}
        return {**pinned, "expires_in_s": 120, **self.fields}


_SHORT: Final = {"tenant": "short"}
_LONG: Final = {"tenant": "long"}
"""Asks for twelve digits unless the provider cannot."""

CASES: Final = (
    Case(provider="ycloud", channel="sms", heard="report", cost=True, operation="start"),
    Case(
        provider="ycloud",
        channel="voice",
        heard="report",
        cost=True,
        operation="start",
        digits=5,
        fields=_SHORT,
    ),
    Case(provider="ycloud", channel="whatsapp", heard="report", cost=True, operation="start"),
    Case(provider="ycloud", channel="email", heard="report", cost=True, operation="start"),
    Case(
        provider="telesign",
        channel="sms",
        heard="report",
        cost=True,
        operation="sms",
        digits=5,
        fields=_SHORT,
    ),
    Case(
        provider="telesign",
        channel="voice",
        heard="report",
        cost=True,
        operation="call",
        digits=5,
        fields=_SHORT,
    ),
    Case(
        provider="telesign",
        channel="sms",
        made="theirs",
        heard="report",
        cost=True,
        operation="sms",
        digits=7,
        fields=_LONG,
        note="its-code",
    ),
    Case(
        provider="telesign",
        channel="voice",
        made="theirs",
        heard="report",
        cost=True,
        operation="call",
        digits=5,
        fields=_LONG,
        note="its-code",
    ),
    Case(
        provider="telesign",
        channel="sms",
        made="theirs",
        heard="correlator",
        cost=True,
        operation="smart",
        digits=7,
        # Not pinned, and long enough for a second step: an automatic plan, handed over as a whole.
        fields={"tenant": "smart", "steps": [], "expires_in_s": 120},
        note="smart",
    ),
    Case(provider="bird", channel="sms", made="theirs", heard="correlator", operation="create"),
    Case(provider="bird", channel="whatsapp", made="theirs", heard="correlator", operation="create"),
    Case(
        provider="bird",
        channel="email",
        made="theirs",
        heard="correlator",
        operation="create",
        digits=12,
        fields=_LONG,
    ),
    Case(provider=SECOND, channel="sms", made="theirs", heard="correlator", operation="create"),
    Case(provider="neutrino", channel="sms", heard="never", operation="sms-verify"),
    Case(provider="neutrino", channel="voice", heard="never", operation="phone-verify"),
    Case(
        provider="neutrino",
        channel="sms",
        made="told",
        heard="never",
        operation="sms-verify",
        digits=12,
        fields=_LONG,
        note="its-code",
    ),
    Case(provider="thundersms", channel="sms", heard="report", operation="send"),
    Case(provider="thundersms", channel="whatsapp", heard="report", operation="send"),
    Case(provider="thundersms", channel="viber", heard="report", operation="send"),
    # Its reports of calls name nothing of ours and no message we know.
    Case(provider="thundersms", channel="voice", heard="asked", operation="send"),
    Case(
        provider="thundersms",
        channel="viber",
        made="theirs",
        heard="report",
        operation="send",
        digits=10,
        fields=_LONG,
        note="its-code",
    ),
    Case(provider="smtp", channel="email", heard="never", operation="send"),
    Case(provider="smtp", channel="email", heard="never", operation="send", digits=12, fields=_LONG, note="long"),
)

REPORTS_SUCCESS: Final[Mapping[str, str]] = {"ycloud": "check", "telesign": "completion"}
"""Kinds that want to hear of a success with our code, and what they call that."""
JUDGES: Final[Mapping[str, str]] = {"bird": "check", "telesign": "status", "thundersms": "check"}
"""Kinds that tell whether a typed code is the one they made, and what they call that."""

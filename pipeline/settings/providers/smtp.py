"""A mail server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, SecretStr

from pipeline.settings.base import Url
from pipeline.settings.credentials import Password
from pipeline.settings.mail import HelloName, MailAddress, MailHost, MailName
from pipeline.settings.providers.common import ProviderSettings, is_loopback


class SmtpSettings(ProviderSettings):
    """E-mail by plain SMTP."""

    kind: Literal["smtp"] = "smtp"
    """Which provider it is."""
    max_concurrency: int = Field(5, ge=1, le=10_000)
    """Connections of one process to the mail server, each with one message at a time."""
    rate_per_s: float = Field(10.0, gt=0)
    """Messages per second of this account, over all processes; servers for submission commonly take this much."""
    channels: list[Literal["email"]] = []
    """Channels to use; it offers email only."""
    requires_receipts: bool = False
    """SMTP sends none."""
    host: MailHost = ""
    """Mail server."""
    port: int = Field(587, ge=1, le=65_535)
    """Its port; servers that encrypt from the first byte mostly have 465."""
    username: str = ""
    """User, where the server wants one."""
    password: Password = SecretStr("")
    """Password of the user."""
    base_url: Url = ""
    """Must stay empty: mail has no address of an API, but ``host`` and ``port``."""
    from_address: MailAddress = ""
    """Sender of the messages; its domain is also that of the message ids."""
    from_name: MailName = ""
    """Name shown as the sender; empty shows the brand of the verification, or none."""
    tls: bool = False
    """Encrypt from the first byte; ``starttls`` then says nothing more."""
    starttls: bool = True
    """Encrypt before anything else is said, and refuse to go on without. Off with ``tls`` off too: nothing is
    encrypted, so codes and addresses can be read on the way; no password is sent so but to this machine."""
    helo_name: HelloName = ""
    """Name by which we introduce ourselves; empty uses the domain of ``from_address``."""

    def lacks(self) -> Iterator[tuple[str, str]]:
        """User and password together, and no way on which the password could be read."""
        if self.base_url:
            yield "base_url", "mail has no address of an API; remove it, and set host and port"
        if bool(self.username) != bool(self.password.get_secret_value()):
            yield (
                "username",
                "a user and a password belong together; set both, or neither for a server that asks for none",
            )
        if self.username and not (self.tls or self.starttls) and not is_loopback(self.host):
            yield (
                "starttls",
                "the password would cross the network in clear; set starttls = true, or tls = true for a server that "
                "encrypts from the first byte (port 465)",
            )

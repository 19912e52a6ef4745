"""What a provider of mail asks of the client that speaks SMTP, and what it is told; plain values on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a conversation with a mail server stands; a reply belongs to one of them (RFC 5321, 3207, 4954)."""

    CONNECT = "connect"
    """The server's greeting."""
    HELLO = "hello"
    TLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """The wish to hand over the content, before a byte of it."""
    CONTENT = "content"
    """After the whole content: the only reply that says whether the message was taken."""
    NOOP = "noop"
    """The end of a probe."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Mail:
    """One message to one recipient; without a repr, as it holds the code and the address."""

    envelope_from: str
    """Address without a name; where non-delivery is told."""
    envelope_to: str
    content: bytes
    """RFC 5322, all lines ending in CRLF, dots not yet doubled."""
    extensions: tuple[str, ...] = ()
    """What the server must offer for it: keywords of EHLO."""


@dataclass(frozen=True, slots=True)
class MailProbe:
    """Connect, encrypt and log in as for a message, and send none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReply:
    """The reply that ended a conversation. Its text is left behind: servers quote addresses and content in it."""

    stage: Stage
    code: int = 0
    """Three digits (RFC 5321, 4.2)."""
    status: str = ""
    """Enhanced status code, such as ``5.1.1`` (RFC 3463); empty without one of the same class as ``code``."""
    lacks: str | None = None
    """The extension that the server does not offer; then it was asked nothing, and there is no code."""

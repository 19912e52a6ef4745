"""What is in a mail: whether it is one at all, what a person reads in it, and the code."""

from __future__ import annotations

import email
import re
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from typing import Final

_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_ONCE: Final = ("From", "Date", "Message-ID")
_AT_MOST_ONCE: Final = ("To", "Subject", "Sender", "Reply-To", "MIME-Version", "Content-Type")
_MESSAGE_ID: Final = re.compile(r"<([^<>@\s]+)@[^<>@\s]+>")
_MARKED: Final = re.compile(r"<(?:strong|b|code)\b[^>]*>\s*([A-Za-z0-9]{4,12})\s*</", re.IGNORECASE)
_DIGITS: Final = re.compile(r"(?<![\w+])\d{4,12}(?!\w)", re.ASCII)


class NoMail(Exception):
    """The content is no message as RFC 5322 wants it; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A mail as its person sees it."""

    text: str
    code: str | None
    reference: str | None
    """The part of the message id before the ``@``."""


def read(content: bytes, *, eight_bits: bool) -> Read:
    """Read a mail; ``eight_bits`` says whether other bytes than ASCII were announced. Raises NoMail.

    Stricter than most servers: what they let pass, and another one on the way may not, is a mistake of ours.
    """
    if _BARE.search(content):
        raise NoMail("a line end without its other half")
    if not eight_bits and not content.isascii():
        raise NoMail("bytes that are not ASCII, unannounced")
    mail = email.message_from_bytes(content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    defects = [type(defect).__name__ for part in mail.walk() for defect in part.defects]
    if defects:
        raise NoMail(", ".join(defects))
    for name in _ONCE:
        if len(mail.get_all(name, [])) != 1:
            raise NoMail(f"{name} must be there once")
    for name in _AT_MOST_ONCE:
        if len(mail.get_all(name, [])) > 1:
            raise NoMail(f"{name} is there twice")
    message_id = _MESSAGE_ID.fullmatch(str(mail["Message-ID"]).strip())
    if message_id is None:
        raise NoMail("Message-ID is none")
    text, html = _body(mail, "plain"), _body(mail, "html")
    return Read(text=(text or html).strip(), code=_code(text, html), reference=message_id[1])


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


def _code(text: str, html: str) -> str | None:
    """What the HTML marks, else the last digits of the text that look like a code."""
    marked = _MARKED.search(html)
    if marked is not None:
        return marked[1]
    found = _DIGITS.findall(text or html)
    return found[-1] if found else None

"""The message itself: text and HTML side by side, and headers that nobody can break out of.

The email package of the standard library decodes encoded words (``=?utf-8?q?a=0D=0ABcc:_x?=``) in what it is given and,
in some versions, writes the line break it finds inside. So what goes into a header is checked here, before it. And
until 3.13 it loses a blank where it cuts a long name or subject into encoded words (python/cpython#92081), and the
quotes where it cuts a long name without such words. So those are cut here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC, datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from html import escape
from typing import Any, Final

from pipeline.model.messages import Message
from pipeline.model.reasons import Reason
from pipeline.senders.provider import Unsendable

DEFAULT_SUBJECT: Final = "Your verification code"
"""Never the code itself: notifications and previews show a subject on locked screens."""

_LINE_END: Final = "\r\n"


class _Policy(EmailPolicy):
    """With names and subjects as they were given, however long."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        kept = self.utf8 or value.isascii()
        if name not in ("From", "Subject") or (kept and not self._is_cut(name, value)):
            return super().fold_binary(name, value)
        rest = ""
        if name == "From":
            (address,) = value.addresses
            value, rest = address.display_name, f"{_LINE_END} <{address.addr_spec}>"
        words = Header(str(value), "utf-8", header_name=name).encode(linesep=_LINE_END)
        return f"{name}: {words}{rest}{_LINE_END}".encode("ascii")

    def _is_cut(self, name: str, value: Any) -> bool:
        """Whether a name's quotes may be forgotten at a cut, so that a comma in it begins another sender."""
        if name != "From":
            return False
        (address,) = value.addresses
        quoted = 2 * len(address.display_name) + len('""')  # at most, with a backslash before each sign
        return len(f"{name}: ") + quoted > (self.max_line_length or 0)


_ASCII: Final = _Policy(linesep=_LINE_END, cte_type="7bit")
"""No server needs to take more than seven bits of the body."""
_UTF8: Final = _ASCII.clone(utf8=True)
"""For addresses that no ASCII header can hold (RFC 6532)."""

_ENCODED_WORD: Final = re.compile(r"=\?.*\?.*\?.*\?=", re.DOTALL)
_BREAKING: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})
"""Controls, separators of lines and paragraphs, halves of characters."""
_IN_TEXT: Final = frozenset("\n\t")
_CODE_SIGN: Final = "\0"
"""Stands for the code while the text becomes HTML: no text holds it, as texts hold no controls."""

_HTML: Final = """\
<!DOCTYPE html>
<html lang="{language}" dir="{direction}">
<head><meta charset="utf-8"><title>{subject}</title></head>
<body style="font-family:sans-serif;font-size:16px;line-height:1.5">
<p>{text}</p>
</body>
</html>
"""
_MARKED: Final = '<strong dir="ltr" style="font-size:1.25em;white-space:nowrap">{code}</strong>'
"""A code reads from left to right in every language."""


def header_text(text: str, field: str) -> str:
    """``text`` if it can stand in a header. Raises Unsendable naming the field, never the text."""
    if any(unicodedata.category(sign) in _BREAKING for sign in text) or _ENCODED_WORD.search(text):
        raise Unsendable(Reason.INVALID_FIELD, f"{field}: holds a line break or control character, or an encoded word")
    return text


def compose(
    *,
    message: Message,
    code: str,
    sender: str,
    sender_name: str | None,
    recipient: str,
    message_id: str,
    now_ms: int,
    utf8: bool,
) -> bytes:
    """The bytes to hand over; the same arguments give the same bytes.

    ``utf8`` is for a recipient whose local part is not ASCII. Raises Unsendable.
    """
    text = message.text(code)
    if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in _IN_TEXT for sign in text):
        raise Unsendable(Reason.INVALID_TEXT, "text: holds control characters")
    subject = header_text(message.subject or DEFAULT_SUBJECT, "subject")
    mail = EmailMessage(policy=_UTF8 if utf8 else _ASCII)
    mail["From"] = _address(sender, header_text(sender_name or "", "brand"))
    mail["To"] = _address(header_text(recipient, "recipient"))
    mail["Subject"] = subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1_000, UTC).replace(microsecond=0))
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notice comes back
    mail.set_content(text)
    # A boundary by chance would make each message another; this one cannot stand in a text that it is the hash of.
    mail.make_alternative(boundary=f"=_{hashlib.sha256(f'{message_id} {text}'.encode()).hexdigest()[:32]}")
    mail.add_alternative(_html(message, code, subject), subtype="html")
    return mail.as_bytes()


def _address(address: str, name: str = "") -> Address:
    local, _, domain = address.rpartition("@")
    return Address(display_name=name, username=local, domain=domain)


def _html(message: Message, code: str, subject: str) -> str:
    text = escape(message.text(_CODE_SIGN)).replace("\n", "<br>\n")
    return _HTML.format(
        language=escape(message.language),
        direction=message.direction,
        subject=escape(subject),
        text=text.replace(_CODE_SIGN, _MARKED.format(code=escape(code))),
    )

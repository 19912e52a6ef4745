"""What the settings of a mail server may hold."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from pipeline.settings.base import is_host, shaped

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)+{_LABEL}"
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+)*"


def _host(text: str) -> str:
    if text and not is_host(text):
        raise ValueError("is neither a host name nor an IP address; write mail.example.org, and the port in port")
    return text


def _visible(text: str) -> str:
    if any(unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Cs") for sign in text):
        raise ValueError("holds a line break or control character; write a name on one line")
    return text


MailHost = Annotated[str, AfterValidator(_host)]
"""Where a mail server is, or empty."""
MailAddress = Annotated[
    str,
    shaped(
        rf"(?:{_LOCAL}@{_DOMAIN})?",
        "an e-mail address without a name, such as verify@example.org (a domain with other letters in its xn-- form)",
    ),
]
"""An address of ours, or empty."""
MailName = Annotated[str, AfterValidator(_visible)]
"""What people read as the sender, or empty."""
HelloName = Annotated[str, shaped(rf"(?:{_DOMAIN})?", "a host name with a domain, such as verify.example.org")]
"""How we introduce ourselves, or empty."""

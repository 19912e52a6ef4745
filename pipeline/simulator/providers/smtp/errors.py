"""The refusals that the mail server can be told to give, and where in a conversation each belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

RCPT: Final = "rcpt"
CONTENT: Final = "content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One line of the server's."""

    stage: str
    """Whether RCPT or the content is answered with it."""
    code: str
    """Reply code and enhanced status code."""
    text: str

    @property
    def said(self) -> str:
        """For the list of calls."""
        return self.code

    @property
    def line(self) -> str:
        """As it goes over the wire, without its end."""
        return f"{self.code} {self.text}"


_AT: Final[Mapping[str, Mapping[str, str]]] = {
    RCPT: {
        "421 4.3.2": "Closing for maintenance",
        "421 4.7.0": "Too many messages from you, closing",
        "450 4.2.1": "This mailbox gets too much mail, try later",
        "450 4.7.1": "Greylisted, try later",
        "451 4.4.3": "Directory lookup failed, try later",
        "452 4.2.2": "Mailbox full",
        "530 5.7.0": "Authentication required",
        "550 5.1.1": "No such user here",
        "550 5.1.2": "No such domain",
        "550 5.2.1": "Mailbox disabled",
        "550 5.4.4": "Unable to route",
        "550 5.7.1": "Relaying denied",
        "552 5.2.2": "Mailbox full",
        "553 5.1.3": "Bad address syntax",
        "556 5.1.10": "Recipient address has null MX",
    },
    CONTENT: {
        "421 4.3.0": "Internal trouble, closing",
        "451 4.3.0": "Local error in processing",
        "452 4.3.1": "Insufficient system storage",
        "550 5.7.26": "Neither SPF nor DKIM passed",
        "552 5.3.4": "Message too big",
        "554 5.3.0": "Transaction failed",
        "554 5.6.0": "Message content rejected",
        "554 5.7.1": "Message looks like spam",
    },
}

ERRORS: Final[Mapping[str, Reply]] = {
    code: Reply(stage=stage, code=code, text=text) for stage, texts in _AT.items() for code, text in texts.items()
}
"""By reply code and enhanced status code."""
TAKEN: Final = Reply(stage=CONTENT, code="250 2.0.0", text="Queued")
NOTHING: Final = Reply(stage=CONTENT, code="", text="")

"""What the mail server does with a message: the same behaviours as every simulated provider."""

from __future__ import annotations

import hmac
from typing import ClassVar

from pipeline.simulator.behaviour import Behaviour, Refusal
from pipeline.simulator.providers.smtp.errors import ERRORS, NOTHING, TAKEN, Reply
from pipeline.simulator.providers.smtp.messages import Read
from pipeline.simulator.simulated import Asked, Simulated
from pipeline.simulator.world import Account

SEND = "send"


class Smtp(Simulated[Reply]):
    """A mail server; accounts without a user need no login."""

    name = "smtp"
    required_credentials = ()
    sending = (SEND,)
    operations = (SEND,)
    channels = ("email",)
    answers = ("taken",)
    unhappy_answers = ()
    error_codes = tuple(ERRORS)
    refusals: ClassVar = {
        Refusal.RECIPIENT: "550 5.1.1",
        Refusal.BLOCKED: "550 5.2.1",
        Refusal.CONTENT: "554 5.6.0",
        Refusal.ACCOUNT: "550 5.7.1",
        Refusal.CREDENTIALS: "530 5.7.0",
        Refusal.ROUTE: "550 5.4.4",
        Refusal.INTERNAL: "554 5.3.0",
    }
    nothing = NOTHING
    address = ""
    """Where it listens, once it does."""

    @property
    def place(self) -> str:
        """``smtp://host:port``."""
        return self.address

    def login(self, username: bytes, password: bytes) -> Account | None:
        """The account with these credentials."""
        given = b"\0".join((username, password))
        for account in self.accounts:
            right = b"\0".join(account.credentials[name].encode() for name in ("username", "password"))
            if account.credentials["username"] and hmac.compare_digest(given, right):
                return account
        return None

    def open_account(self) -> Account | None:
        """The account for those who do not log in, where there is one."""
        return next((account for account in self.accounts if not account.credentials["username"]), None)

    def asked(self, account: Account, recipient: str) -> Asked:
        """A message on its way, as far as its envelope tells."""
        local, _, domain = recipient.rpartition("@")
        return Asked(operation=SEND, account=account, channel="email", recipient=f"{local}@{domain.lower()}")

    def perform(self, asked: Asked, answer: str) -> Reply:
        return TAKEN

    def send_message(self, asked: Asked, behaviour: Behaviour) -> bool:
        mail: Read = asked.values["mail"]
        self.show(asked, text=mail.text, code=mail.code or "")
        return True

    def error(self, code: str, asked: Asked | None = None) -> Reply:
        return ERRORS[code]

    def throttled(self, retry_after_s: int, asked: Asked | None = None) -> Reply:
        # When to come back has no field in SMTP.
        return ERRORS["450 4.7.1"]

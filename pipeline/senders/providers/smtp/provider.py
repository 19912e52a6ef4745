"""One mail server and the account on it."""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.errors import Refused
from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.messages.catalogue import LANGUAGES
from pipeline.model.reasons import Reason
from pipeline.model.recipient import canonical
from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, Channel, CommandKind
from pipeline.senders.mail import Mail, MailProbe, MailReply, Stage
from pipeline.senders.provider import Answer, NoExtras, Opened, Probe, Unsendable, not_offered
from pipeline.senders.providers.smtp.message import compose
from pipeline.senders.providers.smtp.replies import read, told
from pipeline.settings import SmtpSettings


class MailAddress:
    """The rule for a sender: mail comes from an e-mail address."""

    says: Final = "must be an e-mail address"

    def takes(self, value: str) -> bool:
        """Whether the value keeps the rule."""
        return _address(value) is not None


CAPABILITIES: Final = ProviderCapabilities(
    kind="smtp",
    channels=MappingProxyType(
        {
            Channel.EMAIL: ChannelCapabilities(
                own_code=True,
                code_min=4,
                code_max=12,
                code_digits_only=False,
                code_leading_zero=True,
                languages=LANGUAGES,
                default_language="en",
                sender=True,
                sender_rule=MailAddress(),
                text=True,
                subject=True,
                amount=True,
                brand=True,
                receipts=False,
            )
        }
    ),
)

_CODE: Final = re.compile(r"[A-Za-z0-9]{4,12}", re.ASCII)
_RECIPIENT: Final = re.compile(r"[^\s\x00-\x20\x7f<>()\[\],:;@\\\"]{1,64}@[A-Za-z0-9.-]{1,253}")
"""What stays one address on a command line and in a header; anything finer was checked when the request came."""


class Smtp(NoExtras):
    """Mail over one account."""

    def __init__(
        self,
        *,
        instance: str,
        settings: SmtpSettings,
        capabilities: ProviderCapabilities = CAPABILITIES,
        webhook_url: str = "",
    ) -> None:
        self.instance = instance
        self.capabilities = capabilities
        self._from_address = settings.from_address
        self._from_name = settings.from_name

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> Mail:
        """The message. Raises Unsendable for another kind of command or channel, or what mail cannot carry."""
        if command.kind is not CommandKind.SEND or command.channel not in self.capabilities.channels:
            raise not_offered("smtp", command)
        if opened.message is None or opened.code is None or not _CODE.fullmatch(opened.code):
            raise Unsendable(
                Reason.UNSUPPORTED_BY_PROVIDER, "smtp sends our texts with codes of 4-12 letters or digits"
            )
        if command.options:
            raise Unsendable(Reason.UNKNOWN_OPTION, "smtp has no options")
        if not _RECIPIENT.fullmatch(opened.recipient):
            raise Unsendable(Reason.INVALID_RECIPIENT, "recipient: is no e-mail address that mail can be sent to")
        sender = _sender(command.sender) if command.sender else self._from_address
        utf8 = not opened.recipient.isascii()
        return Mail(
            envelope_from=sender,
            envelope_to=opened.recipient,
            content=compose(
                message=opened.message,
                code=opened.code,
                sender=sender,
                sender_name=self._from_name or command.brand,
                recipient=opened.recipient,
                message_id=self._message_id(command),
                now_ms=now_ms,
                utf8=utf8,
            ),
            extensions=("SMTPUTF8", "8BITMIME") if utf8 else (),
        )

    def interpret(self, command: SendCommand, opened: Opened, response: MailReply) -> Answer:
        """What the reply that ended the conversation means."""
        answer = read(response)
        if answer.result is AttemptResult.ACCEPTED:
            answer = replace(answer, provider_message_id=self._message_id(command))
        return answer

    def probe(self, now_ms: int) -> MailProbe:
        """Connect, encrypt, log in, NOOP, QUIT."""
        return MailProbe()

    def probed(self, response: MailReply) -> Probe:
        """Right when the server went along to the end."""
        return Probe(ok=response.stage is Stage.NOOP and response.code // 100 == 2, detail=told(response))

    def _message_id(self, command: SendCommand) -> str:
        """As in the header; mail servers log it, so a message can be followed by our reference."""
        return f"<{command.reference}@{self._from_address.rpartition('@')[2]}>"


def _sender(wished: str) -> str:
    address = _address(wished)
    if address is None:
        raise Unsendable(Reason.INVALID_FIELD, f"sender: {MailAddress.says}")
    return address


def _address(text: str) -> str | None:
    """Its canonical form; None for what is no e-mail address."""
    try:
        found = canonical(text, field="sender")
    except Refused:
        return None
    return found.canonical if found.kind == "email" else None

"""What the engine asks of a provider, and the words it gets the answer in.

A provider is pure: it builds a request, reads an answer, reads a webhook and checks a signature. It makes no call,
has no clock and keeps nothing between calls, so every published behaviour can be held in a table of cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.messages import Message
from pipeline.model.reasons import Reason
from pipeline.records.internal import Receipt, SendCommand
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, ResultClass


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Opened:
    """What a command holds sealed, in clear; lives in memory only and has no repr that could end in a log."""

    recipient: str
    """E.164 with ``+``, or an e-mail address with an A-label domain."""
    code: str | None = None
    """Of a check, the typed one; else None when the provider makes the code."""
    payee: str | None = None
    end_user_ip: str | None = None
    valid_s: int = 300
    """What is left of the code's life, or the step's ttl when that is shorter."""
    walk: tuple[str, ...] = ()
    """The recipients of the command's ``walk``, in its order."""
    message: Message | None = None
    """Our text, for sends that carry one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one call; the engine turns it into a SendResult.

    ``detail`` is for people and holds neither a code nor a recipient, so never text of the provider's own.

    For a check, ``result`` says whether there was an answer at all (``accepted``) and ``valid`` what it was. For a
    look-up, ``result`` and ``status`` are those of the message.
    """

    result: AttemptResult
    result_class: ResultClass = ResultClass.NONE
    reason: Reason | None = None
    detail: str | None = None
    provider_message_id: str | None = None
    status: AttemptStatus = AttemptStatus.NONE
    used_channel: Channel | None = None
    number_valid: bool | None = None
    cost: str | None = None
    currency: str | None = None
    made_code: str | None = field(default=None, repr=False)
    """The code the provider made, where its answer tells; sealed by the engine at once."""
    valid: bool | None = None
    """For checks: whether the typed code is right; None without a verdict."""
    already_verified: bool = False
    """For checks: its code was typed rightly before, so there is no verdict on this one."""
    not_found: bool = False
    """For look-ups: the provider knows no such message; whether that proves anything, the capabilities say."""
    throttled: bool = False
    """Certainly not sent, and worth asking again: the same attempt waits in the sender until its deadline."""
    retry_after_s: float | None = None
    """For throttled: as the provider said."""
    pauses_provider: bool = True
    """For throttled: everybody is too fast, not only this recipient."""
    repeat: bool = False
    """Certainly not sent, and refused for a value made for this one call (a nonce, a date): asked again at once with
    fresh ones, once. The second time the answer stands as it is."""
    unmapped: bool = False
    """In no table; counted, and in doubt."""
    alarm: str | None = None
    """Something an operator must hear of though the call as such was answered."""


class Unsendable(Exception):
    """The provider cannot carry this command; found before any call.

    The router plans by the same capabilities, so this is a configuration that changed in between, or a bug.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def not_offered(kind: str, command: SendCommand) -> Unsendable:
    """What to raise for a command this kind of provider has nothing for."""
    return Unsendable(Reason.UNSUPPORTED_BY_PROVIDER, f"{kind} has no {command.kind} on {command.channel}")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Webhook:
    """One request of a provider's to the gateway, as it came in."""

    body: bytes = b""
    """Raw: what is signed is bytes, not what they mean."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in any case."""
    url: str = ""
    """As the provider was told it, with the query: some sign it too."""
    token: str | None = None
    """The part of the path behind the provider's name."""
    query: Mapping[str, str] = field(default_factory=dict)
    received_at: int = 0
    """Epoch milliseconds."""


class BadWebhook(Exception):
    """A webhook whose signature is right but whose body is not what the provider documents."""


class Report(NamedTuple):
    """One delivery report, and the reference of the message it is about."""

    status: DeliveryStatus
    reference: str
    """As the provider echoed it. Two decisions can exist for one id; only this tells their messages apart."""


class Unplaced(NamedTuple):
    """One delivery report that does not say which attempt it is about; the correlator finds out."""

    receipt: Receipt
    recipient: str | None = None
    """Canonical, in clear, where the provider names nothing better; the gateway makes the receipt's key of it."""


class Probe(NamedTuple):
    """What a harmless call says of the credentials."""

    ok: bool
    detail: str
    """For people; no secret."""


class Provider(Protocol):
    """One configured provider account. :class:`NoExtras` has the answers of one that can nothing but send."""

    instance: str
    """The name in ``[providers.<name>]``; ``provider`` in records."""
    capabilities: ProviderCapabilities
    webhooks_enabled: bool
    """Whether a secret is configured; without one every webhook is turned away, never believed unsigned."""

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> Any:
        """The request for one command of any kind, as the provider's transport takes it. Raises Unsendable."""

    def wants_text(self, command: SendCommand) -> bool:
        """Whether this send carries a text of ours, on a channel that takes one; only then is it composed."""

    def interpret(self, command: SendCommand, opened: Opened, response: Any) -> Answer:
        """What a full answer to the command's request means; must not raise for any bytes."""

    def probe(self, now_ms: int) -> Any | None:
        """A request that changes nothing, costs nothing and needs right credentials; None where there is none."""

    def probed(self, response: Any) -> Probe:
        """What a full answer to the probe says."""

    def handshake(self, webhook: Webhook) -> bytes | None:
        """The JSON to answer a webhook with that only asks whether we are there; None for every other one.

        Asked before the signature: such a request may have none.
        """

    def statuses(self, webhook: Webhook) -> Sequence[Report | Unplaced]:
        """The delivery reports in a webhook whose signature is right; empty for events that are not ours.

        A status in no table comes out as ``unknown``. Raises BadWebhook.
        """

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """Whether the raw body was signed with one of the secrets; constant time.

        Where the signature holds a time, at most ``max_age_s`` from when it was received, earlier or later.
        """


class NoExtras:
    """A provider without webhooks and without a probe."""

    webhooks_enabled: bool = False

    def wants_text(self, command: SendCommand) -> bool:
        """Always."""
        return True

    def probe(self, now_ms: int) -> Any | None:
        """None."""
        return None

    def probed(self, response: Any) -> Probe:
        """Never asked."""
        raise NotImplementedError("there is no probe to answer")

    def handshake(self, webhook: Webhook) -> bytes | None:
        """No such thing."""
        return None

    def statuses(self, webhook: Webhook) -> Sequence[Report | Unplaced]:
        """Raises BadWebhook."""
        raise BadWebhook("this provider sends no webhooks")

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        """Nothing is signed, so nothing is right."""
        return False

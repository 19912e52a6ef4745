"""The public records: what any service may publish or read."""

from __future__ import annotations

from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    AvroRecord,
    Channel,
    CommandAction,
    Long,
    ReplyKind,
    TimeMs,
    VerificationMode,
    VerificationState,
)


class Step(AvroRecord, frozen=True, kw_only=True):
    """One entry of the ordered plan."""

    channel: Channel = Channel.UNKNOWN
    recipient: str | None = None
    """A recipient of this step's own; default is the request's."""
    country: str | None = None
    """ISO 3166-1 alpha-2; read the number as national of this country."""
    sender: str | None = None
    """Sender id or from."""
    provider: str | None = None
    """Use this configured provider and no other."""
    wait_s: int | None = None
    """5-900; how long this step may take before the next one starts."""
    ttl_s: int | None = None
    """30-1209600; how long the network may keep trying."""
    language: str | None = None
    """BCP-47; ``pt_BR`` is accepted."""
    template: str | None = None
    """Name of a text in the catalogue."""
    text: str | None = None
    """Own text; ``{code}`` one to three times; ``{brand} {minutes} {amount} {payee}`` allowed."""
    flow_id: str | None = None
    """Voice flow of the provider."""
    subject: str | None = None
    """Subject of an e-mail."""
    options: dict[str, str] = {}
    """Extras of one provider, by the names it lists."""


class VerificationRequest(AvroRecord, frozen=True, kw_only=True):
    """Ask for one verification; the public door."""

    verification_id: str
    """1-48 of [A-Za-z0-9_-]; the idempotency key."""
    tenant: str = "default"
    external_id: str | None = None
    """Up to 128 characters of the caller's, echoed everywhere."""
    recipient: str | None = None
    """Phone number as typed or e-mail address; may be absent when every step has one."""
    country: str | None = None
    """ISO 3166-1 alpha-2; read the number as national of this country."""
    mode: VerificationMode = VerificationMode.VERIFY
    steps: list[Step] = []
    """Ordered plan; empty means automatic."""
    channel_defaults: list[Step] = []
    """Used for any step of that channel, also automatic ones; at most one per channel; no recipient or wait."""
    prefer_channel: Channel | None = None
    """Best effort, for automatic plans only."""
    code: str | None = None
    """The caller's own code, 4-12 letters or digits."""
    code_sealed: bytes | None = None
    """The same, sealed to the pipeline's public key; not both."""
    code_length: int | None = None
    """4-12; must equal the own code's length when both are given."""
    language: str | None = None
    """BCP-47; ``pt_BR`` is accepted."""
    brand: str | None = None
    """1-32 characters shown to the person."""
    signature: str | None = None
    """Approved signature for SMS to mainland China."""
    use_case: str | None = None
    """One of the 14 use-case codes, such as ATCK or BACS."""
    expires_in_s: int | None = None
    """30-3600, default 300; over 600 on phone channels only where the tenant may."""
    max_checks: int | None = None
    """1-10, default 3."""
    end_user_ip: str | None = None
    """IP address of the person."""
    amount: str | None = None
    """Payment amount bound into a code of ours; together with payee."""
    payee: str | None = None
    """Payee bound into a code of ours; together with amount."""
    send_before_at: TimeMs | None = None
    """No provider is called for the first time after this."""
    job_id: str | None = None
    """Bulk job."""
    row: Long | None = None
    """Row of the bulk job."""
    metadata: dict[str, str] = {}
    """Up to 10 entries, key up to 40, value up to 256 characters; echoed."""
    requested_at: TimeMs = 0
    """When the person asked; 0 is the record's timestamp."""


class StepView(AvroRecord, frozen=True, kw_only=True):
    """A step as an outcome shows it."""

    index: int = 0
    channel: Channel = Channel.UNKNOWN
    provider: str | None = None
    """The provider last chosen for this step, or its pin."""
    recipient_masked: str = ""
    wait_s: int = 0


class Attempt(AvroRecord, frozen=True, kw_only=True):
    """One hand-over of one message to one provider."""

    attempt_id: str
    """``<verification_id>.<n>``, n from 1 without gaps."""
    step_index: int = 0
    channel: Channel = Channel.UNKNOWN
    used_channel: Channel | None = None
    """The channel as the provider reports it."""
    provider: str = ""
    reference: str = ""
    """What the provider was given as our reference."""
    provider_message_id: str | None = None
    recipient_masked: str = ""
    recipient_hash: str = ""
    result: AttemptResult = AttemptResult.UNKNOWN
    status: AttemptStatus = AttemptStatus.UNKNOWN
    reason: str | None = None
    number_valid: bool | None = None
    language: str | None = None
    """The language asked of the provider."""
    sender: str | None = None
    adjusted: list[str] = []
    """Soft wishes that this route could not honour."""
    sent_at: TimeMs | None = None
    """When the provider was called."""
    delivered_at: TimeMs | None = None
    cost: str | None = None
    currency: str | None = None


class VerificationOutcome(AvroRecord, frozen=True, kw_only=True):
    """The whole joined state of a verification; one record per change."""

    verification_id: str
    version: Long
    """1, 2, 3 ... without gap or repeat per verification."""
    tenant: str = "default"
    external_id: str | None = None
    job_id: str | None = None
    row: Long | None = None
    mode: VerificationMode = VerificationMode.VERIFY
    state: VerificationState = VerificationState.UNKNOWN
    is_final: bool = False
    """The last record for this id."""
    reason: str | None = None
    """Why, from the closed list."""
    detail: str | None = None
    """For people; no secret."""
    recipient_masked: str = ""
    recipient_hash: str = ""
    """Keyed hash per tenant, 32 hex digits."""
    country: str | None = None
    channel: Channel | None = None
    """Channel of the active step."""
    step_index: int | None = None
    """The active step."""
    provider: str | None = None
    """Provider of the latest attempt."""
    steps: list[StepView] = []
    attempts: list[Attempt] = []
    language: str | None = None
    code_length: int = 0
    """Of the latest message's code: a provider that makes it may make a shorter or longer one than planned."""
    number_valid: bool | None = None
    failed_checks: int = 0
    checks_left: int = 0
    max_checks: int = 0
    cost: str | None = None
    """So far, decimal."""
    currency: str | None = None
    verified_attempt_id: str | None = None
    """The attempt credited with the right code."""
    test: bool = False
    metadata: dict[str, str] = {}
    created_at: TimeMs = 0
    updated_at: TimeMs = 0
    expires_at: TimeMs = 0
    """The queue deadline until ``sent_at`` is set, then the end of the code's life."""
    sent_at: TimeMs | None = None
    """The first provider call."""
    delivered_at: TimeMs | None = None
    verified_at: TimeMs | None = None


class DeliveryStatus(AvroRecord, frozen=True, kw_only=True):
    """A delivery report of one known attempt; also what arrives after the final outcome."""

    verification_id: str
    attempt_id: str
    provider: str = ""
    status: AttemptStatus = AttemptStatus.UNKNOWN
    reason: str | None = None
    occurred_at: TimeMs = 0
    """When it happened, as the provider says; not believed when over a day before or 5 min after its record's time."""
    received_at: TimeMs = 0
    cost: str | None = None
    currency: str | None = None


class CodeCheck(AvroRecord, frozen=True, kw_only=True):
    """A code typed by the person."""

    check_id: str
    """The same id always gets the same reply and counts once."""
    verification_id: str
    tenant: str | None = None
    """When given it must be the verification's."""
    code: str | None = None
    code_sealed: bytes | None = None
    """The same, sealed to the pipeline's public key."""
    end_user_ip: str | None = None
    checked_at: TimeMs = 0
    """When the person typed it; informative, the broker's append time decides."""


class Command(AvroRecord, frozen=True, kw_only=True):
    """Something a caller asks of a running verification."""

    command_id: str
    verification_id: str
    tenant: str | None = None
    action: CommandAction = CommandAction.UNKNOWN
    step_index: int | None = None
    issued_at: TimeMs = 0


class Reply(AvroRecord, frozen=True, kw_only=True):
    """The answer to a check or a command."""

    request_id: str
    """The check_id or command_id."""
    verification_id: str
    kind: ReplyKind = ReplyKind.UNKNOWN
    ok: bool = False
    reason: str = ""
    checks_left: int = 0
    state: VerificationState = VerificationState.UNKNOWN
    step_index: int | None = None
    retry_at: TimeMs | None = None
    expires_at: TimeMs | None = None
    replied_at: TimeMs = 0


class DeadLetter(AvroRecord, frozen=True, kw_only=True):
    """A record that could not be handled, with its reason and where it stood."""

    reason: str = ""
    detail: str = ""
    """For people; no secret."""
    stage: str = ""
    topic: str = ""
    """Source topic, without the deployment prefix."""
    partition: int = 0
    offset: Long = 0
    verification_id: str | None = None
    payload_sealed: bytes | None = None
    """The record with its headers, sealed; null when too large."""
    failed_at: TimeMs = 0

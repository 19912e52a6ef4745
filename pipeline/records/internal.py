"""Records between our own stages; they may change together with the code, but stay versioned.

Everything named ``*_sealed`` is sealed with the key ring (``pipeline.model.sealing``); no field holds a code, a full
recipient, an IP address or a payee in clear.
"""

from __future__ import annotations

from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    AvroRecord,
    BreakerState,
    Channel,
    CodeHolder,
    CommandKind,
    ControlKind,
    DecisionKind,
    Long,
    ResultClass,
    RoutingKind,
    TimeMs,
    VerificationMode,
    VerificationState,
)


class PlannedStep(AvroRecord, frozen=True, kw_only=True):
    """A step after validation: defaults merged, recipient normalised and sealed."""

    index: int = 0
    channel: Channel = Channel.UNKNOWN
    recipient_sealed: bytes = b""
    recipient_masked: str = ""
    recipient_hash: str = ""
    """Keyed per tenant, 32 hex digits."""
    recipient_key: str = ""
    """Keyed without the tenant: the router's state key, as limits live with the person."""
    partition: int = 0
    """The partition of ``router-inbox`` where this recipient's limits live."""
    country: str | None = None
    provider: str | None = None
    """Pinned provider."""
    wait_s: int = 30
    ttl_s: int | None = None
    language: str | None = None
    """The language the caller wished, step before request; null: by recipient's country, tenant, en."""
    sender: str | None = None
    template: str | None = None
    text: str | None = None
    flow_id: str | None = None
    subject: str | None = None
    options: dict[str, str] = {}
    automatic: bool = False
    """Made by the automatic plan, not by the caller."""


class Plan(AvroRecord, frozen=True, kw_only=True):
    """All that is pinned for one verification when its request is decided."""

    tenant: str = "default"
    external_id: str | None = None
    job_id: str | None = None
    row: Long | None = None
    mode: VerificationMode = VerificationMode.VERIFY
    metadata: dict[str, str] = {}
    bulk: bool = False
    """The lane this verification travels in."""
    test: bool = False
    recipient_masked: str = ""
    """Of the key recipient."""
    recipient_hash: str = ""
    recipient_key: str = ""
    recipient_partition: int = 0
    """Partition of ``router-inbox`` where the key recipient's state lives."""
    country: str | None = None
    steps: list[PlannedStep] = []
    code_holder: CodeHolder = CodeHolder.OURS
    """``ours`` or ``caller``; an attempt may still be given to a provider that makes its own."""
    kid: str = ""
    """Key id the code is derived with; pinned."""
    code_length: int = 0
    code_length_asked: bool = False
    """The caller named it, so a provider that makes codes must make one of exactly this length."""
    code_sealed: bytes | None = None
    """The caller's own code, sealed."""
    amount: str | None = None
    payee_sealed: bytes | None = None
    language: str | None = None
    brand: str | None = None
    signature: str | None = None
    signature_by_tenant: bool = False
    """The tenant's default, which only SMS to mainland China carry; a request's own is a wish every SMS must honour."""
    use_case: str | None = None
    end_user_ip_sealed: bytes | None = None
    prefer_channel: Channel | None = None
    expires_in_s: int = 300
    max_checks: int = 3
    checks_allowed: int = 3
    """max_checks, or less when the recipient's failure limit leaves less."""
    queue_deadline_at: TimeMs = 0
    """No first provider call after this."""
    requested_at: TimeMs = 0
    """The request's ``requested_at``, or its record's time."""


class TakenMessage(AvroRecord, frozen=True, kw_only=True):
    """A message that a provider took for this verification, and may send again or take to another channel when asked.

    Steps are counted among those that it was told of with the message.
    """

    provider: str
    provider_message_id: str
    place: int = 0
    """Of the step a route is asked for."""
    again: bool = False
    """Something was sent at this place."""
    told_steps: int = 0
    """How many it was told of after this place."""
    code_length: int = 0


class AttemptPlan(AvroRecord, frozen=True, kw_only=True):
    """The route the router picked for one attempt."""

    n: int = 0
    """From 1 without gaps per verification."""
    step_index: int = 0
    last_step: int = 0
    """The last step this attempt stands for: more than ``step_index`` where the provider walks on by itself."""
    channel: Channel = Channel.UNKNOWN
    provider: str = ""
    reference: str = ""
    """``<verification_id>_<n>_<6 base32 characters of the decision id>``."""
    sender: str | None = None
    language: str | None = None
    code_holder: CodeHolder = CodeHolder.OURS
    code_length: int = 0
    """Of this attempt's code; a provider that makes it may make another length than the plan's."""
    generation: int = 0
    """Which of the verification's codes it carries, where it is one of ours; 0 is the first."""
    place: int = 0
    """Which of the steps it is that its provider was told of with the message: not the first one where the attempt is
    an earlier one's message once more, or on another channel."""
    told_steps: int = 0
    """How many steps after it the provider was told of, to go on to when asked."""
    taken_message_id: str | None = None
    """The provider's id of the earlier attempt's message that this one is another sending of."""
    adjusted: list[str] = []
    has_receipts: bool = True
    """Whether this provider reports deliveries for this channel."""
    has_check: bool = False
    """Whether it tells if a typed code is the one it made."""
    has_report: bool = False
    """Whether it wants to be told of a success."""
    has_cancel: bool = False
    lookups_s: list[int] = []
    """Seconds after the call at which to ask for the status while nothing final is known."""
    finds_lost_s: list[int] = []
    """The same for a call whose answer was lost."""
    why: str = ""
    """How the route was chosen, for ``policy explain`` and people."""


class Decision(AvroRecord, frozen=True, kw_only=True):
    """What the router made of one request record or one routing event."""

    verification_id: str
    kind: DecisionKind = DecisionKind.UNKNOWN
    decision_id: str = ""
    """Lower-case hex of a hash of verification id, recipient hash and source position; one per request record."""
    plan: Plan | None = None
    """Set for ``accepted`` and ``refused``."""
    attempt: AttemptPlan | None = None
    """Set for ``routed``, and for ``accepted`` unless its first step is routed in another partition."""
    step_index: int = 0
    """For ``routed`` and ``unroutable``: the step that was asked for."""
    n: int = 0
    """For ``routed`` and ``unroutable``: the attempt number that was asked for."""
    state: VerificationState = VerificationState.PENDING
    """For ``refused``: the final state."""
    reason: str | None = None
    detail: str | None = None
    source_topic: str = ""
    """For ``accepted`` and ``refused``: where the request stands as its producer wrote it; empty when unknown."""
    source_partition: int = 0
    source_offset: Long = 0
    recorded_at: TimeMs = 0
    """The timestamp of that record."""
    decided_at: TimeMs = 0


class WalkStep(AvroRecord, frozen=True, kw_only=True):
    """A further step that a provider goes on to by itself."""

    index: int = 0
    channel: Channel = Channel.UNKNOWN
    recipient_sealed: bytes = b""
    wait_s: int = 30
    """How long the step before may take."""
    ttl_s: int | None = None
    language: str | None = None
    """BCP-47."""
    sender: str | None = None
    flow_id: str | None = None


class SendCommand(AvroRecord, frozen=True, kw_only=True):
    """One thing for one sender to do."""

    verification_id: str
    command_id: str
    """The attempt id for sends, the check id for checks."""
    kind: CommandKind = CommandKind.UNKNOWN
    attempt_id: str = ""
    decision_id: str = ""
    n: int = 0
    step_index: int = 0
    tenant: str = "default"
    bulk: bool = False
    test: bool = False
    provider: str = ""
    channel: Channel = Channel.UNKNOWN
    reference: str = ""
    provider_message_id: str | None = None
    """For check, lookup, report and cancel; null in a lookup for a message whose answer was lost. In a send: the
    message to send again or to take to another channel, instead of a new one."""
    called_at: TimeMs | None = None
    """For lookup: when the message's call was begun."""
    recipient_sealed: bytes = b""
    recipient_masked: str = ""
    recipient_hash: str = ""
    recipient_key: str = ""
    """Keyed without the tenant: a receipt that names only a recipient names no tenant."""
    country: str | None = None
    key_recipient_hash: str = ""
    """The hash the code is derived with (the plan's ``recipient_hash``)."""
    code_holder: CodeHolder = CodeHolder.OURS
    kid: str = ""
    code_length: int = 0
    code_sealed: bytes | None = None
    """The caller's own code; for ``check`` the typed one."""
    generation: int = 0
    """Which of the verification's codes of ours the attempt carries; the code is derived with it."""
    amount: str | None = None
    payee_sealed: bytes | None = None
    language: str | None = None
    brand: str | None = None
    signature: str | None = None
    use_case: str | None = None
    end_user_ip_sealed: bytes | None = None
    prefer_channel: Channel | None = None
    sender: str | None = None
    template: str | None = None
    text: str | None = None
    flow_id: str | None = None
    subject: str | None = None
    ttl_s: int | None = None
    options: dict[str, str] = {}
    wait_s: int = 30
    """Of this step; only a provider that walks on needs it."""
    walk: list[WalkStep] = []
    """Further steps for the provider to go on to by itself, in order."""
    further: list[Channel] = []
    """Channels of the steps after this one that the provider is told of, to go on to when asked."""
    place: int = 0
    """In a send of a message that the provider has: which of the steps it was told of."""
    again: bool = False
    """In the same: whether something was sent at this place before."""
    adjusted: list[str] = []
    expires_in_s: int = 300
    send_by_at: TimeMs = 0
    """No call after this."""
    valid_until_at: TimeMs = 0
    """End of the code's life; 0 while no provider was called (then: call time + expires_in_s)."""
    requested_at: TimeMs = 0
    issued_at: TimeMs = 0


class SendResult(AvroRecord, frozen=True, kw_only=True):
    """What became of one command."""

    verification_id: str
    command_id: str
    kind: CommandKind = CommandKind.UNKNOWN
    attempt_id: str = ""
    decision_id: str = ""
    n: int = 0
    step_index: int = 0
    provider: str = ""
    channel: Channel = Channel.UNKNOWN
    used_channel: Channel | None = None
    result: AttemptResult = AttemptResult.UNKNOWN
    result_class: ResultClass = ResultClass.NONE
    reason: str | None = None
    detail: str | None = None
    provider_message_id: str | None = None
    status: AttemptStatus = AttemptStatus.NONE
    """What the answer itself says of the delivery (Neutrino: sent)."""
    code_holder: CodeHolder = CodeHolder.OURS
    code_sealed: bytes | None = None
    """The code the provider made, where it tells us (record SendResult, field code)."""
    valid: bool | None = None
    """For checks: the provider's verdict; null: it gave none."""
    already_verified: bool = False
    """For checks: the provider says that its code was typed rightly before, so it has no verdict on this one."""
    number_valid: bool | None = None
    language: str | None = None
    sender: str | None = None
    adjusted: list[str] = []
    called_at: TimeMs | None = None
    """When the call was begun; null when none was."""
    finished_at: TimeMs = 0
    cost: str | None = None
    currency: str | None = None


class RoutingEvent(AvroRecord, frozen=True, kw_only=True):
    """Something for the router at the partition of a recipient (topic ``router-inbox``)."""

    verification_id: str
    kind: RoutingKind = RoutingKind.UNKNOWN
    bulk: bool = False
    request_sealed: bytes | None = None
    """misplaced: the Avro single-object bytes of the request, sealed."""
    source_topic: str = ""
    source_partition: int = 0
    source_offset: Long = 0
    recorded_at: TimeMs = 0
    """misplaced: timestamp of the original record."""
    ack_by_at: TimeMs | None = None
    """misplaced: the ``ack_by`` header of the original record."""
    decision_id: str = ""
    plan: Plan | None = None
    """next_step: what was pinned."""
    step_index: int = 0
    n: int = 0
    """next_step: the attempt number to use."""
    used_providers: list[str] = []
    """next_step: providers already tried in this step."""
    last_step: int = -1
    """next_step: the last step that an earlier attempt stands for; none up to it may be walked on to, or it would be
    sent twice without anybody asking for it. -1: there is no earlier attempt."""
    taken: list[TakenMessage] = []
    """next_step: messages that this step may be another sending of, newest first."""
    generation: int = 0
    """next_step: which of the verification's codes the attempt is to carry, where it is one of ours."""
    sent_at: TimeMs | None = None
    """next_step: the first provider call, if any."""
    send_by_at: TimeMs = 0
    valid_until_at: TimeMs = 0
    tenant: str = "default"
    recipient_key: str = ""
    """verified, closed: of the key recipient."""
    failed_checks: int = 0
    """verified, closed: wrong codes of this verification."""
    provider: str | None = None
    channel: Channel | None = None
    occurred_at: TimeMs = 0


class MessageRef(AvroRecord, frozen=True, kw_only=True):
    """Which attempt a provider's message belongs to (topic ``message-refs``), for providers that echo nothing of ours.

    Keyed ``<provider>:<provider message id>``, or ``<provider>:<recipient key>:<channel>`` (written with STARTED,
    before there is a message id). Lives two hours.
    """

    verification_id: str
    attempt_id: str
    decision_id: str = ""
    bulk: bool = False
    """The lane the status has to go to."""
    provider: str = ""
    """Instance name."""
    channel: Channel = Channel.UNKNOWN
    provider_message_id: str | None = None
    """Null in the form that is written before the provider named the message."""
    reference: str = ""
    """Of the attempt; two decisions can exist for one id, and only this tells their messages apart."""
    recipient_key: str = ""
    """Keyed without the tenant: a receipt names none."""
    written_at: TimeMs = 0


class Receipt(AvroRecord, frozen=True, kw_only=True):
    """A delivery report as told, before anyone knows which attempt it means (topic ``receipts``); lives 24 hours."""

    provider: str = ""
    """Instance name."""
    provider_message_id: str | None = None
    recipient_key: str = ""
    """Keyed without the tenant; empty when the provider names the message."""
    channel: Channel | None = None
    """As the provider reports it."""
    status: AttemptStatus = AttemptStatus.UNKNOWN
    told: str = ""
    """The provider's own word or code for the status."""
    reason: str | None = None
    occurred_at: TimeMs = 0
    """When it happened, as the provider says."""
    received_at: TimeMs = 0
    cost: str | None = None
    currency: str | None = None


class ProviderHealth(AvroRecord, frozen=True, kw_only=True):
    """What one sender task thinks of its provider on a channel (compacted topic ``provider-health``)."""

    provider: str = ""
    """Instance name."""
    channel: Channel = Channel.UNKNOWN
    task: int = 0
    """Partition number of the task that says so."""
    state: BreakerState = BreakerState.UNKNOWN
    reason: str | None = None
    """Of the last failure."""
    calls: int = 0
    """Calls in the breaker's window."""
    failures: int = 0
    """Calls in the window that speak against the provider."""
    paused_until_at: TimeMs = 0
    """The provider asked for patience: no call of this credential before, by whichever process."""
    since_at: TimeMs = 0
    """When ``state`` began."""
    valid_until_at: TimeMs = 0
    """Later than this the entry says nothing any more."""
    updated_at: TimeMs = 0


class ControlEntry(AvroRecord, frozen=True, kw_only=True):
    """Something an operator changed while everything runs (compacted topic ``control``, keyed by ``name``).

    The scope is the conjunction of the fields that are set; an entry with none of them concerns everything.
    """

    name: str
    kind: ControlKind = ControlKind.UNKNOWN
    tenant: str | None = None
    provider: str | None = None
    """Instance name."""
    channel: Channel | None = None
    country: str | None = None
    """ISO 3166-1 alpha-2."""
    prefix: str | None = None
    """Leading part of E.164 numbers, with the plus."""
    weight: int | None = None
    """weight: 0-1000, the share of the provider among those a ``weighted`` rule names."""
    note: str | None = None
    """For people: why."""
    set_at: TimeMs = 0
    valid_until_at: TimeMs | None = None
    """Null: until it is cleared."""

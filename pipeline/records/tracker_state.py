"""What the tracker remembers of one verification, and what it hands to itself."""

from __future__ import annotations

from pipeline.records.internal import Decision, Plan, SendResult
from pipeline.records.public import Attempt, DeliveryStatus, Reply
from pipeline.records.types import (
    AvroRecord,
    CodeHolder,
    CommandAction,
    Long,
    ReplyKind,
    ResultClass,
    TimeMs,
    VerificationState,
)


class TrackedAttempt(AvroRecord, frozen=True, kw_only=True):
    """One attempt: what everybody may see, and the facts it was made of.

    Every fact only grows (a higher rank, an earlier time), so that answers and receipts may come in any order.
    """

    shown: Attempt
    """As outcomes show it."""
    n: int = 0
    country: str | None = None
    """Of the step's recipient."""
    code_holder: CodeHolder = CodeHolder.OURS
    last_step: int = 0
    """The last step it stands for: more than its own where the provider walks on by itself."""
    has_receipts: bool = True
    has_check: bool = False
    has_report: bool = False
    has_cancel: bool = False
    lookups_s: list[int] = []
    """Seconds after the call at which to ask for the status while nothing final is known."""
    finds_lost_s: list[int] = []
    """The same for a call whose answer was lost."""
    looked_up: int = 0
    """How many of the look-ups were asked for."""
    code_sealed: bytes | None = None
    """The code the provider made, where it told us (record SendResult, field code)."""
    result_class: ResultClass = ResultClass.NONE
    result_reason: str | None = None
    status_reason: str | None = None
    finished_at: TimeMs = 0
    """When the sender was done, by its own clock; 0 while it is not."""
    delivery_known_at: TimeMs | None = None
    """When the first record that reported a delivery was written."""
    wait_over: bool = False
    """The step's wait passed without success, or a caller asked for another attempt."""
    matured: int = 0
    """How many of the receipt horizons were counted."""
    result_detail: str | None = None
    """What the sender says of a call that came to nothing, for people."""
    code_length: int = 0
    """Of its code, as the route has it; 0 in states written before this was kept."""
    generation: int = 0
    """Which of the verification's codes it carries, where it is one of ours; 0 is the first."""
    wish: int = 0
    """Which of the caller's wishes for another message it was made for, counted from 1; 0: it was due by itself."""
    resend: bool = False
    """That wish was for a step once more."""
    place: int = 0
    """Which of the steps it is that its provider was told of with the message."""
    told_steps: int = 0
    """How many steps after it the provider was told of, to go on to when asked."""
    taken_message_id: str | None = None
    """The provider's id of the earlier attempt's message that this one is another sending of."""


class OutstandingRoute(AvroRecord, frozen=True, kw_only=True):
    """The one route that was asked for and not answered yet."""

    n: int = 0
    step_index: int = 0
    asked_at: TimeMs = 0
    resend: bool = False
    """A caller asked for this step again, so a route already used is better than none."""
    wish: int = 0
    """Which of the caller's wishes it is to fulfil, counted from 1; 0: it is due by itself. A caller was told that it
    is accepted, so it is sent even when an earlier message arrives meanwhile."""
    onward: bool = False
    """The caller named no step: should this one have no route, the one after it is wanted."""


class WaitingRequest(AvroRecord, frozen=True, kw_only=True):
    """A check or command that cannot be answered yet."""

    request_id: str = ""
    kind: ReplyKind = ReplyKind.UNKNOWN
    tenant: str | None = None
    code_sealed: bytes | None = None
    """The typed code, sealed with the key ring (record CodeCheck, field code)."""
    action: CommandAction = CommandAction.UNKNOWN
    step_index: int | None = None
    recorded_at: TimeMs = 0
    """The broker's append time, which decides whether a check is in time."""
    since_at: TimeMs = 0
    """Since when the tracker lets it wait."""


class ToldUnknown(AvroRecord, frozen=True, kw_only=True):
    """A check or command that was answered ``unknown_verification``, as there was no decision yet."""

    request_id: str = ""
    kind: ReplyKind = ReplyKind.UNKNOWN
    tenant: str | None = None
    told_at: TimeMs = 0


class ProviderCheck(AvroRecord, frozen=True, kw_only=True):
    """The one check that waits for a provider's verdict on a typed code."""

    request: WaitingRequest = WaitingRequest()
    """With its code."""
    asked: int = 0
    """The attempt whose provider is being asked."""
    left: list[int] = []
    """Attempts to ask after it, newest first."""
    unanswered: bool = False
    """One of those asked before gave no verdict, so without a yes there is none at all."""
    until_at: TimeMs = 0
    """No answer of the one being asked by then is none."""


class EarlyStatus(AvroRecord, frozen=True, kw_only=True):
    """A delivery report of an attempt that is not known yet."""

    status: DeliveryStatus
    recorded_at: TimeMs = 0
    reference: str | None = None
    """Of the message reported on; None when its writer did not tell."""


class TrackerState(AvroRecord, frozen=True, kw_only=True):
    """Everything about one verification id."""

    verification_id: str
    first_seen_at: TimeMs = 0
    """Time of the first record; what stays without a decision is dropped ten minutes later."""
    decision_id: str = ""
    """Of the decision that was joined; empty while there is none."""
    plan: Plan | None = None
    """None while there is no decision."""
    refused: bool = False
    """The router refused it: it was final from the start, and nothing was reserved at the recipient."""
    version: Long = 0
    """Of the last outcome."""
    state: VerificationState = VerificationState.PENDING
    reason: str | None = None
    detail: str | None = None
    attempts: list[TrackedAttempt] = []
    """In the order of n, from 1 without gaps."""
    routing: OutstandingRoute | None = None
    """At most one."""
    unroutable_steps: list[int] = []
    """Steps for which the router found no (other) route."""
    route_reason: str | None = None
    """Why the last of them has none."""
    route_detail: str | None = None
    """The same for people: which wish could not be met."""
    failed_checks: int = 0
    generation: int = 0
    """How many new codes were made, which is the number of the newest; the code is derived with it."""
    resends: int = 0
    wishes_over: int = 0
    """Up to which of the caller's wishes for another message no further route is looked for."""
    verified_attempt_id: str | None = None
    sent_at: TimeMs | None = None
    """The first provider call."""
    delivered_at: TimeMs | None = None
    verified_at: TimeMs | None = None
    final_at: TimeMs | None = None
    expiry_put_off_until_at: TimeMs = 0
    """Until when the expiry waits once more for misplaced checks, as nobody looked at its moment; 0: it never did."""
    updated_at: TimeMs = 0
    replies: list[Reply] = []
    """The last ones of each kind, oldest first; all that changed something."""
    told_unknown: list[ToldUnknown] = []
    """The last ones of each kind, oldest first. Apart from the replies, as another tenant's are none of its own: whose
    verification it would be was not known yet."""
    waiting: list[WaitingRequest] = []
    provider_check: ProviderCheck | None = None
    """At most one outstanding."""
    doubtful_codes: list[str] = []
    """Keyed hashes of attempts and typed codes whose provider check was in doubt: for these alone "already verified" is
    a yes."""
    unjudged_codes: list[str] = []
    """Keyed hashes of the different typed codes that nobody could judge; they were not counted as failed checks."""
    early_decisions: list[Decision] = []
    """Routes answered before the decision they belong to was read."""
    early_results: list[SendResult] = []
    early_statuses: list[EarlyStatus] = []
    early_results_at: list[TimeMs] = []
    """When the broker wrote each of ``early_results``; fewer where an earlier release kept some."""


class TrackerForward(AvroRecord, frozen=True, kw_only=True):
    """A check or command on its way from the wrong partition to the right one (topic ``tracker-inbox``)."""

    verification_id: str
    kind: ReplyKind = ReplyKind.UNKNOWN
    request_sealed: bytes = b""
    """The CodeCheck or Command in our framing, sealed with the key ring (record TrackerForward, field request)."""
    source_topic: str = ""
    source_partition: int = 0
    source_offset: Long = 0
    recorded_at: TimeMs = 0
    """The broker's append time of the original record."""

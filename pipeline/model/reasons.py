"""The closed list of reasons, each with its sentence and the state it leads to.

Used in outcomes, replies, dead letters, metrics and problem documents. Adding one is a decision to write down.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pipeline.errors import DeadLetterReason
from pipeline.records.types import VerificationState as State


class Reason(StrEnum):
    """Why a verification or one of its attempts ended as it did."""

    INVALID_RECIPIENT = "invalid_recipient"
    INVALID_COUNTRY = "invalid_country"
    INVALID_CHANNEL = "invalid_channel"
    INVALID_STEPS = "invalid_steps"
    INVALID_CODE = "invalid_code"
    INVALID_CODE_LENGTH = "invalid_code_length"
    INVALID_LANGUAGE = "invalid_language"
    INVALID_TEXT = "invalid_text"
    INVALID_FIELD = "invalid_field"
    MISSING_FIELD = "missing_field"
    UNSUPPORTED_COUNTRY = "unsupported_country"
    UNSUPPORTED_LINE_TYPE = "unsupported_line_type"
    UNSUPPORTED_BY_PROVIDER = "unsupported_by_provider"
    UNKNOWN_PROVIDER = "unknown_provider"
    UNKNOWN_TEMPLATE = "unknown_template"
    UNKNOWN_OPTION = "unknown_option"
    UNKNOWN_TENANT = "unknown_tenant"
    NO_ROUTE = "no_route"
    NO_CHANNEL = "no_channel"
    RATE_LIMITED_RECIPIENT = "rate_limited_recipient"
    RATE_LIMITED_IP = "rate_limited_ip"
    RATE_LIMITED_PREFIX = "rate_limited_prefix"
    RATE_LIMITED_COUNTRY = "rate_limited_country"
    RATE_LIMITED_TENANT = "rate_limited_tenant"
    BUDGET_EXCEEDED = "budget_exceeded"
    TOO_MANY_FAILURES = "too_many_failures"
    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    CONVERSION_GUARD = "conversion_guard"
    KILL_SWITCH = "kill_switch"
    DENIED_RECIPIENT = "denied_recipient"
    RECIPIENT_REJECTED = "recipient_rejected"
    RECIPIENT_BLOCKED = "recipient_blocked"
    CONTENT_REJECTED = "content_rejected"
    ACCOUNT_REJECTED = "account_rejected"
    CREDIT_EXHAUSTED = "credit_exhausted"
    ROUTE_UNAVAILABLE = "route_unavailable"
    THROTTLED = "throttled"
    PROVIDER_ERROR = "provider_error"
    IN_DOUBT = "in_doubt"
    UNDELIVERED = "undelivered"
    NO_RECEIPT = "no_receipt"
    STEPS_EXHAUSTED = "steps_exhausted"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    CHECKS_EXHAUSTED = "checks_exhausted"
    EXPIRED = "expired"
    TOO_LATE = "too_late"
    CANCELED_BY_CALLER = "canceled_by_caller"


class ReplyReason(StrEnum):
    """What a reply to a check or a command says."""

    VALID = "valid"
    WRONG_CODE = "wrong_code"
    EXPIRED = "expired"
    TOO_MANY_CHECKS = "too_many_checks"
    TOO_MANY_FAILURES = "too_many_failures"
    ALREADY_VERIFIED = "already_verified"
    UNKNOWN_VERIFICATION = "unknown_verification"
    NOT_ACTIVE = "not_active"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    ACCEPTED = "accepted"
    NO_SUCH_STEP = "no_such_step"
    NO_MORE_STEPS = "no_more_steps"
    RESEND_TOO_SOON = "resend_too_soon"
    TOO_MANY_RESENDS = "too_many_resends"
    TOO_LATE_TO_RESEND = "too_late_to_resend"
    ALREADY_FINAL = "already_final"
    INVALID_FIELD = "invalid_field"


class ProblemReason(StrEnum):
    """Why the gateway refused an HTTP request, where no reason of the router or of a reply says it."""

    BAD_CURSOR = "bad_cursor"
    BAD_SIGNATURE = "bad_signature"
    ID_CONFLICT = "id_conflict"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    INTERNAL_ERROR = "internal_error"
    LOG_UNAVAILABLE = "log_unavailable"
    MALFORMED = "malformed"
    MALFORMED_JSON = "malformed_json"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MISSING_SCOPE = "missing_scope"
    NOT_FOUND = "not_found"
    NOT_READY = "not_ready"
    RATE_LIMITED = "rate_limited"
    READMODEL_UNAVAILABLE = "readmodel_unavailable"
    REPLY_TIMEOUT = "reply_timeout"
    REQUEST_TIMEOUT = "request_timeout"
    TOO_LARGE = "too_large"
    UNAUTHENTICATED = "unauthenticated"
    UNKNOWN_PROVIDER = "unknown_provider"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    WEBHOOK_DISABLED = "webhook_disabled"


def _states() -> dict[Reason, State]:
    states: dict[Reason, State] = {}
    current = State.REJECTED
    turns = {
        Reason.RATE_LIMITED_RECIPIENT: State.BLOCKED,
        Reason.RECIPIENT_REJECTED: State.FAILED,
        Reason.EXPIRED: State.EXPIRED,
        Reason.CANCELED_BY_CALLER: State.CANCELED,
    }
    for reason in Reason:
        current = turns.get(reason, current)
        states[reason] = current
    return states


STATE: Final[dict[Reason, State]] = _states()
"""The final state each reason leads to."""

SENTENCE: Final[dict[Reason, str]] = {
    Reason.INVALID_RECIPIENT: "The recipient is no valid phone number or e-mail address.",
    Reason.INVALID_COUNTRY: "The country is no ISO 3166-1 alpha-2 code.",
    Reason.INVALID_CHANNEL: "The channel is unknown or does not fit the recipient.",
    Reason.INVALID_STEPS: "The steps contradict each other or cannot all start before the expiry.",
    Reason.INVALID_CODE: "The own code is not made of letters and digits, or was given twice.",
    Reason.INVALID_CODE_LENGTH: "The code length is outside what the tenant may use.",
    Reason.INVALID_LANGUAGE: "The language is no BCP-47 tag.",
    Reason.INVALID_TEXT: "The text lacks {code} or uses a placeholder that does not exist.",
    Reason.INVALID_FIELD: "A field has a value outside its range.",
    Reason.MISSING_FIELD: "A field that is needed is missing.",
    Reason.UNSUPPORTED_COUNTRY: "No configured provider serves this country.",
    Reason.UNSUPPORTED_LINE_TYPE: "This kind of line cannot take the message.",
    Reason.UNSUPPORTED_BY_PROVIDER: "The pinned provider cannot do what was asked.",
    Reason.UNKNOWN_PROVIDER: "The pinned provider is not configured.",
    Reason.UNKNOWN_TEMPLATE: "The template is not in the catalogue.",
    Reason.UNKNOWN_OPTION: "The provider lists no such option.",
    Reason.UNKNOWN_TENANT: "The tenant is not configured.",
    Reason.NO_ROUTE: "No provider can take the message as asked.",
    Reason.NO_CHANNEL: "No channel fits the recipient.",
    Reason.RATE_LIMITED_RECIPIENT: "Too many verifications for this recipient.",
    Reason.RATE_LIMITED_IP: "Too many verifications from this address.",
    Reason.RATE_LIMITED_PREFIX: "Too many verifications for this number range.",
    Reason.RATE_LIMITED_COUNTRY: "Too many verifications for this country.",
    Reason.RATE_LIMITED_TENANT: "Too many verifications of this tenant.",
    Reason.BUDGET_EXCEEDED: "The tenant's budget is used up.",
    Reason.TOO_MANY_FAILURES: "Too many wrong codes for this recipient.",
    Reason.COUNTRY_NOT_ALLOWED: "The tenant does not allow this country.",
    Reason.CONVERSION_GUARD: "Too few verifications of this range are ever completed.",
    Reason.KILL_SWITCH: "An operator switched this off.",
    Reason.DENIED_RECIPIENT: "The recipient is on the deny list.",
    Reason.RECIPIENT_REJECTED: "The provider says that the recipient cannot be reached.",
    Reason.RECIPIENT_BLOCKED: "The provider blocks this recipient.",
    Reason.CONTENT_REJECTED: "The provider refused the content or the sender.",
    Reason.ACCOUNT_REJECTED: "The provider refused our account.",
    Reason.CREDIT_EXHAUSTED: "The provider account has no credit left.",
    Reason.ROUTE_UNAVAILABLE: "The provider has no route to this recipient, or was not reached.",
    Reason.THROTTLED: "The provider took no more messages before the deadline.",
    Reason.PROVIDER_ERROR: "The provider failed.",
    Reason.IN_DOUBT: "Nobody knows whether the provider took the message.",
    Reason.UNDELIVERED: "The message was not delivered.",
    Reason.NO_RECEIPT: "No delivery report came in time.",
    Reason.STEPS_EXHAUSTED: "Every step was tried without success.",
    Reason.ATTEMPTS_EXHAUSTED: "The limit of attempts was reached.",
    Reason.CHECKS_EXHAUSTED: "Too many wrong codes.",
    Reason.EXPIRED: "The code was not entered in time.",
    Reason.TOO_LATE: "The request could not be served before its deadline.",
    Reason.CANCELED_BY_CALLER: "The caller canceled the verification.",
}

REPLY_SENTENCE: Final[dict[ReplyReason, str]] = {
    ReplyReason.VALID: "The code is right; the verification ends as verified.",
    ReplyReason.WRONG_CODE: "The code is wrong; `checks_left` says how many tries are left.",
    ReplyReason.EXPIRED: "The check was written after the code's end; it is not counted.",
    ReplyReason.TOO_MANY_CHECKS: "The verification's checks are used up, or more of them wait than it allows.",
    ReplyReason.TOO_MANY_FAILURES: "The recipient failed too often before, over all verifications; no check is left.",
    ReplyReason.ALREADY_VERIFIED: "A right code was accepted before; a code is accepted once.",
    ReplyReason.UNKNOWN_VERIFICATION: "No such verification is known, or it is another tenant's.",
    ReplyReason.NOT_ACTIVE: "The verification ended otherwise, or has nothing to check.",
    ReplyReason.PROVIDER_UNAVAILABLE: "The provider that holds the code did not answer; it is not counted.",
    ReplyReason.ACCEPTED: "The command is carried out.",
    ReplyReason.NO_SUCH_STEP: "The plan has no step of this index.",
    ReplyReason.NO_MORE_STEPS: "There is no step left to fail over to.",
    ReplyReason.RESEND_TOO_SOON: "Not yet; `retry_at` says when.",
    ReplyReason.TOO_MANY_RESENDS: "The limit of resends or attempts was reached.",
    ReplyReason.TOO_LATE_TO_RESEND: "Too little of the code's life is left to send anything.",
    ReplyReason.ALREADY_FINAL: "The verification has ended.",
    ReplyReason.INVALID_FIELD: "The action is none that is known here.",
}

DEAD_LETTER_SENTENCE: Final[dict[DeadLetterReason, str]] = {
    DeadLetterReason.UNKNOWN_FRAMING: "The first bytes are of no framing that is read.",
    DeadLetterReason.UNKNOWN_SCHEMA: "The writer schema is not known, or was refused.",
    DeadLetterReason.UNDECODABLE: "The bytes are not what their schema says, or a sealed value does not open.",
    DeadLetterReason.TOO_LARGE: "The record, or what would follow from it, is too large.",
    DeadLetterReason.ID_CONFLICT: "The id was used before with another tenant, recipient or content.",
    DeadLetterReason.HANDLER_REFUSED: "It could not be handled: it failed three times over, or nobody carries it out.",
}

"""YCloud's error table (docs.ycloud.com, "Handle errors") and its envelope, the same for every failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from pipeline.simulator.answers import Answer

ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "BAD_REQUEST": (400, "The request cannot be read."),
    "PARAM_INVALID": (400, "A parameter is invalid."),
    "PARAM_INVALID_LENGTH": (400, "The length of a parameter is out of range."),
    "PARAM_MISSING": (400, "A required parameter is missing."),
    "PARAM_NOT_MATCH": (400, "Parameters do not fit together."),
    "MESSAGING_REGION_UNSUPPORTED": (400, "Messages to this region are not supported."),
    "UNAUTHORIZED": (401, "The API key is missing or invalid."),
    "ACCOUNT_LIMITED": (403, "The account is limited."),
    "ACCOUNT_UNAVAILABLE": (403, "The account is unavailable."),
    "FORBIDDEN": (403, "The operation is forbidden."),
    "BALANCE_INSUFFICIENT": (403, "The balance is insufficient."),
    "RECIPIENT_IN_BLOCK_LIST": (403, "The recipient is in the block list."),
    "RECIPIENT_UNSUBSCRIBED": (403, "The recipient has unsubscribed."),
    "SENDER_ID_UNAVAILABLE": (403, "The sender id is unavailable."),
    "SMS_SIGNATURE_UNAVAILABLE": (403, "The SMS signature is unavailable."),
    "CONTENT_PROHIBITED": (403, "The content is prohibited."),
    "EMAIL_DOMAIN_UNVERIFIED": (403, "The e-mail domain is not verified."),
    "WHATSAPP_PHONE_NUMBER_UNAVAILABLE": (403, "The WhatsApp phone number is unavailable."),
    "WHATSAPP_TEMPLATE_UNAVAILABLE": (403, "The WhatsApp template is unavailable."),
    "WHATSAPP_WABA_UNAVAILABLE": (403, "The WhatsApp Business Account is unavailable."),
    "WHATSAPP_BUSINESS_ACCOUNT_UNAVAILABLE": (403, "The WhatsApp Business Account is unavailable."),
    "NOT_FOUND": (404, "The resource does not exist."),
    "ALREADY_EXISTS": (409, "The resource exists already."),
    "CONTENT_TOO_LARGE": (413, "The request is too large."),
    "TOO_MANY_REQUESTS": (429, "There are too many requests."),
    "ACCOUNT_RATE_LIMITED": (429, "The account's rate limit is exceeded."),
    "SENDER_RATE_LIMITED": (429, "The sender's rate limit is exceeded."),
    "INTERNAL_SERVER_ERROR": (500, "An internal error occurred."),
    "SERVICE_UNAVAILABLE": (503, "The service is unavailable."),
}
"""Status and a sentence for people by error code."""

TARGETS: Final[Mapping[str, str]] = {
    "PARAM_INVALID": "to",
    "RECIPIENT_IN_BLOCK_LIST": "to",
    "RECIPIENT_UNSUBSCRIBED": "to",
    "MESSAGING_REGION_UNSUPPORTED": "to",
    "SENDER_ID_UNAVAILABLE": "senderId",
    "SMS_SIGNATURE_UNAVAILABLE": "signature",
}
"""The field an error that was asked for is about."""


def error_answer(
    code: str,
    *,
    request_id: str,
    target: str | None = None,
    message: str | None = None,
    retry_after_s: int | None = None,
) -> Answer:
    """The envelope; codes of status 429 always say when to come back."""
    status, sentence = ERRORS[code]
    error: dict[str, object] = {"status": status, "code": code, "message": message or sentence}
    if target is not None:
        error["target"] = target
    error["docUrl"] = "https://docs.ycloud.com/reference/errors"
    error["requestId"] = request_id
    headers: tuple[tuple[bytes, bytes], ...] = ((b"ycloud-request-id", request_id.encode()),)
    if status == 429:
        headers += ((b"retry-after", str(1 if retry_after_s is None else retry_after_s).encode()),)
    return Answer(status=status, body=orjson.dumps({"error": error}), headers=headers, said=f"{status} {code}")

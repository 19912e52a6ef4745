"""Telesign's error codes and statuses as they go over the wire, and the envelope that all answers share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from pipeline.simulator.answers import Answer

ERRORS: Final[Mapping[str, tuple[int, int, str]]] = {
    "-10001": (400, 500, "Invalid Request: PhoneNumber Parameter"),
    "-10004": (404, 599, "Reference ID expired"),
    "-10009": (401, 500, "Invalid source IP address"),
    "-10030": (402, 500, "Insufficient funds in prepaid wallet."),
    "-10033": (401, 500, "The number has not been verified for this trial account."),
    "-20001": (401, 501, "Invalid Request: CustomerID Parameter"),
    "-20002": (401, 501, "This product is not enabled for this Customer ID."),
    "-20003": (401, 501, "This feature is not enabled for this Customer ID."),
    "-20004": (401, 501, "This product is not enabled for this country."),
    "-30000": (401, 501, "Invalid Customer ID."),
    "-30001": (401, 501, "Customer ID Account Suspended."),
    "-30002": (401, 501, "Customer ID Account Not Activated."),
    "-30003": (401, 501, "Customer ID new account limit reached."),
    "-30004": (401, 501, "Missing required 'Authorization' header"),
    "-30005": (401, 501, "Required 'Authorization' header is not in the correct format"),
    "-30006": (401, 501, "Invalid Signature"),
    "-30007": (401, 501, "Missing required 'Date' or 'x-ts-date' header"),
    "-30008": (401, 500, "Invalid 'x-ts-auth-method' header."),
    "-30009": (401, 501, "'Date' or 'x-ts-date' header is not RFC822 compliant"),
    "-30010": (401, 501, "'Date' or 'x-ts-date' header is not within tolerable range"),
    "-30011": (401, 501, "'x-ts-nonce' header value is either too long or too short"),
    "-30012": (401, 501, "'x-ts-nonce' header value has been used recently"),
    "-30013": (404, 500, "Invalid ReferenceID for Verify Completion"),
    "-30015": (401, 501, "Invalid API Key."),
    "-40001": (500, 599, "Status unavailable"),
    "-40002": (401, 501, "Not Authorized"),
    "-40004": (404, 500, "Resource Not Found"),
    "-40005": (405, 500, "Method Not Allowed"),
    "-40006": (400, 500, "Bad request"),
    "-40007": (429, 500, "Rate Limit Exceeded"),
    "-40008": (429, 500, "Verify SMS exceeded transaction hard cap. Request denied."),
    "-40009": (400, 500, "Phone number not supported"),
    "-50001": (400, 500, "Max retries limit reached"),
    "-50054": (401, 501, "Invalid API key"),
    "-50055": (401, 501, "Inactive API key"),
    "-50057": (400, 500, "Invalid verification code"),
    "-50059": (500, 599, "Status not available"),
    "-90001": (503, 500, "System Unavailable, please try again later."),
}
"""HTTP status, ``status.code`` and description by ``errors[].code``."""

STATUSES: Final[Mapping[int, str]] = {
    100: "Call answered",
    101: "Not answered",
    103: "Call in progress",
    105: "Call not handled yet",
    106: "Call failed",
    107: "Line busy",
    108: "Call canceled by Telesign",
    129: "Call blocked by your request",
    130: "Call blocked by Telesign",
    200: "Delivered to handset",
    201: "Transaction successfully completed, suspicious activity detected",
    203: "Delivered to gateway",
    207: "Error delivering SMS to handset (reason unknown)",
    210: "Temporary phone error",
    211: "Permanent phone error",
    220: "Gateway/network cannot route message",
    221: "Message expired before delivery",
    222: "SMS not supported",
    229: "Message blocked by customer request",
    230: "Message blocked by Telesign",
    231: "Invalid/unsupported message content",
    233: "Message blocked due to high risk score.",
    237: "Message blocked in requested country",
    238: "Destination blocked by prefix",
    250: "Final status unknown",
    251: "Message successfully sent out for delivery, however final confirmation was not received.",
    290: "Message in progress",
    291: "Queued by Telesign",
    292: "Queued by gateway",
    295: "Status delayed",
    500: "Transaction not attempted",
    501: "Not authorized",
    502: "Campaign error",
    503: "Carrier rejected - temporary problem",
    504: "Carrier rejected - permanent error",
    505: "Error on gateway - temporary error",
    506: "Error on gateway - permanent error",
    507: "Invalid destination address",
    508: "Invalid source address",
    509: "Parameters problem",
    510: "Message blocked by subscriber action or request",
    511: "Subscriber low on credit",
    512: "Roaming error",
    513: "Mobile number portability error",
    514: "Subscriber absent",
    515: "Suspected spam",
    517: "Selected DLT details for India not supported",
    518: "Message blocked due to high risk SIM swap indicator",
    519: "Message not sent - requested SIM swap check could not be performed",
    520: "Content sent is not allowed",
    521: "Requested Sender ID is not allowed for destination",
    599: "Status not available",
    2000: "Pending",
    2028: "Failure",
}
"""Descriptions by ``status.code``."""

UNTRIED: Final = 500
UNAVAILABLE: Final = 599


def updated_on(time_ms: int) -> str:
    """``2026-01-15T09:30:11.204000Z``."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def error_answer(
    code: str,
    *,
    now_ms: int,
    reference_id: str | None = None,
    sub_resource: str | None = None,
    description: str | None = None,
    http: int | None = None,
    status: int | None = None,
    **further: Any,
) -> Answer:
    """The envelope of a failure."""
    usual_http, usual_status, sentence = ERRORS[code]
    status = usual_status if status is None else status
    body = {
        "reference_id": reference_id,
        "sub_resource": sub_resource,
        "errors": [{"code": int(code), "description": description or sentence}],
        "status": {"code": status, "description": STATUSES[status], "updated_on": updated_on(now_ms)},
        **further,
    }
    return Answer(status=http or usual_http, body=orjson.dumps(body), said=f"{http or usual_http} {code}")

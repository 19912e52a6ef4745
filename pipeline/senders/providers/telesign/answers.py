"""Reading Telesign's answers: ``errors[].code`` and ``status.code`` decide, the HTTP status only where it must."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import httpx

from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind
from pipeline.senders.answers import DONE, NOT_FOUND, in_doubt, judged, throttled
from pipeline.senders.provider import Answer
from pipeline.senders.providers.telesign.requests import REFERENCE_ID
from pipeline.senders.providers.telesign.tables import (
    CODE_REFUSALS,
    CODE_STATES,
    COMPLETED,
    ERRORS,
    ERRORS_AT,
    NOT_ATTEMPTED,
    REFUSED_FOR,
    STATUSES,
    SUB_RESOURCES,
    UNKNOWN_REFERENCE,
    UNTRIED,
)
from pipeline.senders.told import currency, decimal, json_object, retry_after_s

_NOT_AUTHORIZED: Final = 501


@dataclass(slots=True, kw_only=True, repr=False)
class Told:
    """What is usable of an answer or a callback, whatever stands in it."""

    status: int | None
    """``status.code``; the completion writes it as text."""
    updated_on: object
    error: int | None
    """The first of ``errors[].code``; 0 stands for one that cannot be read."""
    description: str
    """Of that error; never shown."""
    reference_id: str | None
    channel: Channel | None
    code_state: str | None
    cost: str | None
    currency: str | None


def told(content: bytes) -> Told:
    """Read any bytes."""
    body = json_object(content)
    status = _object(body.get("status"))
    errors = body.get("errors")
    error = _object(errors[0]) if isinstance(errors, list) and errors else None
    price = _object(body.get("additional_info"))
    found, sub_resource = body.get("reference_id"), body.get("sub_resource", body.get("subresource"))
    state = _object(body.get("verify")).get("code_state")
    return Told(
        status=_number(status.get("code")),
        updated_on=status.get("updated_on"),
        error=None if error is None else _number(error.get("code")) or 0,
        description=str(error.get("description")) if error else "",
        reference_id=found if isinstance(found, str) and REFERENCE_ID.fullmatch(found) else None,
        channel=SUB_RESOURCES.get(sub_resource) if isinstance(sub_resource, str) else None,
        code_state=state if isinstance(state, str) else None,
        cost=decimal(price.get("price")),
        currency=currency(price.get("currency")),
    )


def interpret(kind: CommandKind, response: httpx.Response, asked: str | None = None) -> Answer:
    """A full answer to a command of this kind; ``asked`` is the reference id that a check was about."""
    reply = told(response.content)
    if kind is CommandKind.CHECK and response.status_code == 200 and _is_of_another(asked, reply):
        return in_doubt(f"{_detail(response.status_code, reply)} about another message", unmapped=True)
    answer = _READERS[kind](response.status_code, reply)
    if answer.throttled:
        answer = replace(answer, retry_after_s=retry_after_s(response.headers))
    return answer


def refusal(http: int, reply: Told) -> Answer:
    """What an error means; in doubt when it is in no table, or when the status beside it says something else."""
    detail = _detail(http, reply)
    if reply.error is None:
        if http == 429:
            # From whatever stands before the API; a request turned away for its rate was not carried out.
            return replace(throttled(), detail=detail, unmapped=True)
        return in_doubt(detail, unmapped=True)
    found = ERRORS_AT.get((reply.error, http)) or ERRORS.get(reply.error)
    if reply.error == -10001 and http == 400:
        named = (answer for name, answer in REFUSED_FOR.items() if name in reply.description)
        found = next(named, found)
    if found is None:
        return in_doubt(detail, unmapped=True)
    certain = reply.status == NOT_ATTEMPTED or found.result is not AttemptResult.NOT_SENT or found.throttled
    row = STATUSES.get(reply.status) if reply.status is not None else None
    if not certain or (row is not None and row.result is AttemptResult.ACCEPTED):
        # "Unavailable" may come after the message left, unless it says that nothing was attempted.
        return in_doubt(detail)
    return replace(found, detail=detail)


def _sent(http: int, reply: Told) -> Answer:
    row = STATUSES.get(reply.status) if reply.status is not None and reply.error is None else None
    if row is None or (http != 200 and reply.status not in UNTRIED):
        answer = refusal(http, reply)
    elif row.result is AttemptResult.ACCEPTED and reply.reference_id is None:
        answer = in_doubt(_detail(http, reply), unmapped=True)
    else:
        # An accepted message needs no words; why another was not is worth some.
        answer = row if row.result is AttemptResult.ACCEPTED else replace(row, detail=_detail(http, reply))
    # Also an answer in doubt: whoever knows the id can ask what became of the message.
    return replace(
        answer,
        provider_message_id=reply.reference_id,
        used_channel=reply.channel,
        cost=reply.cost,
        currency=reply.currency,
    )


def _looked_up(http: int, reply: Told) -> Answer:
    detail = _detail(http, reply)
    if http == 404 and reply.error in UNKNOWN_REFERENCE:
        return replace(NOT_FOUND, detail=detail)
    row = STATUSES.get(reply.status) if reply.status is not None and reply.error is None else None
    if http != 200 or row is None:
        # The question was refused. That says nothing of the message, which may well have arrived.
        refused = refusal(http, reply)
        if refused.throttled:
            return refused
        return replace(in_doubt(detail, unmapped=refused.unmapped), repeat=refused.repeat)
    if reply.status == _NOT_AUTHORIZED or row.result is AttemptResult.IN_DOUBT:
        return in_doubt(detail)
    if row.status is not AttemptStatus.FAILED:
        # It was taken once; what was told later of its way is the status.
        row = replace(row, result=AttemptResult.ACCEPTED)
    return replace(row, detail=detail, used_channel=reply.channel, cost=reply.cost, currency=reply.currency)


def _checked(http: int, reply: Told) -> Answer:
    detail = _detail(http, reply)
    if reply.error in CODE_REFUSALS:
        return replace(judged(False), detail=detail)
    verdict = CODE_STATES.get(reply.code_state or "") if http == 200 and reply.error is None else None
    return refusal(http, reply) if verdict is None else verdict


def _is_of_another(asked: str | None, reply: Told) -> bool:
    """Whether a good answer names another message: a code that is right there says nothing of ours."""
    named = reply.reference_id
    return asked is not None and named is not None and named.lower() != asked.lower()


def _reported(http: int, reply: Told) -> Answer:
    return DONE if http == 200 and reply.error is None and reply.status == COMPLETED else refusal(http, reply)


_READERS: Final[Mapping[CommandKind, Callable[[int, Told], Answer]]] = MappingProxyType(
    {
        CommandKind.SEND: _sent,
        CommandKind.LOOKUP: _looked_up,
        CommandKind.CHECK: _checked,
        CommandKind.REPORT: _reported,
    }
)


def reason_of(reply: Told, row: Answer) -> Reason | None:
    """Why a callback says no: its error knows more than its status."""
    if row.result is AttemptResult.ACCEPTED:
        return None
    error = ERRORS.get(reply.error) if reply.error is not None else None
    return row.reason if error is None or error.reason is Reason.IN_DOUBT else error.reason


def _detail(http: int, reply: Told) -> str:
    error = f" error {reply.error}" if reply.error else ""
    status = f" status {reply.status}" if reply.status is not None else ""
    return f"HTTP {http}{error}{status}"


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    """A code of at most five digits, as number or text; longer ones could be somebody's number."""
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 6:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) <= 99_999 else None

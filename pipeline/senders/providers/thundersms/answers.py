"""From the HTTP answer to what became of the command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import httpx

from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, ResultClass
from pipeline.senders.answers import DONE, NOT_FOUND, in_doubt, rejected, throttled
from pipeline.senders.provider import Answer, Probe
from pipeline.senders.providers.thundersms.tables import CHANNELS_BY_NAME, SEND_WORDS, VERDICTS, Meaning, meaning
from pipeline.senders.told import json_object, provider_id, retry_after_s

_CONTENT: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
_RECIPIENT: Final = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED)
_ACCOUNT: Final = rejected(ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED)
_CREDIT: Final = rejected(ResultClass.ACCOUNT, Reason.CREDIT_EXHAUSTED)

GOOD: Final = (200, 202)
ERRORS: Final[Mapping[int, Answer]] = MappingProxyType(
    {
        400: _CONTENT,
        401: _ACCOUNT,
        403: _ACCOUNT,
        404: rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR),
        # Two changes of one thing at the same moment: refused, but nobody is too fast.
        409: throttled(1.0, pauses_provider=False),
        422: _CONTENT,
        429: throttled(),
    }
)
"""Every published HTTP status of a refusal; 5xx, of which "please try again" is said, may have sent all the same."""
_SPEAKS_OF_CREDIT: Final = frozenset({400, 402, 403, 422})
"""The platform names an insufficient balance as an example of 4xx, without its number."""
_CREDIT_WORDS: Final = re.compile(r"\b(?:balance|credits?)\b", re.IGNORECASE)
_RECIPIENT_WORD: Final = re.compile(r"\brecipient\b", re.IGNORECASE)
_FIELD: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)

_HOPE: Final = (
    AttemptStatus.READ,
    AttemptStatus.DELIVERED,
    AttemptStatus.SENT,
    AttemptStatus.QUEUED,
    AttemptStatus.UNKNOWN,
)
"""The better status decides between the channels of a walk; after these come those that end it badly."""


def sent(command: SendCommand, response: httpx.Response) -> Answer:
    """An answer of ``verify/send``: with an id and a word of success it is taken."""
    body = json_object(response.content)
    if response.status_code not in GOOD:
        return _refused(response.status_code, response, body)
    message_id = provider_id(body.get("id"))
    if message_id is None:
        code = body.get("code")
        if isinstance(code, int) and code in ERRORS:
            # The platform says the HTTP status in the body too, in answers that may come with another one.
            return _refused(code, response, body)
        return in_doubt(f"HTTP {response.status_code} without an id", unmapped=True)
    word = body.get("status")
    if word is None or str(word).lower() in SEND_WORDS:
        return Answer(
            result=AttemptResult.ACCEPTED,
            provider_message_id=message_id,
            used_channel=None if command.walk else command.channel,
        )
    doubt = in_doubt(f"HTTP {response.status_code} with an id and a status in no table", unmapped=True)
    return replace(doubt, provider_message_id=message_id)


def checked(command: SendCommand, response: httpx.Response) -> Answer:
    """An answer of ``verify/check``. What is no verdict is never taken for one."""
    body = json_object(response.content)
    if response.status_code in GOOD:
        word = body.get("status")
        verdict = VERDICTS.get(word) if isinstance(word, str) else None
        if verdict is None or _is_of_another(command, body):
            return in_doubt(f"HTTP {response.status_code} without a verdict", unmapped=True)
        return Answer(result=AttemptResult.ACCEPTED, valid=verdict.valid, already_verified=verdict.already_verified)
    answer = _refused(response.status_code, response, body)
    # A check that was refused was not made: another word than for a message that was.
    return replace(answer, result=AttemptResult.NOT_SENT) if answer.result is AttemptResult.REJECTED else answer


def looked_up(command: SendCommand, response: httpx.Response) -> Answer:
    """An answer of ``verify/search``: the entry of our channel decides, and without one the request as a whole."""
    body = json_object(response.content)
    if response.status_code == 404:
        return NOT_FOUND
    if response.status_code not in GOOD:
        return _unknown_fate(_refused(response.status_code, response, body))
    if _is_of_another(command, body):
        return in_doubt(f"HTTP {response.status_code} about another message", unmapped=True)
    overall = meaning(body.get("status"))
    entries = body.get("channels")
    if overall is None:
        return in_doubt(f"HTTP {response.status_code} without a known status", unmapped=True)
    if overall.status is AttemptStatus.FAILED and not isinstance(entries, list):
        # What ``verify/check`` says of an id that does not exist.
        return NOT_FOUND
    return _found(command, body, overall, _legs(command, entries if isinstance(entries, list) else ()))


def _found(
    command: SendCommand, body: Mapping[str, Any], overall: Meaning, legs: Sequence[tuple[Channel, Meaning | None]]
) -> Answer:
    channel, told = min(legs, key=lambda leg: _rank(leg[1]), default=(None, overall))
    goes_on = overall.status is AttemptStatus.SENT and len(legs) <= len(command.walk)
    if overall.status is AttemptStatus.DELIVERED and (told is None or told.status is not AttemptStatus.READ):
        # Verified: whatever its channel heard, the person has the code.
        told = overall
    elif legs and goes_on and _rank(told) == len(_HOPE):
        # Every channel so far ended badly, and the walk goes on to the next.
        return replace(_accepted(body), status=AttemptStatus.SENT)
    if told is None:
        return replace(_accepted(body), status=AttemptStatus.UNKNOWN, used_channel=channel, unmapped=True)
    alarm = "a message was refused for the account's set-up or credit at the provider" if told.ours else None
    return replace(_accepted(body), status=told.status, reason=told.reason, used_channel=channel, alarm=alarm)


def _is_of_another(command: SendCommand, body: Mapping[str, Any]) -> bool:
    """Whether an answer names another message than was asked about: whatever it says, nothing follows for ours."""
    return provider_id(body.get("id")) not in (None, command.provider_message_id)


def _accepted(body: Mapping[str, Any]) -> Answer:
    return Answer(result=AttemptResult.ACCEPTED, provider_message_id=provider_id(body.get("id")))


def _legs(command: SendCommand, entries: Sequence[object]) -> list[tuple[Channel, Meaning | None]]:
    """The entries of the channels this command asked for, the newest first."""
    asked = {command.channel, *(step.channel for step in command.walk)}
    legs = []
    for entry in entries:
        name = entry.get("channel") if isinstance(entry, dict) else None
        channel = CHANNELS_BY_NAME.get(name) if isinstance(name, str) else None
        if channel in asked and isinstance(entry, dict):
            legs.append((channel, meaning(entry.get("status"))))
    return legs[::-1]


def _rank(told: Meaning | None) -> int:
    status = AttemptStatus.UNKNOWN if told is None else told.status
    return _HOPE.index(status) if status in _HOPE else len(_HOPE)


def canceled(command: SendCommand, response: httpx.Response) -> Answer:
    """An answer of ``verify/cancel``: done also where there is nothing left to stop."""
    body = json_object(response.content)
    if response.status_code in GOOD:
        word = body.get("status")
        if word == "success":
            return DONE
        if isinstance(word, str) and word in VERDICTS:
            return replace(DONE, detail="there was nothing left to cancel")
        return in_doubt(f"HTTP {response.status_code} without a known status", unmapped=True)
    if response.status_code == 404:
        return replace(DONE, detail="there was nothing left to cancel")
    return _refused(response.status_code, response, body)


def probed(response: httpx.Response) -> Probe:
    """What ``auth/me`` says of the token."""
    status = response.status_code
    if status == 200:
        # What stands in it is not published, but a portal's page of its own, which asks for no token, is no JSON.
        if not json_object(response.content):
            return Probe(False, "HTTP 200 without the API's answer: is base_url the address of the API?")
        return Probe(True, "the access token is accepted")
    if status in (401, 403):
        return Probe(False, f"HTTP {status}: the access token is not accepted, perhaps not from this address")
    return Probe(False, f"HTTP {status}: no statement on the access token")


def _refused(status: int, response: httpx.Response, body: Mapping[str, Any]) -> Answer:
    message, errors = body.get("message"), body.get("errors")
    message = message if isinstance(message, str) else ""
    # The names of the fields are the platform's own, its texts may hold what was sent.
    fields = [name for name in errors if _FIELD.fullmatch(name)] if isinstance(errors, dict) else []
    detail = f"HTTP {response.status_code}" + (f" ({', '.join(sorted(fields)[:3])})" if fields else "")
    if status >= 500:
        return in_doubt(detail)
    if status in _SPEAKS_OF_CREDIT and _CREDIT_WORDS.search(message):
        return replace(_CREDIT, detail=detail)
    answer = ERRORS.get(status)
    if answer is None:
        return in_doubt(detail, unmapped=True)
    if answer is _CONTENT and any(_RECIPIENT_WORD.search(text) for text in (message, *fields)):
        answer = _RECIPIENT
    if status == 429:
        answer = replace(answer, retry_after_s=retry_after_s(response.headers))
    return replace(answer, detail=detail)


def _unknown_fate(answer: Answer) -> Answer:
    """A look-up that was refused says nothing of its message."""
    if answer.result is not AttemptResult.REJECTED:
        return answer
    return in_doubt(answer.detail or "", unmapped=answer.unmapped)

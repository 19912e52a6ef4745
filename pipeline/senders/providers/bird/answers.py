"""What Bird's answers mean. Its texts are searched for one word and never kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import httpx

from pipeline.records.internal import SendCommand
from pipeline.senders.answers import NOT_FOUND, in_doubt, judged
from pipeline.senders.provider import Answer, Opened, Probe
from pipeline.senders.providers.bird import tables
from pipeline.senders.providers.bird.told import recipients
from pipeline.senders.told import json_object, provider_id, retry_after_s, rfc3339_ms
from pipeline.settings import BirdNames

_BALANCE: Final = b"balance"
TAKEN: Final = frozenset({200, 201, 202})
"""202 is documented; the others would say no less."""


def created(response: httpx.Response) -> Answer:
    """Of ``POST /verify``."""
    if response.status_code not in TAKEN:
        return _refused(response, tables.SEND_REFUSALS)
    body = json_object(response.content)
    if provider_id(body.get("id")) is None:
        # It may be on its way, but nobody could ever check its code.
        return in_doubt(f"HTTP {response.status_code} without an id", unmapped=True)
    return _standing(body)


def sent_again(response: httpx.Response, message_id: str) -> Answer:
    """Of a resend or a failover; its good answer may be empty."""
    if response.status_code not in TAKEN:
        return _refused(response, tables.AGAIN_REFUSALS)
    body = json_object(response.content)
    if response.content.strip() and not body:
        return in_doubt(f"HTTP {response.status_code} that is no object", unmapped=True)
    return replace(_standing(body), provider_message_id=message_id)


def checked(response: httpx.Response, message_id: str, *, ok_is_right: bool) -> Answer:
    """Of a check. A verdict needs words of Bird's own: what merely stands before its API must judge nobody's code."""
    body = json_object(response.content)
    if response.status_code != 200:
        answer = _refused(response, tables.CHECK_REFUSALS)
        if answer.valid is not None and not body:
            return in_doubt(f"HTTP {response.status_code} that is no object", unmapped=True)
        return answer
    status = body.get("status")
    verdict = tables.VERDICTS.get(status) if isinstance(status, str) else None
    if verdict is not None:
        return judged(verdict)
    if provider_id(body.get("id")) != message_id:
        return in_doubt("HTTP 200 that is no such verification", unmapped=True)
    if ok_is_right or "status" not in body:
        return judged(True)  # documented: this answer comes to right codes only
    # A word that might as well mean "still waiting for the right one" opens nothing.
    return replace(in_doubt("HTTP 200 with a status that is no verdict", unmapped=True), alarm=tables.NO_VERDICT)


def found(response: httpx.Response, message_id: str) -> Answer:
    """Of a look-up by id."""
    if response.status_code != 200:
        return _refused(response, tables.LOOKUP_REFUSALS)
    body = json_object(response.content)
    if provider_id(body.get("id")) != message_id:
        return in_doubt("HTTP 200 that is no such verification", unmapped=True)
    return _standing(body)


def listed(
    response: httpx.Response,
    command: SendCommand,
    opened: Opened,
    *,
    names: BirdNames,
    step_id: str,
    window: tuple[int, int],
) -> Answer:
    """Of a look-up of a lost answer: the only verification for this recipient, channel and time, or nothing.

    Two candidates are never chosen between. Nor is one that stands on a page with more behind it.
    """
    if response.status_code != 200:
        return _refused(response, tables.LIST_REFUSALS)
    body = json_object(response.content)
    items = body.get(names.items)
    if not isinstance(items, list):
        return in_doubt("HTTP 200 without a list", unmapped=True)
    if body.get(names.next_page):
        return in_doubt("the list has more than one page")
    ours = [
        item
        for item in _objects(items)
        if provider_id(item.get("id")) is not None
        and recipients(item.get("identifier")) == {opened.recipient}
        and _fits(item, command, names, step_id, window)
    ]
    if not ours:
        return NOT_FOUND
    if len(ours) > 1:
        return in_doubt("more than one verification for this recipient at that time")
    return _standing(ours[0])


def _fits(
    item: Mapping[str, Any], command: SendCommand, names: BirdNames, step_id: str, window: tuple[int, int]
) -> bool:
    """Whether nothing that the item tells speaks against its being the command's."""
    if item.get("codeLength") not in (None, command.code_length):
        return False
    created_at = rfc3339_ms(item.get(names.created))
    if created_at is not None and not window[0] <= created_at <= window[1]:
        return False
    # Each message of ours is made for the first step; those behind it only say where it could go on to.
    first = _objects(item.get("steps"))[:1]
    ways = [step.get(name) for step in first for name in ("navigatorId", "channelId")]
    told = {way.lower() for way in ways if isinstance(way, str) and way}
    return not told or step_id.lower() in told


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def probed(response: httpx.Response) -> Probe:
    """Of the shortest list; a page that anybody gets is none."""
    if response.status_code == 200 and json_object(response.content):
        return Probe(True, "the access key reads the list of verifications")
    return Probe(False, f"HTTP {response.status_code}")


def _standing(body: Mapping[str, Any]) -> Answer:
    """A verification that exists, by how it stands."""
    status = body.get("status", "accepted")
    known = tables.VERIFICATIONS.get(status) if isinstance(status, str) else None
    return replace(known or tables.UNKNOWN_VERIFICATION, provider_message_id=provider_id(body.get("id")))


def _refused(response: httpx.Response, table: Mapping[int, Answer]) -> Answer:
    status = response.status_code
    detail = f"HTTP {status}"
    if status >= 500:
        return in_doubt(detail)
    if 400 <= status != 429 and _BALANCE in response.content.lower():
        status = tables.NO_CREDIT
    answer = table.get(status)
    if answer is None:
        return in_doubt(detail, unmapped=True)
    if answer.throttled:
        return replace(answer, detail=detail, retry_after_s=retry_after_s(response.headers))
    return replace(answer, detail=detail)

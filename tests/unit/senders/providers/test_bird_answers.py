"""Bird as its reference page says: answers in. Tables, one row per published fact."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, AttemptStatus, ResultClass
from pipeline.senders.provider import Answer, Opened
from tests.unit.senders.doubles import PHONE, command
from tests.unit.senders.providers.bird_account import (
    ADDRESS,
    BASE,
    CHECK,
    EMAIL,
    ID,
    LOOKUP,
    LOST,
    ON,
    OPENED,
    PROVIDER,
    SMS,
    TYPED,
    WHATSAPP,
    bird,
)


def answer_to(
    wishes: dict[str, Any],
    status: int,
    body: object = None,
    opened: Opened = OPENED,
    headers: dict[str, str] | None = None,
) -> Answer:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    response = httpx.Response(status, content=content, headers=headers)
    return bird(**ON).interpret(command(provider="bird", **wishes), opened, response)


def create(status: int, body: object = None) -> Answer:
    return answer_to({}, status, body)


def check(status: int, body: object = None) -> Answer:
    return answer_to(CHECK, status, body, TYPED)


A = AttemptResult
C = ResultClass
R = Reason

VERIFICATION = {
    "id": ID,
    "identifier": {"phonenumber": PHONE},
    "locale": "de",
    "maxAttempts": 10,
    "failedAttempts": 0,
    "timeout": 300,
    "codeLength": 6,
    "status": "accepted",
    "currentStepIndex": 0,
    "steps": [{"channelId": SMS}],
    "createdAt": "2025-01-02T03:04:05Z",
    "updatedAt": "2025-01-02T03:04:05Z",
    "expiresAt": "2025-01-02T03:09:05Z",
}

STANDINGS = {
    "accepted": (A.ACCEPTED, C.NONE, None, AttemptStatus.NONE),
    "pending": (A.ACCEPTED, C.NONE, None, AttemptStatus.NONE),
    "verified": (A.ACCEPTED, C.NONE, None, AttemptStatus.DELIVERED),
    "failed": (A.REJECTED, C.ROUTE, R.PROVIDER_ERROR, AttemptStatus.FAILED),
    "expired": (A.REJECTED, C.ROUTE, R.PROVIDER_ERROR, AttemptStatus.EXPIRED),
    "canceled": (A.REJECTED, C.ROUTE, R.PROVIDER_ERROR, AttemptStatus.FAILED),
}


RESEND, FAILOVER = {"provider_message_id": ID, "again": True}, {"provider_message_id": ID, "place": 1}


@pytest.mark.parametrize("wishes", [{}, LOOKUP, RESEND, FAILOVER], ids=["create", "look-up", "resend", "failover"])
@pytest.mark.parametrize(("word", "row"), STANDINGS.items())
def test_a_verification_stands_as_its_status_says(
    wishes: dict[str, Any], word: str, row: tuple[AttemptResult, ResultClass, Reason | None, AttemptStatus]
) -> None:
    answer = answer_to(wishes, 200 if wishes is LOOKUP else 202, VERIFICATION | {"status": word})
    assert (answer.result, answer.result_class, answer.reason, answer.status) == row
    assert (answer.provider_message_id, answer.unmapped) == (ID, False)


@pytest.mark.parametrize("word", ["teleported", ["accepted"], None])
def test_a_status_in_no_table_is_counted_but_what_has_an_id_was_taken(word: object) -> None:
    answer = create(202, VERIFICATION | {"status": word})
    assert (answer.result, answer.status, answer.unmapped) == (A.ACCEPTED, AttemptStatus.UNKNOWN, True)
    assert answer.provider_message_id == ID


@pytest.mark.parametrize("status", [200, 201, 202])
def test_the_id_is_all_that_a_good_answer_needs(status: int) -> None:
    assert create(status, {"id": ID}) == Answer(result=A.ACCEPTED, provider_message_id=ID)


@pytest.mark.parametrize("body", [None, b"<html>", [], {}, {"id": ""}, {"id": {"a": 1}}])
def test_without_an_id_nobody_could_check_the_code_so_it_is_in_doubt(body: object) -> None:
    answer = create(202, body)
    assert (answer.result, answer.unmapped) == (A.IN_DOUBT, True)


SEND_REFUSALS = {
    400: (A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    422: (A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    401: (A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED),
    403: (A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED),
    402: (A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED),
    404: (A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE),
    409: (A.IN_DOUBT, C.NONE, R.IN_DOUBT),
    429: (A.NOT_SENT, C.ROUTE, R.THROTTLED),
    500: (A.IN_DOUBT, C.NONE, R.IN_DOUBT),
    502: (A.IN_DOUBT, C.NONE, R.IN_DOUBT),
    503: (A.IN_DOUBT, C.NONE, R.IN_DOUBT),
    599: (A.IN_DOUBT, C.NONE, R.IN_DOUBT),
}


@pytest.mark.parametrize(("status", "row"), SEND_REFUSALS.items())
def test_a_refused_send_means_this_by_its_http_status_alone(
    status: int, row: tuple[AttemptResult, ResultClass, Reason]
) -> None:
    answer = answer_to({}, status, {"code": "x", "message": f"no {PHONE} 482913"})
    assert (answer.result, answer.result_class, answer.reason, answer.unmapped) == (*row, False)
    assert (answer.throttled, answer.alarm is not None) == (status == 429, status == 404)
    assert answer.detail == f"HTTP {status}"


OVER = (A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE)


@pytest.mark.parametrize("wishes", [RESEND, FAILOVER], ids=["resend", "failover"])
@pytest.mark.parametrize(("status", "row"), (SEND_REFUSALS | dict.fromkeys((400, 404, 422), OVER)).items())
def test_a_verification_that_is_sent_no_more_says_nothing_of_the_person(
    wishes: dict[str, Any], status: int, row: tuple[AttemptResult, ResultClass, Reason]
) -> None:
    answer = answer_to(wishes, status, {"code": "x", "message": f"no {PHONE} 482913"})
    assert (answer.result, answer.result_class, answer.reason, answer.unmapped) == (*row, False)
    assert (answer.throttled, answer.alarm) == (status == 429, None)


@pytest.mark.parametrize("status", [400, 402, 403, 418, 422])
def test_whatever_4xx_mentions_the_balance_means_no_credit(status: int) -> None:
    answer = create(status, {"message": f"Not enough Balance for {PHONE}"})
    assert (answer.result_class, answer.reason, answer.unmapped) == (C.ACCOUNT, R.CREDIT_EXHAUSTED, False)
    assert answer.detail == f"HTTP {status}"
    asked = check(status, {"message": "your balance is too low"})
    assert (asked.valid, asked.reason, asked.alarm is not None) == (None, R.CREDIT_EXHAUSTED, True)


def test_an_outage_that_mentions_the_balance_is_an_outage() -> None:
    assert create(503, {"message": "balance service away"}).result is A.IN_DOUBT


@pytest.mark.parametrize("wishes", [{}, CHECK, LOOKUP, LOST])
@pytest.mark.parametrize("status", [204, 302, 408, 418])
def test_an_answer_in_no_table_is_counted_and_in_doubt(wishes: dict[str, Any], status: int) -> None:
    answer = answer_to(wishes, status, {"message": "?"})
    assert (answer.result, answer.reason, answer.unmapped, answer.valid) == (A.IN_DOUBT, R.IN_DOUBT, True, None)


@pytest.mark.parametrize("wishes", [{}, CHECK, LOOKUP, LOST, {"provider_message_id": ID}])
def test_too_many_requests_wait_as_long_as_bird_says(wishes: dict[str, Any]) -> None:
    answer = answer_to(wishes, 429, b"", headers={"Retry-After": "7"})
    assert (answer.throttled, answer.retry_after_s, answer.unmapped) == (True, 7.0, False)
    assert answer_to(wishes, 429).retry_after_s == 1.0


@pytest.mark.parametrize(("body", "result"), [(None, A.ACCEPTED), ({}, A.IN_DOUBT), (b"<html>", A.IN_DOUBT)])
def test_what_was_sent_again_keeps_the_verification_it_is_of(body: object, result: AttemptResult) -> None:
    for wishes in (RESEND, FAILOVER):
        assert answer_to(wishes, 202, VERIFICATION).provider_message_id == ID
        assert answer_to(wishes, 202, body).result is result


# Checks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "valid"),
    [
        (200, VERIFICATION | {"status": "verified"}, True),
        (200, {"status": "verified"}, True),
        (200, {"id": ID}, True),
        (200, VERIFICATION | {"status": "failed"}, False),
        (200, VERIFICATION | {"status": "expired"}, False),
        (200, VERIFICATION | {"status": "canceled"}, False),
        (400, {"message": "Verification failed"}, False),
        (404, {"message": "not found"}, False),
    ],
)
def test_a_check_has_this_verdict(status: int, body: dict[str, Any], valid: bool) -> None:
    answer = check(status, body)
    assert (answer.result if status == 200 else A.ACCEPTED, answer.valid, answer.unmapped) == (A.ACCEPTED, valid, False)
    assert (answer.alarm is not None) is (status == 404)


@pytest.mark.parametrize("word", ["accepted", "pending", "teleported", None, ["verified"]])
def test_a_status_that_is_no_verdict_judges_a_code_only_where_somebody_said_so(word: object) -> None:
    body = VERIFICATION | {"status": word}
    answer = check(200, body)
    assert (answer.result, answer.valid, answer.unmapped) == (A.IN_DOUBT, None, True)
    assert answer.alarm is not None
    assert "ok_is_right" in answer.alarm
    response = httpx.Response(200, content=json.dumps(body).encode())
    believed = bird(ok_is_right=True).interpret(command(**CHECK), TYPED, response)
    assert (believed.result, believed.valid, believed.unmapped) == (A.ACCEPTED, True, False)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, None),
        (200, b"<html>welcome to the wireless network</html>"),
        (200, {}),
        (200, VERIFICATION | {"id": "another"}),
        (202, VERIFICATION),
        (400, b"<html>Bad Request</html>"),
        (404, b"default backend - 404"),
        (409, {"message": "?"}),
        (422, {"message": "?"}),
        (500, {"message": "?"}),
        (503, None),
    ],
)
def test_only_words_of_birds_judge_a_code_and_an_outage_judges_none(status: int, body: object) -> None:
    answer = check(status, body)
    assert (answer.result, answer.valid) == (A.IN_DOUBT, None)


@pytest.mark.parametrize(
    ("status", "reason"), [(401, R.ACCOUNT_REJECTED), (403, R.ACCOUNT_REJECTED), (402, R.CREDIT_EXHAUSTED)]
)
def test_a_check_that_the_account_may_not_make_is_no_verdict_and_an_alarm(status: int, reason: Reason) -> None:
    answer = check(status, {"message": "no"})
    assert (answer.result, answer.result_class, answer.reason, answer.valid) == (A.NOT_SENT, C.ACCOUNT, reason, None)
    assert answer.alarm is not None


# Look-ups ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_look_up_says_nothing_of_the_message_and_alarms(status: int) -> None:
    for wishes in (LOOKUP, LOST):
        answer = answer_to(wishes, status, {"message": "no"})
        assert (answer.result, answer.not_found, answer.alarm is not None) == (A.IN_DOUBT, False, True)


def test_a_verification_that_is_not_there_was_not_found_but_a_list_that_is_not_there_was_not_read() -> None:
    assert answer_to(LOOKUP, 404, {"message": "no"}).not_found
    lost = answer_to(LOST, 404, {"message": "no"})
    assert (lost.not_found, lost.alarm is not None) == (False, True)


def test_a_look_up_answered_with_another_verification_is_in_doubt() -> None:
    answer = answer_to(LOOKUP, 200, VERIFICATION | {"id": "another"})
    assert (answer.result, answer.unmapped) == (A.IN_DOUBT, True)


OTHER = VERIFICATION | {"id": "another"}
LISTS: dict[str, tuple[list[Any], str | None]] = {
    "the only one": ([VERIFICATION], ID),
    "among other people's": ([OTHER | {"identifier": {"phonenumber": "+491711234568"}}, VERIFICATION], ID),
    "without a plus": ([VERIFICATION | {"identifier": {"phonenumber": PHONE[1:]}}], ID),
    "told with an id only": ([{"id": ID, "identifier": {"phonenumber": PHONE}}], ID),
    "through a channel of another case": ([VERIFICATION | {"steps": [{"channelId": SMS.upper()}]}], ID),
    "before the call": ([OTHER | {"createdAt": "2025-01-02T03:03:59Z"}, VERIFICATION], ID),
    "after the call": ([OTHER | {"createdAt": "2025-01-02T03:04:21Z"}, VERIFICATION], ID),
    "through another channel": ([OTHER | {"steps": [{"channelId": EMAIL}]}, VERIFICATION], ID),
    "through another channel, to go on to this one when asked": (
        [OTHER | {"steps": [{"channelId": WHATSAPP}, {"channelId": SMS}]}, VERIFICATION],
        ID,
    ),
    "to go on to another": ([VERIFICATION | {"steps": [{"channelId": SMS}, {"channelId": WHATSAPP}]}], ID),
    "with a code of another length": ([OTHER | {"codeLength": 8}, VERIFICATION], ID),
    "two of them": ([OTHER, VERIFICATION], None),
    "nobody's": ([{"id": ID}], None),
    "for two addresses": ([VERIFICATION | {"identifier": {"phonenumber": PHONE, "emailaddress": ADDRESS}}], None),
    "none": ([], None),
    "no objects": ([1, "x", None], None),
    "without an id": ([VERIFICATION | {"id": None}], None),
}


@pytest.mark.parametrize(("items", "found"), LISTS.values(), ids=LISTS)
def test_a_lost_verification_is_found_when_it_is_the_only_one_that_fits(items: list[Any], found: str | None) -> None:
    answer = answer_to(LOST, 200, {"results": items})
    assert answer.provider_message_id == found
    assert (answer.result is A.ACCEPTED) is (found is not None)
    assert answer.not_found is (found is None and OTHER not in items)


def test_a_list_with_more_pages_finds_nothing_and_proves_nothing() -> None:
    answer = answer_to(LOST, 200, {"results": [VERIFICATION], "nextPageToken": "x"})
    assert (answer.result, answer.not_found, answer.provider_message_id) == (A.IN_DOUBT, False, None)


@pytest.mark.parametrize("body", [None, b"<html>", {}, {"results": {}}, {"items": [VERIFICATION]}])
def test_a_list_under_another_name_is_counted(body: object) -> None:
    answer = answer_to(LOST, 200, body)
    assert (answer.result, answer.not_found, answer.unmapped) == (A.IN_DOUBT, False, True)


# Probe ---------------------------------------------------------------------------------------------------------------


def test_the_key_is_probed_by_the_shortest_list_where_there_is_one() -> None:
    assert PROVIDER.probe(0) is None
    provider = bird(**ON)
    request = provider.probe(0)
    assert request is not None
    assert (request.method, str(request.url)) == ("GET", f"{BASE}/verify?limit=1")
    assert provider.probed(httpx.Response(200, content=b'{"results":[]}')).ok
    assert not provider.probed(httpx.Response(200, content=b"<html>Sign in</html>")).ok
    refused = provider.probed(httpx.Response(401, content=f"no {PHONE}".encode()))
    assert (refused.ok, refused.detail) == (False, "HTTP 401")

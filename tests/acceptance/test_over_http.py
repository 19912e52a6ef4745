"""The whole pipeline through its REST API alone: what a team does that knows HTTP and nothing of Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.api import Api, new_key
from tests.acceptance.harness import Simulator

pytestmark = pytest.mark.kafka


def wrong(code: str) -> str:
    """Another code of the same shape."""
    return code[:-1] + str((int(code[-1]) + 1) % 10)


def test_a_verification_is_started_read_checked_and_listed(
    api: Api, simulator: Simulator, people: Iterator[str]
) -> None:
    person, reference = next(people), f"order-{new_key()[:8]}x"
    answer = api.post("", {"recipient": person, "external_id": reference, "metadata": {"plan": "gold"}})
    assert answer.status_code == 202
    started = answer.json()
    verification_id = started["verification_id"]
    assert answer.headers["Location"].endswith(f"/v1/verifications/{verification_id}")
    assert (started["state"], started["version"], started["is_final"]) == ("pending", 0, False)
    assert person not in answer.text

    code = simulator.code(person)
    # The message may arrive before it is known to have been taken, and with the right code nobody waits for that.
    api.until(verification_id, lambda seen: seen["sent_at"] is not None)
    first = api.check(verification_id, wrong(code))
    assert (first["valid"], first["reason"], first["checks_left"]) == (False, "wrong_code", 2)
    second = api.check(verification_id, code)
    assert (second["valid"], second["reason"], second["state"]) == (True, "valid", "verified")
    third = api.check(verification_id, code)
    assert (third["valid"], third["reason"]) == (False, "already_verified")

    final = api.final(verification_id)
    assert (final["state"], final["failed_checks"], final["metadata"]) == ("verified", 1, {"plan": "gold"})
    assert final["verified_attempt_id"] == f"{verification_id}.1"
    assert final["created_at"] <= final["sent_at"] <= final["verified_at"]
    listed = api.page(external_id=reference)
    assert [item["verification_id"] for item in listed["items"]] == [verification_id]
    assert listed["next_cursor"] is None
    assert person not in api.get(verification_id).text


def test_get_right_after_post_finds_it_pending(api: Api, people: Iterator[str]) -> None:
    for _ in range(10):
        verification_id = api.start(recipient=next(people))
        answer = api.get(verification_id)
        assert answer.status_code == 200
        assert answer.json()["state"] in ("pending", "sent", "delivered")


def test_the_same_key_and_body_get_the_same_answer_and_one_message(
    api: Api, simulator: Simulator, people: Iterator[str]
) -> None:
    person, key = next(people), new_key()
    body = {"recipient": person, "expires_in_s": 60}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("", body, key=key), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    simulator.message(person)
    again = api.post("", body, key=key)
    assert (again.status_code, again.text) == (202, answers[0].text)
    other = api.post("", body | {"expires_in_s": 61}, key=key)
    assert (other.status_code, other.json()["reason"]) == (422, "idempotency_key_reused")
    time.sleep(1)
    assert len(simulator.inbox(person)) == 1


def test_the_same_check_key_is_judged_once(api: Api, simulator: Simulator, people: Iterator[str]) -> None:
    person, key = next(people), new_key()
    verification_id = api.start(recipient=person)
    code = simulator.code(person)
    bad = [api.post(f"/{verification_id}/check", {"code": wrong(code)}, key=key) for _ in range(3)]
    assert {answer.text for answer in bad} == {bad[0].text}
    assert (bad[0].json()["reason"], bad[0].json()["checks_left"]) == ("wrong_code", 2)
    other = api.post(f"/{verification_id}/check", {"code": code}, key=key)
    assert (other.status_code, other.json()["reason"]) == (422, "idempotency_key_reused")
    assert api.check(verification_id, code)["checks_left"] == 2


def test_an_id_of_ones_own_is_taken_once(api: Api, simulator: Simulator, people: Iterator[str]) -> None:
    person, own = next(people), f"order-{new_key()}"
    assert api.start(verification_id=own, recipient=person) == own
    simulator.message(person)
    api.until(own, lambda seen: seen["state"] in ("sent", "delivered"))
    again = api.post("", {"verification_id": own, "recipient": person, "expires_in_s": 60})
    assert (again.status_code, again.json()["state"] in ("sent", "delivered")) == (202, True)
    other = api.post("", {"verification_id": own, "recipient": next(people)})
    assert (other.status_code, other.json()["reason"]) == (409, "id_conflict")
    assert len(simulator.inbox(person)) == 1


def test_resend_failover_and_cancel(api: Api, simulator: Simulator, people: Iterator[str]) -> None:
    person = next(people)
    steps = [{"channel": "sms", "wait_s": 500}, {"channel": "voice"}]
    verification_id = api.start(recipient=person, steps=steps, expires_in_s=600)
    code = simulator.code(person)
    soon = api.post(f"/{verification_id}/resend")
    assert (soon.status_code, soon.json()["reason"], soon.json()["ok"]) == (409, "resend_too_soon", False)
    assert 1 <= int(soon.headers["Retry-After"]) <= 30
    over = api.post(f"/{verification_id}/failover")
    assert (over.status_code, over.json()["reason"], over.json()["step_index"]) == (202, "accepted", 1)
    called = api.until(verification_id, lambda seen: len(seen["attempts"]) == 2)
    assert [attempt["channel"] for attempt in called["attempts"]] == ["sms", "voice"]
    none = api.post(f"/{verification_id}/failover")
    assert none.json()["reason"] in ("no_more_steps", "accepted")
    gone = api.post(f"/{verification_id}/cancel")
    assert (gone.status_code, gone.json()["state"]) == (202, "canceled")
    assert api.final(verification_id)["reason"] == "canceled_by_caller"
    assert api.check(verification_id, code)["reason"] == "not_active"
    assert api.post(f"/{verification_id}/cancel").json()["reason"] == "already_final"


def test_what_the_router_would_refuse_is_told_at_once_with_every_field(api: Api) -> None:
    answer = api.post("", {"recipient": "12", "expires_in_s": 5, "language": "??", "nonsense": 1})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    named = {error["field"] for error in answer.json()["errors"]}
    assert "nonsense" in named or {"recipient", "expires_in_s", "language"} <= named


def test_protections_and_routes_come_as_the_outcome(api: Api, people: Iterator[str]) -> None:
    verification_id = api.start(recipient=next(people), steps=[{"channel": "whatsapp", "text": "{code} {minutes}"}])
    final = api.final(verification_id)
    assert (final["state"], final["is_final"]) in (("rejected", True), ("failed", True))


def test_another_tenants_verification_is_not_there(
    api: Api, other_api: Api, simulator: Simulator, people: Iterator[str]
) -> None:
    person = next(people)
    verification_id = api.start(recipient=person)
    code = simulator.code(person)
    assert other_api.get(verification_id).status_code == 404
    for path, body in (("check", {"code": code}), ("resend", None), ("failover", None), ("cancel", None)):
        answer = other_api.post(f"/{verification_id}/{path}", body)
        assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_verification"), path
    assert verification_id not in str(other_api.page(limit=100))
    assert api.check(verification_id, code)["valid"]


def test_keys_open_what_their_scopes_say(api: Api, kiosk: Api, people: Iterator[str]) -> None:
    verification_id = kiosk.start(recipient=next(people))
    assert kiosk.get(verification_id).status_code == 403
    assert kiosk.post(f"/{verification_id}/check", {"code": "123456"}).json()["reason"] == "missing_scope"
    nobody = Api(str(api.http.base_url), "wrong")
    try:
        answer = nobody.post("", {"recipient": "+4915112345678"})
        assert (answer.status_code, answer.json()["reason"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    finally:
        nobody.close()


def test_lists_turn_pages_in_both_directions(api: Api, people: Iterator[str]) -> None:
    tag = f"page-{new_key()[:12]}x"
    started = [api.start(recipient=next(people), external_id=tag) for _ in range(7)]
    for reverse, expected in ((False, started[::-1]), (True, started)):
        found: list[str] = []
        cursor = None
        while True:
            asked = {"external_id": tag, "limit": 3, "reverse": str(reverse).lower()}
            page = api.page(**asked, **({} if cursor is None else {"cursor": cursor}))
            found += [item["verification_id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == expected
    bad = api.http.get("/v1/verifications", params={"cursor": "nonsense"})
    assert (bad.status_code, bad.json()["reason"]) == (400, "bad_cursor")

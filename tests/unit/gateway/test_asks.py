"""Checks and commands over HTTP: what is published, what is answered, and what a client that leaves costs."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline import topics
from pipeline.model.reasons import ReplyReason
from pipeline.records.public import VerificationOutcome
from pipeline.records.types import CommandAction, ReplyKind, VerificationState
from pipeline.testing import virtual_time
from tests.unit.gateway.asks_bench import NOW, RING, AsksBench
from tests.unit.gateway.bench import assert_problem

COMMANDS = ("resend", "failover", "cancel")
COMMAND = ReplyKind.COMMAND

bench = virtual_time.scenario(AsksBench)


def each_command(test: Any) -> Any:
    """The test for resend, failover and cancel."""

    @pytest.mark.parametrize("action", COMMANDS)
    def every(action: str) -> None:
        @bench
        async def one(made: AsksBench) -> None:
            await test(made, action)

        one()

    every.__name__ = test.__name__
    return every


# --- checks ----------------------------------------------------------------------------------------------------------


@bench
async def test_a_check_is_published_by_verification_id_with_its_code_sealed_and_its_tenant(bench: AsksBench) -> None:
    async with bench.open() as gateway:
        answer = gateway.post("v/check", {"code": "493817", "end_user_ip": "2001:DB8::1"})
        (record,) = await bench.records(topics.CHECKS, 1)
        (check,) = await bench.asked(topics.CHECKS, 1)
        await bench.reply(check.check_id, ReplyReason.VALID)
        assert (await answer).status_code == 200
    assert record.key == b"v"
    assert record.header("schema") == b"CodeCheck"
    assert (check.verification_id, check.tenant, check.code, check.checked_at) == ("v", "shop", None, NOW)
    assert check.end_user_ip == "2001:db8::1"
    opened = RING.open_public(check.code_sealed, verification_id="v", field="code", record="CodeCheck")
    assert opened == "493817"
    assert b"493817" not in record.value


@bench
async def test_a_check_is_answered_with_what_the_tracker_says(bench: AsksBench) -> None:
    async with bench.open() as gateway:
        for number, (reason, state, left) in enumerate(
            [
                (ReplyReason.VALID, VerificationState.VERIFIED, 3),
                (ReplyReason.WRONG_CODE, VerificationState.DELIVERED, 2),
                (ReplyReason.TOO_MANY_CHECKS, VerificationState.FAILED, 0),
                (ReplyReason.EXPIRED, VerificationState.EXPIRED, 1),
                (ReplyReason.PROVIDER_UNAVAILABLE, VerificationState.SENT, 3),
            ]
        ):
            asked = gateway.post("v/check", {"code": "493817"})
            await bench.asked(topics.CHECKS, number + 1)
            await bench.reply(f"made-{number}", reason, state=state, checks_left=left)
            answer = await asked
            assert answer.status_code == 200
            valid = reason is ReplyReason.VALID
            assert answer.json() == {"valid": valid, "reason": reason, "checks_left": left, "state": state}


@pytest.mark.parametrize("code", ["", " ", "12", "٤٩٣٨١٧", "not a code at all", "9" * 1_000, "\x00", "💥"])
def test_any_text_is_a_code_that_the_tracker_judges(code: str) -> None:
    @bench
    async def judged(bench: AsksBench) -> None:
        async with bench.open() as gateway:
            asked = gateway.post("v/check", {"code": code})
            (check,) = await bench.asked(topics.CHECKS, 1)
            opened = RING.open_public(check.code_sealed, verification_id="v", field="code", record="CodeCheck")
            assert opened == code
            await bench.reply(check.check_id, ReplyReason.WRONG_CODE, checks_left=2)
            assert (await asked).json()["reason"] == "wrong_code"

    judged()


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "code", "missing_field"),
        ({"code": 493817}, "code", "invalid_field"),
        ({"code": None}, "code", "invalid_field"),
        ({"code": ["493817"]}, "code", "invalid_field"),
        ({"code": "493817", "end_user_ip": "somewhere"}, "end_user_ip", "invalid_field"),
        ({"code": "493817", "end_user_ip": 1}, "end_user_ip", "invalid_field"),
        ({"code": "493817", "check_id": "K"}, "check_id", "invalid_field"),
        ({"code": "493817", "tenant": "other"}, "tenant", "invalid_field"),
        ({"code": "493817", "code_sealed": ""}, "code_sealed", "invalid_field"),
        ({"code": "493817", "x" * 1_000: 1}, "x" * 40, "invalid_field"),
    ],
)
def test_a_field_that_is_wrong_in_a_check_is_named_and_nothing_is_published(
    body: dict[str, Any], field: str, reason: str
) -> None:
    @bench
    async def refused(bench: AsksBench) -> None:
        async with bench.open() as gateway:
            answer = await gateway.post("v/check", body)
        assert_problem(answer, 422, reason)
        (error,) = answer.json()["errors"]
        assert (error["field"], error["reason"]) == (field, reason)
        assert error["detail"].startswith(f"{field}: ")
        assert "493817" not in answer.text
        assert await bench.asked(topics.CHECKS, 0) == []

    refused()


@pytest.mark.parametrize(
    ("content", "media_type", "status", "reason"),
    [
        (b"", "application/json", 400, "malformed_json"),
        (b"{", "application/json", 400, "malformed_json"),
        (b"[]", "application/json", 400, "malformed_json"),
        (b'"493817"', "application/json", 400, "malformed_json"),
        (b'{"code": "\xff"}', "application/json", 400, "malformed_json"),
        (b'{"code": "\\ud800"}', "application/json", 400, "malformed_json"),
        (b'{"code":' * 1_000, "application/json", 413, "too_large"),
        (b"[" * 1_900, "application/json", 400, "malformed_json"),
        (b'{"code": "493817"}', "text/plain", 415, "unsupported_media_type"),
        (b'{"code": "493817"}', "application/json; charset=latin-1", 415, "unsupported_media_type"),
        (b"code=493817", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_is_no_json_is_refused(content: bytes, media_type: str, status: int, reason: str) -> None:
    @bench
    async def refused(bench: AsksBench) -> None:
        async with bench.open() as gateway:
            answer = await gateway.post("v/check", content, **{"Content-Type": media_type})
        assert_problem(answer, status, reason)
        # What is not read to its end cannot be followed by another request.
        assert answer.headers.get("Connection") == ("close" if status == 413 else None)
        assert await bench.asked(topics.CHECKS, 0) == []

    refused()


@bench
async def test_json_in_utf_8_may_say_so(bench: AsksBench) -> None:
    async with bench.open() as gateway:
        asked = gateway.post("v/check", b'{"code":"1"}', **{"Content-Type": 'application/json; charset="UTF-8"'})
        await bench.asked(topics.CHECKS, 1)
        await bench.reply("made-0", ReplyReason.WRONG_CODE)
        assert (await asked).status_code == 200


@bench
async def test_the_code_is_neither_logged_nor_told_whatever_goes_wrong(bench: AsksBench) -> None:
    async with bench.open() as gateway:
        with capture_logs() as told:
            texts = [(await gateway.post("v/check", {"code": "493817"})).text]
            bench.producer.refuses = True
            texts.append((await gateway.post("v/check", {"code": "493817"})).text)
            texts.append((await gateway.post("v/check", {"code": "493817", "493817": 1, "end_user_ip": "493817"})).text)
    assert told
    assert "493817" not in repr(told)
    assert "493817" not in "".join(texts[:2])


# --- commands --------------------------------------------------------------------------------------------------------


@each_command
async def test_a_command_is_published_by_verification_id_with_its_tenant(bench: AsksBench, action: str) -> None:
    async with bench.open() as gateway:
        asked = gateway.post(f"v/{action}")
        (command,) = await bench.asked(topics.COMMANDS, 1)
        (record,) = await bench.records(topics.COMMANDS, 1)
        await bench.reply(command.command_id, ReplyReason.ACCEPTED, kind=COMMAND)
        assert (await asked).status_code == 202
    assert (command.verification_id, command.tenant, command.action) == ("v", "shop", CommandAction(action))
    assert (command.step_index, command.issued_at) == (None, NOW)
    assert (record.key, record.header("schema")) == (b"v", b"Command")


@each_command
async def test_what_is_accepted_is_202_with_its_step(bench: AsksBench, action: str) -> None:
    async with bench.open() as gateway:
        asked = gateway.post(f"v/{action}", {})
        await bench.asked(topics.COMMANDS, 1)
        await bench.reply("made-0", ReplyReason.ACCEPTED, kind=COMMAND, step_index=1)
        answer = await asked
    assert answer.status_code == 202
    assert answer.json() == {"ok": True, "reason": "accepted", "state": "sent", "step_index": 1, "retry_at": None}


@pytest.mark.parametrize("action", ["resend", "failover"])
def test_a_step_may_be_named(action: str) -> None:
    @bench
    async def named(bench: AsksBench) -> None:
        async with bench.open() as gateway:
            asked = gateway.post(f"v/{action}", {"step_index": 2})
            (command,) = await bench.asked(topics.COMMANDS, 1)
            assert command.step_index == 2
            await bench.reply("made-0", ReplyReason.NO_SUCH_STEP, kind=COMMAND)
            assert_problem(await asked, 409, "no_such_step")

    named()


@each_command
async def test_a_refusal_is_a_problem_with_the_same_members(bench: AsksBench, action: str) -> None:
    async with bench.open() as gateway:
        asked = gateway.post(f"v/{action}")
        await bench.asked(topics.COMMANDS, 1)
        await bench.reply("made-0", ReplyReason.ALREADY_FINAL, kind=COMMAND, state=VerificationState.VERIFIED)
        answer = await asked
    assert_problem(answer, 409, "already_final")
    members = {name: answer.json()[name] for name in ("ok", "reason", "state", "step_index", "retry_at")}
    assert members == {
        "ok": False,
        "reason": "already_final",
        "state": "verified",
        "step_index": None,
        "retry_at": None,
    }
    assert answer.json()["detail"] == "The verification has ended."
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize(("ahead_ms", "seconds"), [(30_000, "30"), (29_001, "30"), (1, "1"), (-5_000, "1")])
def test_what_may_be_asked_again_later_says_when_in_two_ways(ahead_ms: int, seconds: str) -> None:
    @bench
    async def too_soon(bench: AsksBench) -> None:
        async with bench.open() as gateway:
            asked = gateway.post("v/resend")
            await bench.asked(topics.COMMANDS, 1)
            await bench.reply("made-0", ReplyReason.RESEND_TOO_SOON, kind=COMMAND, retry_at=NOW + ahead_ms)
            answer = await asked
        assert_problem(answer, 409, "resend_too_soon")
        assert answer.headers["Retry-After"] == seconds
        if ahead_ms == 1:
            assert answer.json()["retry_at"] == "2025-01-02T03:04:05.001Z"

    too_soon()


@bench
async def test_a_reason_that_only_a_later_tracker_knows_is_passed_on(bench: AsksBench) -> None:
    async with bench.open() as gateway:
        asked = gateway.post("v/resend")
        await bench.asked(topics.COMMANDS, 1)
        await bench.reply("made-0", "moon_in_the_way", kind=COMMAND)
        assert_problem(await asked, 409, "moon_in_the_way")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("v/resend", {"step_index": -1}, "step_index"),
        ("v/resend", {"step_index": 2**31}, "step_index"),
        ("v/resend", {"step_index": "1"}, "step_index"),
        ("v/resend", {"step_index": 1.5}, "step_index"),
        ("v/resend", {"step_index": True}, "step_index"),
        ("v/resend", {"code": "493817"}, "code"),
        ("v/failover", {"step": 1}, "step"),
        ("v/cancel", {"step_index": 1}, "step_index"),
        ("v/cancel", {"reason": "because"}, "reason"),
    ],
)
def test_a_field_that_is_wrong_in_a_command_is_named_and_nothing_is_published(
    path: str, body: dict[str, Any], field: str
) -> None:
    @bench
    async def refused(bench: AsksBench) -> None:
        async with bench.open() as gateway:
            answer = await gateway.post(path, body)
        assert_problem(answer, 422, "invalid_field")
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert await bench.asked(topics.COMMANDS, 0) == []

    refused()


@each_command
async def test_a_command_with_a_body_that_is_no_json_is_refused(bench: AsksBench, action: str) -> None:
    async with bench.open() as gateway:
        answer = await gateway.post(f"v/{action}", b"{", **{"Content-Type": "application/json"})
        assert_problem(answer, 400, "malformed_json")
        answer = await gateway.post(f"v/{action}", b"{}", **{"Content-Type": "text/plain"})
        assert_problem(answer, 415, "unsupported_media_type")
        coded = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = await gateway.post(f"v/{action}", gzip.compress(b"{}"), **coded)
        assert_problem(answer, 415, "unsupported_encoding")
        answer = await gateway.post(f"v/{action}", b" " * 4_096, **{"Content-Type": "application/json"})
        assert_problem(answer, 413, "too_large")
    assert await bench.asked(topics.COMMANDS, 0) == []


# --- for both --------------------------------------------------------------------------------------------------------


def both(test: Any) -> Any:
    """The test for a check and for each command; it is given the path, the body, the topic and the kind."""

    @pytest.mark.parametrize("action", ["check", *COMMANDS])
    def every(action: str) -> None:
        @bench
        async def one(made: AsksBench) -> None:
            is_check = action == "check"
            topic, kind = (topics.CHECKS, ReplyKind.CHECK) if is_check else (topics.COMMANDS, ReplyKind.COMMAND)
            await test(made, action, {"code": "493817"} if is_check else {}, topic, kind)

        one()

    every.__name__ = test.__name__
    return every


@both
async def test_an_id_that_can_be_none_is_404_at_once(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    async with bench.open() as gateway:
        for none in ("x" * 49, "with%20space", "+4915112345678", "a.b", "%00"):
            assert_problem(await gateway.post(f"{none}/{action}", body), 404, "unknown_verification")
    assert await bench.asked(topic, 0) == []


@both
async def test_an_unknown_verification_or_another_tenants_is_404(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    async with bench.open() as gateway:
        asked = gateway.post(f"v/{action}", body, caller="somebody-else")
        (request,) = await bench.asked(topic, 1)
        assert request.tenant == "somebody-else"
        await bench.reply("made-0", ReplyReason.UNKNOWN_VERIFICATION, kind=kind)
        assert_problem(await asked, 404, "unknown_verification")


@both
async def test_how_long_a_404_takes_does_not_tell_whether_there_is_such_an_id(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    loop = asyncio.get_running_loop()
    async with bench.open() as gateway:
        # The tracker knows at once of another tenant's.
        for number, known_after_s in enumerate((0.0, 1.5)):
            began_s = loop.time()
            asked = gateway.post(f"v/{action}", body, caller="somebody-else")
            await bench.asked(topic, number + 1)
            await asyncio.sleep(known_after_s)
            await bench.reply(f"made-{number}", ReplyReason.UNKNOWN_VERIFICATION, kind=kind)
            assert_problem(await asked, 404, "unknown_verification")
            assert loop.time() - began_s == pytest.approx(2.0, abs=0.1)


@both
async def test_who_waits_less_than_an_unknown_id_takes_is_told_504_of_another_tenants_too(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    loop = asyncio.get_running_loop()
    async with bench.open(reply_s=0.3) as gateway:
        began_s = loop.time()
        asked = gateway.post(f"v/{action}", body, caller="somebody-else")
        await bench.asked(topic, 1)
        await bench.reply("made-0", ReplyReason.UNKNOWN_VERIFICATION, kind=kind)
        assert_problem(await asked, 504, "reply_timeout")
        assert loop.time() - began_s == pytest.approx(0.3, abs=0.1)


@both
async def test_the_key_needs_the_scope(bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind) -> None:
    async with bench.open() as gateway:
        for scope in {"start", "read", "check", "manage"} - {"check" if action == "check" else "manage"}:
            assert_problem(await gateway.post(f"v/{action}", body, caller=f"shop.{scope}"), 403, "missing_scope")
    assert await bench.asked(topic, 0) == []


@both
async def test_no_reply_in_time_is_504_with_what_is_known(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    loop = asyncio.get_running_loop()
    bench.model.fold(
        VerificationOutcome(
            verification_id="v", version=2, tenant="shop", state=VerificationState.DELIVERED, checks_left=2
        )
    )
    async with bench.open() as gateway:
        began_s = loop.time()
        answer = await gateway.post(f"v/{action}", body)
        assert 5 <= loop.time() - began_s < 5.1
        assert_problem(answer, 504, "reply_timeout")
        known = {name: answer.json()[name] for name in ("verification_id", "request_id", "state", "checks_left")}
        assert known == {"verification_id": "v", "request_id": "made-0", "state": "delivered", "checks_left": 2}
        assert bench.measures.counters["reply_timeouts_total", kind] == 1
        assert gateway.asking.waiting == 0


@both
async def test_of_another_tenants_or_without_the_database_504_tells_the_ids_only(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    bench.model.fold(VerificationOutcome(verification_id="v", version=1, tenant="shop"))
    async with bench.open() as gateway:
        for away, caller in ((False, "somebody-else"), (True, "shop")):
            bench.model.away = away
            answer = await gateway.post(f"v/{action}", body, caller=caller)
            assert_problem(answer, 504, "reply_timeout")
            assert not {"state", "checks_left"} & answer.json().keys()


@both
async def test_what_kafka_does_not_take_is_503_and_not_waited_for(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    loop = asyncio.get_running_loop()
    async with bench.open() as gateway:
        bench.producer.refuses = True
        began_s = loop.time()
        answer = await gateway.post(f"v/{action}", body)
        assert_problem(answer, 503, "log_unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert loop.time() == began_s
        bench.producer.refuses, bench.producer.silent = False, True
        assert_problem(await gateway.post(f"v/{action}", body), 503, "log_unavailable")
        assert loop.time() - began_s == pytest.approx(1, abs=0.01)
        assert gateway.asking.waiting == 0


@both
async def test_one_more_than_may_wait_is_503(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    async with bench.open() as gateway:
        asked = [gateway.post(f"v/{action}", body) for _ in range(3)]
        await bench.asked(topic, 3)
        answer = await gateway.post(f"v/{action}", body)
        assert_problem(answer, 503, "log_unavailable")
        assert "Retry-After" in answer.headers
        for number in range(3):
            await bench.reply(f"made-{number}", ReplyReason.WRONG_CODE, kind=kind)
        await asyncio.gather(*asked)
    assert len(await bench.asked(topic, 3)) == 3


@both
async def test_a_client_that_goes_away_is_waited_for_no_longer(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    loop = asyncio.get_running_loop()
    async with bench.open() as gateway:
        gone = asyncio.Event()
        content = b'{"code":"493817"}' if action == "check" else b""
        asked = gateway.leaving(f"v/{action}", content, gone=gone)
        await bench.asked(topic, 1)
        assert gateway.asking.waiting == 1
        left_s = loop.time()
        gone.set()
        assert await asked == 499
        assert loop.time() == left_s
        assert gateway.asking.waiting == 0
        # The next one has the place, and the reply to the one that left hurts nobody.
        await bench.reply("made-0", ReplyReason.WRONG_CODE, kind=kind)
        patient = gateway.post(f"v/{action}", body)
        await bench.asked(topic, 2)
        await bench.reply("made-1", ReplyReason.ALREADY_FINAL, kind=kind)
        assert (await patient).json()["reason"] == "already_final"
    assert bench.measures.counters["http_requests_total", f"/v1/verifications/{{id}}/{action}", "499"] == 1
    assert "reply_timeouts_total" not in {name for name, *_ in bench.measures.counters}


@both
async def test_a_client_that_goes_away_while_kafka_is_silent_is_waited_for_no_longer(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    loop = asyncio.get_running_loop()
    async with bench.open() as gateway:
        bench.producer.silent = True
        gone = asyncio.Event()
        asked = gateway.leaving(f"v/{action}", b'{"code":"493817"}' if action == "check" else b"{}", gone=gone)
        await asyncio.sleep(0.1)
        gone.set()
        assert await asked == 499
        assert loop.time() == pytest.approx(0.1, abs=0.05)
        assert gateway.asking.waiting == 0


@both
async def test_the_key_becomes_the_id_and_the_same_again_gets_the_same_answer(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    async with bench.open() as gateway, bench.open() as another:
        first = gateway.post(f"v/{action}", body, key="K-1")
        (request,) = await bench.asked(topic, 1)
        assert (request.check_id if action == "check" else request.command_id) == "K-1"
        await bench.reply("K-1", ReplyReason.WRONG_CODE if action == "check" else ReplyReason.ACCEPTED, kind=kind)
        answer = await first
        for each in (gateway, another):
            again = await each.post(f"v/{action}", body, key="K-1")
            assert (again.status_code, again.json()) == (answer.status_code, answer.json())
    assert len(await bench.asked(topic, 1)) == 1


@both
async def test_the_key_with_another_request_is_refused(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    async with bench.open() as gateway:
        first = gateway.post(f"v/{action}", body, key="K")
        await bench.asked(topic, 1)
        await bench.reply("K", ReplyReason.WRONG_CODE, kind=kind)
        await first
        others = [(f"w/{action}", body), ("v/check", {"code": "111111"}), ("v/resend", {"step_index": 7})]
        for path, other in others:
            assert_problem(await gateway.post(path, other, key="K"), 422, "idempotency_key_reused")
    assert sum([len(await bench.asked(each, 0)) for each in (topics.CHECKS, topics.COMMANDS)]) == 1


@both
async def test_after_a_timeout_the_same_key_asks_again_with_the_same_id(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    async with bench.open() as gateway:
        timed_out = await gateway.post(f"v/{action}", body, key="K")
        assert timed_out.json()["request_id"] == "K"
        again = gateway.post(f"v/{action}", body, key="K")
        requests = await bench.asked(topic, 2)
        assert {each.check_id if action == "check" else each.command_id for each in requests} == {"K"}
        await bench.reply("K", ReplyReason.VALID if action == "check" else ReplyReason.ACCEPTED, kind=kind)
        assert (await again).status_code in (200, 202)


@both
async def test_nothing_is_asked_while_the_database_cannot_recognise_the_key(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    bench.model.away = True
    async with bench.open() as gateway:
        answer = await gateway.post(f"v/{action}", body, key="K")
        assert_problem(answer, 503, "readmodel_unavailable")
        assert "Retry-After" in answer.headers
        # Without a key nothing is looked up.
        asked = gateway.post(f"v/{action}", body)
        await bench.asked(topic, 1)
        await bench.reply("made-0", ReplyReason.VALID if action == "check" else ReplyReason.ACCEPTED, kind=kind)
        assert (await asked).status_code in (200, 202)


@both
async def test_the_trace_goes_on_with_the_record(
    bench: AsksBench, action: str, body: Any, topic: str, kind: ReplyKind
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with bench.open() as gateway:
        for given in (trace, "00-nonsense-493817-01"):
            asked = gateway.post(f"v/{action}", body, traceparent=given)
            await asyncio.sleep(0.1)
            asked.cancel()
    first, second = await bench.records(topic, 2)
    assert {first.header("traceparent"), second.header("traceparent")} == {trace.encode(), None}


@bench
async def test_of_two_gateways_each_gets_its_own_replies(bench: AsksBench) -> None:
    async with bench.open() as one, bench.open() as other:
        asked = [gateway.post("v/check", {"code": "1"}, key=f"K{n}") for n, gateway in enumerate((one, other))]
        await bench.asked(topics.CHECKS, 2)
        await bench.reply("K1", ReplyReason.VALID)
        await bench.reply("K0", ReplyReason.ALREADY_VERIFIED)
        assert [(await each).json()["reason"] for each in asked] == ["already_verified", "valid"]


@bench
async def test_who_waits_when_the_gateway_ends_is_told_to_come_again(bench: AsksBench) -> None:
    async with bench.open() as gateway:
        asked = gateway.post("v/check", {"code": "1"})
        await bench.asked(topics.CHECKS, 1)
        await gateway.asking.stop()
        assert_problem(await asked, 503, "log_unavailable")

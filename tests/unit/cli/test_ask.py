"""``pipeline check``, ``resend``, ``failover`` and ``cancel``: what they ask, what they tell, and how they end."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import ask, main
from pipeline.errors import DeadlinePassed
from pipeline.model.reasons import REPLY_SENTENCE, ReplyReason
from pipeline.records.public import Reply
from pipeline.records.types import ReplyKind, VerificationState

COMMANDS = ("resend", "failover", "cancel")
RETRY_AT = 1_735_787_045_001


class Client:
    """Notes what it is asked, and answers as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.reason: str = ReplyReason.ACCEPTED
        self.more: dict[str, Any] = {}
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        async def answer(verification_id: str, *arguments: Any, **named: Any) -> Reply:
            self.asked.append((name, verification_id, *arguments, named))
            if self.error is not None:
                raise self.error
            return Reply(
                request_id="K",
                verification_id=verification_id,
                kind=ReplyKind.COMMAND,
                ok=self.reason in ("accepted", "valid"),
                reason=self.reason,
                state=VerificationState.SENT,
                **self.more,
            )

        return answer


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()

    @asynccontextmanager
    async def open_(_: object) -> AsyncIterator[Client]:
        yield made

    monkeypatch.setattr(ask, "_client", open_)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_asked_as_the_options_say(client: Client, command: str) -> None:
    step = [] if command == "cancel" else ["--step", "1"]
    assert main([command, "v", *step, "--tenant", "shop", "--command-id", "K", "--timeout", "7"]) == 0
    named = {"command_id": "K", "tenant": "shop", "timeout_s": 7.0} | ({"step_index": 1} if step else {})
    assert client.asked == [(command, "v", named)]


def test_a_check_names_the_tenant_when_told_to(client: Client) -> None:
    client.reason = ReplyReason.VALID
    assert main(["check", "v", "493817", "--tenant", "shop", "--check-id", "K"]) == 0
    assert client.asked == [("check", "v", "493817", {"check_id": "K", "tenant": "shop", "timeout_s": 5.0})]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_accepted_ends_with_0_and_says_the_step(
    client: Client, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    client.more = {"step_index": 1}
    assert main([command, "v"]) == 0
    told = capsys.readouterr()
    assert told.out.split()[-5:] == ["v", "yes", "accepted", "1", "sent"]
    assert told.err.strip() == REPLY_SENTENCE[ReplyReason.ACCEPTED]


@pytest.mark.parametrize("reason", ["no_such_step", "already_final", "unknown_verification", "moon_in_the_way"])
def test_a_refusal_ends_with_1_and_says_why(client: Client, capsys: pytest.CaptureFixture[str], reason: str) -> None:
    client.reason = reason
    assert main(["resend", "v"]) == 1
    told = capsys.readouterr()
    assert told.out.split()[-4:] == ["v", "no", reason, "sent"]
    known = {each.value: said for each, said in REPLY_SENTENCE.items()}
    assert told.err.strip() == known.get(reason, reason)


def test_too_soon_says_in_local_time_when_to_come_again(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    client.reason, client.more = ReplyReason.RESEND_TOO_SOON, {"retry_at": RETRY_AT}
    assert main(["resend", "v"]) == 1
    # Rounded up: a second earlier it would be too soon once more.
    assert ask.local_time(RETRY_AT) in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_the_whole_reply(client: Client, capsys: pytest.CaptureFixture[str], command: str) -> None:
    client.reason, client.more = ReplyReason.RESEND_TOO_SOON, {"retry_at": RETRY_AT}
    assert main([command, "v", "--json"]) == 1
    told = capsys.readouterr()
    assert told.err == ""
    reply = json.loads(told.out)
    assert (reply["reason"], reply["retry_at"], reply["ok"]) == ("resend_too_soon", RETRY_AT, False)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(["check", "v", "493817"], "--check-id"), (["resend", "v"], "--command-id"), (["cancel", "v"], "--command-id")],
)
def test_whoever_got_no_reply_is_told_how_to_ask_the_same_once_more(
    client: Client, capsys: pytest.CaptureFixture[str], arguments: list[str], option: str
) -> None:
    client.error = DeadlinePassed("no reply to it within 5 s")
    assert main(arguments) == 1
    told = capsys.readouterr().err
    asked_with = client.asked[0][-1]
    request_id = asked_with.get("check_id") or asked_with["command_id"]
    assert f"counted once: {option} {request_id}" in told
    assert "493817" not in told


@pytest.mark.parametrize("command", [*COMMANDS, "check"])
def test_what_can_be_no_id_is_refused_before_anything_is_asked(
    client: Client, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "no id", *(["1"] if command == "check" else [])]) == 2
    assert "use 1 to 48 of letters" in capsys.readouterr().err
    assert client.asked == []


@pytest.fixture
def in_kolkata() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_kolkata")
def test_times_are_those_of_the_place_and_rounded_up_to_the_second() -> None:
    assert ask.local_time(RETRY_AT) == "2025-01-02 08:34:06 IST"
    assert ask.local_time(RETRY_AT - 1) == "2025-01-02 08:34:05 IST"

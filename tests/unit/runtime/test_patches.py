"""What we change in aiokafka, and that another release of it stops the program."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiokafka.errors
import pytest
from aiokafka.consumer import fetcher
from aiokafka.producer import sender
from aiokafka.record.default_records import _DefaultRecordBatchPy

from pipeline.errors import Misconfigured
from pipeline.runtime.kafka import patches


class Client:
    """Answers with what it was given, and counts."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent = 0

    async def send(self, node_id: int, request: Any, *, group: Any) -> Any:
        self.sent += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def handler(kind: type, client: Client, backoffs: list[float | None]) -> Any:
    made = kind.__new__(kind)
    made._sender = SimpleNamespace(client=client, _retry_backoff=0.0)
    made._default_backoff = 0.0
    made.create_request = object
    made.handle_response = lambda response: backoffs.pop(0)
    made.handle_error = lambda: 0.0
    return made


@pytest.fixture(autouse=True)
def patched() -> None:
    patches.apply()


@pytest.mark.parametrize("kind", patches.HANDLERS)
@pytest.mark.parametrize("error", [aiokafka.errors.RequestTimedOutError(), aiokafka.errors.KafkaConnectionError()])
async def test_a_transactional_request_without_an_answer_is_raised_and_never_repeated(
    kind: type, error: Exception
) -> None:
    client = Client(error)
    with pytest.raises(patches.AnswerLost):
        await handler(kind, client, []).do(1)
    assert client.sent == 1


@pytest.mark.parametrize("kind", patches.HANDLERS)
async def test_an_answer_that_asks_to_try_again_was_not_applied_and_is_repeated(kind: type) -> None:
    assert await handler(kind, Client("later"), [0.0]).do(1) is False
    assert await handler(kind, Client("done"), [None]).do(1) is True


async def test_the_search_for_the_producer_id_still_tries_again_by_itself() -> None:
    """InitProducerId is no part of a transaction; it must outlive a broker that is away."""
    assert await handler(sender.InitPIDHandler, Client(aiokafka.errors.RequestTimedOutError()), []).do(1) is False


def test_the_pause_between_two_transactions_is_short() -> None:
    assert sender.BACKOFF_OVERRIDE == patches.BACKOFF_S < 0.02


def test_another_release_of_the_library_is_refused_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "digest", lambda _: "another")
    with pytest.raises(Misconfigured, match="install the release pinned"):
        patches.apply()


@pytest.mark.parametrize(("module", "name"), [(sender, "BACKOFF_OVERRIDE"), (fetcher, "MemoryRecords")])
def test_a_name_that_is_replaced_and_that_the_library_does_not_have_is_told_loudly(
    module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(module, name)
    with pytest.raises(Misconfigured, match=rf"{name} as this version knows it; install the release pinned"):
        patches.apply()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (sender.AddPartitionsToTxnHandler, "handle_response"),  # pauses for BACKOFF_OVERRIDE
        (fetcher.Fetcher, "_proc_fetch_request"),  # makes MemoryRecords
        (_DefaultRecordBatchPy, "_maybe_uncompress"),  # fills the buffer that is exchanged
        (_DefaultRecordBatchPy, "__iter__"),
        (sender.EndTxnHandler, "do"),
    ],
)
def test_a_change_of_what_the_replaced_is_used_by_is_refused_loudly(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another() -> None:
        """What the next release may do."""

    monkeypatch.setattr(owner, name, another)
    with pytest.raises(Misconfigured, match=rf"{name} as this version knows it; install the release pinned"):
        patches.apply()


def test_the_library_without_its_c_extension_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "DefaultRecordBatch", type("Slow", (), {"__module__": "aiokafka.record.slow"}))
    with pytest.raises(Misconfigured, match="C extension"):
        patches.apply()

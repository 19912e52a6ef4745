"""The requests of a transaction, against a broker that answers as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import aiokafka.errors as errors
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.producer import sender
from aiokafka.protocol.produce import ProduceRequest

from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import transaction
from pipeline.runtime.kafka.abandon import abandon
from pipeline.runtime.kafka.transaction import AnswerLost, Transactions

A0, A1, B0 = KafkaPartition("a", 0), KafkaPartition("a", 1), KafkaPartition("b", 0)
NODES = {A0: 1, A1: 1, B0: 2}
TRANSACTIONAL = ["AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn"]
Answer = Callable[[Any], Any]


def code(error: type[Exception]) -> int:
    return int(getattr(error, "errno"))  # noqa: B009 - the library declares it for none of them


class Broker:
    """Takes everything, but for what ``instead`` says of the next requests of a name: an error, or what to raise."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.instead: dict[str, list[type[Exception] | Exception]] = {}

    def names(self) -> list[str]:
        return [type(request).__name__.removesuffix("Request") for request in self.asked]

    def batches(self) -> list[bytes]:
        """The first of each request."""
        return [bytes(asked._topics[0][1][0][1]) for asked in self.asked if isinstance(asked, ProduceRequest)]

    async def send(self, node: int, request: Any, *, group: Any = None) -> Any:
        self.asked.append(request)
        await asyncio.sleep(0)
        name = type(request).__name__.removesuffix("Request")
        told = self.instead.get(name, [])
        special = told.pop(0) if told else None
        if isinstance(special, Exception):
            raise special
        number = 0 if special is None else code(special)
        if name == "Produce":
            topics = [
                (topic, [(partition, number, 7, -1, 0, [], None) for partition, _ in parts])
                for topic, parts in request._topics
            ]
            return SimpleNamespace(API_VERSION=8, topics=topics)
        if name == "AddPartitionsToTxn":
            return SimpleNamespace(errors=[(t, [(p, number) for p in parts]) for t, parts in request._topics])
        if name == "TxnOffsetCommit":
            return SimpleNamespace(errors=[(t, [(p, number) for p, *_ in parts]) for t, parts in request._topics])
        return SimpleNamespace(error_code=number)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def transactions(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Transactions]:
    """Of a producer that has its id."""
    producer = AIOKafkaProducer(transactional_id="task", retry_backoff_ms=1, client_id="task")

    async def known(topic: str) -> None:
        return None

    def updated() -> asyncio.Future[bool]:
        done = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done

    async def coordinator(kind: object, key: str) -> int:
        return 1

    monkeypatch.setattr(producer.client, "send", broker.send)
    monkeypatch.setattr(producer.client, "_wait_on_metadata", known)
    monkeypatch.setattr(producer.client, "force_metadata_update", updated)
    monkeypatch.setattr(producer.client.cluster, "leader_for_partition", NODES.get)
    monkeypatch.setattr(producer._metadata, "partitions_for_topic", {"a": {0, 1}, "b": {0}}.get)
    monkeypatch.setattr(producer._sender, "_find_coordinator", coordinator)
    producer._txn_manager.set_pid_and_epoch(5, 0)
    yield Transactions(producer)
    await abandon(producer)


def outputs(*places: KafkaPartition) -> dict[KafkaPartition, list[Emit]]:
    return {place: [Emit(place.topic, b"k", b"v", place.partition)] for place in places}


async def test_each_kind_of_request_is_sent_once_and_to_each_leader_one_produce(
    transactions: Transactions, broker: Broker
) -> None:
    for _ in range(2):
        broker.asked.clear()
        await transactions.run(outputs(A0, A1, B0), {A0: 3, B0: 4}, "group")
        assert broker.names() == ["AddPartitionsToTxn", "Produce", "Produce", *TRANSACTIONAL[1:]]


async def test_without_outputs_or_without_offsets_their_requests_are_left_out(
    transactions: Transactions, broker: Broker
) -> None:
    await transactions.run(outputs(A0), {}, "group")
    assert broker.names() == ["AddPartitionsToTxn", "Produce", "EndTxn"]
    broker.asked.clear()
    await transactions.run({}, {A0: 3}, "group")
    assert broker.names() == TRANSACTIONAL[1:]
    broker.asked.clear()
    await transactions.run({}, {}, "group")
    assert broker.names() == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        *((name, errors.CoordinatorLoadInProgressError) for name in TRANSACTIONAL),
        *((name, errors.ConcurrentTransactions) for name in TRANSACTIONAL if name != "TxnOffsetCommit"),
        *((name, errors.NotCoordinatorError) for name in TRANSACTIONAL),
        ("Produce", errors.NotLeaderForPartitionError),
        ("Produce", errors.NotEnoughReplicasError),
        ("Produce", errors.KafkaConnectionError()),
    ],
)
async def test_what_an_answer_asks_to_try_again_is_tried_again_and_nothing_else(
    transactions: Transactions, broker: Broker, name: str, error: Any
) -> None:
    broker.instead[name] = [error, error]
    await transactions.run(outputs(A0, A1), {A0: 3}, "group")
    once = ["AddPartitionsToTxn", "Produce", *TRANSACTIONAL[1:]]
    assert broker.names() == [each for known in once for each in [known] * (3 if known == name else 1)]


async def test_it_pauses_before_it_asks_again(
    transactions: Transactions, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(transaction, "asyncio", SimpleNamespace(sleep=sleep))
    broker.instead["AddPartitionsToTxn"] = [errors.ConcurrentTransactions]
    broker.instead["EndTxn"] = [errors.ConcurrentTransactions]
    await transactions.run(outputs(A0), {}, "group")
    assert slept == [sender.BACKOFF_OVERRIDE, 0.001]


async def test_a_partition_without_a_leader_is_waited_for(
    transactions: Transactions, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [-1, None, 1]
    leader = {**NODES}.get
    cluster = transactions.producer.client.cluster
    monkeypatch.setattr(
        cluster, "leader_for_partition", lambda place: told.pop(0) if place == A1 and told else leader(place)
    )
    await transactions.run(outputs(A0, A1), {}, "group")
    assert broker.names() == ["AddPartitionsToTxn", "Produce", "Produce", "EndTxn"]


async def test_a_partition_that_a_topic_does_not_have_is_told_before_anything_is_asked(
    transactions: Transactions, broker: Broker
) -> None:
    with pytest.raises(AssertionError, match="Unrecognized partition"):
        await transactions.run(outputs(A0, KafkaPartition("a", 7)), {}, "group")
    assert broker.names() == []


async def test_behind_a_refused_batch_no_further_one_is_written(transactions: Transactions, broker: Broker) -> None:
    broker.instead["Produce"] = [errors.InvalidProducerEpoch]
    with pytest.raises(errors.ProducerFenced):
        await transactions.run({A0: [Emit("a", b"k", bytes(10_000), 0) for _ in range(5)]}, {}, "group")
    assert broker.names() == ["AddPartitionsToTxn", "Produce"]


async def test_what_is_asked_of_another_leader_when_it_is_given_up_runs_on_for_nobody(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(node: int, request: Any, *, group: Any = None) -> Any:
        if isinstance(request, ProduceRequest):
            if node == NODES[B0]:
                raise ZeroDivisionError  # nothing that the library expects
            await asyncio.Event().wait()
        return await Broker().send(node, request, group=group)

    monkeypatch.setattr(transactions.producer.client, "send", send)
    before = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        await transactions.run(outputs(A0, B0), {}, "group")
    await abandon(transactions.producer, *transactions.under_way)
    assert asyncio.all_tasks() == before


async def test_records_refused_for_now_are_written_again_under_the_same_number(
    transactions: Transactions, broker: Broker
) -> None:
    broker.instead["Produce"] = [errors.NotLeaderForPartitionError]
    await transactions.run(outputs(A0), {}, "group")
    await transactions.run(outputs(A0), {}, "group")
    # The base sequence is at this place of a batch of the second format.
    assert [int.from_bytes(batch[53:57], "big") for batch in broker.batches()] == [0, 0, 1]


async def test_more_than_fits_into_a_batch_is_written_one_behind_the_other(
    transactions: Transactions, broker: Broker
) -> None:
    many = [Emit("a", b"k", bytes(10_000), 0) for _ in range(5)]
    await transactions.run({A0: many}, {}, "group")
    assert broker.names() == ["AddPartitionsToTxn", *["Produce"] * 5, "EndTxn"]


@pytest.mark.parametrize("name", TRANSACTIONAL)
@pytest.mark.parametrize("error", [errors.RequestTimedOutError(), errors.KafkaConnectionError()])
async def test_a_transactional_request_without_an_answer_is_raised_and_never_repeated(
    transactions: Transactions, broker: Broker, name: str, error: Exception
) -> None:
    broker.instead[name] = [error]
    with pytest.raises(AnswerLost, match=name):
        await transactions.run(outputs(A0), {A0: 3}, "group")
    assert broker.names().count(name) == 1
    assert broker.names()[-1] == name


@pytest.mark.parametrize("name", [*TRANSACTIONAL, "Produce"])
async def test_a_fenced_producer_is_told_so_at_every_step_and_does_no_more(
    transactions: Transactions, broker: Broker, name: str
) -> None:
    broker.instead[name] = [errors.InvalidProducerEpoch]
    with pytest.raises(errors.ProducerFenced):
        await transactions.run(outputs(A0, A1), {A0: 3}, "group")
    assert broker.names()[-1] == name
    with pytest.raises(AssertionError):
        await transactions.run(outputs(A0), {}, "group")
    assert broker.names()[-1] == name


async def test_a_refused_record_is_raised_before_anything_is_decided(
    transactions: Transactions, broker: Broker
) -> None:
    broker.instead["Produce"] = [errors.MessageSizeTooLargeError]
    with pytest.raises(errors.MessageSizeTooLargeError):
        await transactions.run(outputs(A0, A1, B0), {A0: 3}, "group")
    assert set(broker.names()) == {"AddPartitionsToTxn", "Produce"}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("AddPartitionsToTxn", errors.TopicAuthorizationFailedError),
        ("AddOffsetsToTxn", errors.GroupAuthorizationFailedError),
        ("TxnOffsetCommit", errors.GroupAuthorizationFailedError),
        ("AddPartitionsToTxn", errors.TransactionalIdAuthorizationFailed),
        ("EndTxn", errors.InvalidTxnState),
    ],
)
async def test_what_the_broker_does_not_allow_is_raised_as_what_it_is(
    transactions: Transactions, broker: Broker, name: str, error: type[Exception]
) -> None:
    broker.instead[name] = [error]
    with pytest.raises(error):
        await transactions.run(outputs(A0), {A0: 3}, "group")
    assert broker.names()[-1] == name


async def test_brokers_that_name_none_are_asked_again_before_a_coordinator_is_looked_for(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = transactions.producer.client
    named: list[set[int]] = [set(), set(), {1}]
    asked: list[str] = []

    async def bootstrap() -> None:
        asked.append("bootstrap")

    async def update() -> None:
        asked.append("metadata")

    async def start() -> None:
        asked.append("coordinator")

    monkeypatch.setattr(client, "bootstrap", bootstrap)
    monkeypatch.setattr(client, "force_metadata_update", update)
    monkeypatch.setattr(client.cluster, "brokers", lambda: named.pop(0))
    monkeypatch.setattr(transactions._sender, "_maybe_wait_for_pid", start)
    await transactions.start()
    assert asked == ["bootstrap", "metadata", "metadata", "coordinator"]

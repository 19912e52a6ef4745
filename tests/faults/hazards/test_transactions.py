"""Hazards of transactions: what the library takes for success, cannot be cut short, and leaves open."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import aiokafka.errors
import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.producer import sender
from aiokafka.producer.transaction_manager import PidAndEpoch

from pipeline.errors import LogUnavailable, RecordTooLarge, TaskLost
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka.writer import KafkaWriter
from pipeline.runtime.log import TopicPartition
from tests.contract.log.support import emits, incompressible

from .ground import Ground, Sent, still


@pytest.mark.usefixtures("stock")
async def test_hazard_01_the_library_commits_although_a_record_was_refused(ground: Ground) -> None:
    topic = await ground.topic(2, max_message_bytes=20_000)
    producer = await ground.producer(transactional_id=ground.prefix + "task")
    await producer.begin_transaction()
    await producer.send(ground.prefix + topic, b"kept", partition=0)
    refused = await producer.send(ground.prefix + topic, incompressible(40_000), partition=1)
    with still("hazard 1", "transaction.py need not look at each batch before it commits"):
        await producer.commit_transaction()
        assert isinstance(refused.exception(), aiokafka.errors.MessageSizeTooLargeError)
        assert await ground.committed(TopicPartition(topic, 0), TopicPartition(topic, 1)) == [b"kept"]


@pytest.mark.usefixtures("stock")
async def test_hazard_02_a_refused_record_spoils_the_librarys_producer_for_its_partition(ground: Ground) -> None:
    topic = ground.prefix + await ground.topic(max_message_bytes=20_000)
    producer = await ground.producer()
    await producer.send_and_wait(topic, b"before", partition=0)
    with pytest.raises(aiokafka.errors.MessageSizeTooLargeError):
        await producer.send_and_wait(topic, incompressible(40_000), partition=0)
    with still("hazard 2", "producer.py need not put a fresh producer in the place of one that was refused a record"):
        for _ in range(2):
            with pytest.raises(aiokafka.errors.OutOfOrderSequenceNumber):
                await producer.send_and_wait(topic, b"after", partition=0)


async def test_hazard_02_our_producer_goes_on_for_the_partition_of_a_refused_record(ground: Ground) -> None:
    topic = await ground.topic(2, max_message_bytes=20_000)
    producer = await (await ground.log()).producer()
    for turn in range(2):
        await producer.send(Emit(topic, b"key", b"before", 0))
        elsewhere = asyncio.create_task(producer.send(Emit(topic, b"key", b"elsewhere", 1)))
        with pytest.raises(RecordTooLarge):
            await producer.send(Emit(topic, b"key", incompressible(40_000), 0))
        await elsewhere
        with pytest.raises(RecordTooLarge):
            await producer.send_all([Emit(topic, b"key", incompressible(40_000 + turn), 0)])
        await producer.send(Emit(topic, b"key", b"after", 0))
    await producer.stop()
    assert await ground.committed(TopicPartition(topic, 0)) == [b"before", b"after"] * 2
    assert await ground.committed(TopicPartition(topic, 1)) == [b"elsewhere"] * 2


async def test_hazard_06_our_producer_goes_on_after_the_death_of_the_librarys_sender(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await ground.topic()
    producer = await (await ground.log()).producer()
    await producer.send(Emit(topic, b"key", b"before", 0))
    with monkeypatch.context() as patch:
        patch.setattr(sender.Sender, "_send_produce_req", None)  # a TypeError where none is expected
        with pytest.raises(LogUnavailable):
            await producer.send(Emit(topic, b"key", b"lost", 0))
    await producer.send(Emit(topic, b"key", b"after", 0))
    await producer.stop()
    assert await ground.committed(TopicPartition(topic, 0)) == [b"before", b"after"]


@pytest.mark.usefixtures("stock")
async def test_hazard_03_after_a_canceled_commit_the_library_cannot_abort(ground: Ground) -> None:
    topic = ground.prefix + await ground.topic()
    producer = await ground.producer(transactional_id=ground.prefix + "task")
    await producer.begin_transaction()
    await producer.send(topic, b"undecided", partition=0)
    committing = asyncio.create_task(producer.commit_transaction())
    await asyncio.sleep(0)
    committing.cancel()
    await asyncio.wait({committing})
    with still("hazard 3", "writer.py may bound a commit by canceling it"), pytest.raises(AssertionError):
        await producer.abort_transaction()


@pytest.mark.parametrize("turns", [1, 3, 6, 10, 20])
async def test_hazard_03_of_a_canceled_commit_of_ours_the_successor_shows_all_or_nothing(
    ground: Ground, turns: int
) -> None:
    topic = await ground.topic(2)
    places = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    log = await ground.log()
    writer = log.writer("task")
    await writer.start()
    committing = asyncio.create_task(writer.commit([e for p in places for e in emits(p, b"1", b"2")], {}, "group"))
    for _ in range(turns):
        await asyncio.sleep(0.001)
    committing.cancel()
    await asyncio.wait({committing})
    await writer.stop()
    successor = log.writer("task")
    await successor.start()
    await successor.commit(emits(places[0], b"next"), {}, "group")
    await successor.stop()
    shown = await ground.committed(*places)
    assert sorted(value or b"" for value in shown) in ([b"next"], [b"1", b"1", b"2", b"2", b"next"])


def test_hazard_03_without_assertions_the_librarys_state_machine_takes_every_step() -> None:
    """Its states are guarded by assert alone, so python -O would let a writer commit what was aborted."""
    step = (
        "from aiokafka.producer.transaction_manager import TransactionManager, TransactionState as S\n"
        "class One(TransactionManager):\n"
        "    def __init__(self): self.state = S.FATAL_ERROR\n"
        "One()._transition_to(S.READY)"
    )
    with still("hazard 3", "patches.py need not refuse python -O"):
        assert subprocess.run([sys.executable, "-O", "-c", step], capture_output=True, check=False).returncode == 0
        assert subprocess.run([sys.executable, "-c", step], capture_output=True, check=False).returncode == 1


def test_hazard_03_the_program_does_not_run_without_assertions() -> None:
    run = [sys.executable, "-O", "-c", "from pipeline.runtime.kafka import patches; patches.apply()"]
    told = subprocess.run(run, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "Misconfigured: aiokafka guards its transactions by assertions" in told.stderr


@pytest.mark.usefixtures("stock")
async def test_hazard_05_offsets_of_a_topic_nobody_has_are_sent_by_the_library_for_ever(
    ground: Ground, sent: Sent
) -> None:
    producer = await ground.producer(transactional_id=ground.prefix + "task", retry_backoff_ms=20)
    await producer.begin_transaction()
    offsets = {KafkaPartition(ground.prefix + "nowhere", 0): 1}
    sending = asyncio.create_task(producer.send_offsets_to_transaction(offsets, ground.prefix + "group"))
    with still("hazard 5", "writer.py need not bound a commit"):
        async with asyncio.timeout(60):
            while sent.count("TxnOffsetCommitRequest") < 20:
                assert not sending.done()
                await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.wait({sending})


async def test_hazard_05_a_commit_of_ours_with_such_offsets_ends_at_its_deadline_and_is_sent_no_more(
    ground: Ground, sent: Sent
) -> None:
    partition = TopicPartition(await ground.topic(), 0)
    log = await ground.log(commit_deadline_s=1.0)
    writer = log.writer("task")
    await writer.start()
    with pytest.raises(TaskLost, match="did not end within 1 s"):
        await writer.commit(emits(partition, b"lost"), {TopicPartition("nowhere", 0): 1}, "group")
    await writer.stop()
    count = sent.count("TxnOffsetCommitRequest", "task")
    await asyncio.sleep(0.3)
    assert sent.count("TxnOffsetCommitRequest", "task") == count > 1
    successor = log.writer("task")
    await successor.start()
    await successor.commit(emits(partition, b"next"), {partition: 1}, "group")
    await successor.stop()
    assert await ground.committed(partition) == [b"next"]


@pytest.mark.usefixtures("stock")
async def test_hazard_06_an_error_nobody_expected_kills_the_librarys_sender_and_is_told_as_another(
    ground: Ground,
) -> None:
    """Also hazard 7: the coordinator answers so for an id that was quiet for transactional.id.expiration.ms."""
    topic = ground.prefix + await ground.topic()
    producer = await ground.producer(transactional_id=ground.prefix + "task")
    producer._txn_manager._pid_and_epoch = PidAndEpoch(2**40, 0)
    await producer.begin_transaction()
    sending = await producer.send(topic, b"lost", partition=0)
    with still("hazard 6", "renewal.py may tell errors by their type and not by their causes"):
        with pytest.raises(aiokafka.errors.KafkaError) as raised:
            await sending
        assert type(raised.value) is aiokafka.errors.KafkaError
        assert producer._sender.sender_task.done()


async def test_hazard_07_a_writer_whose_producer_id_the_coordinator_forgot_is_lost_by_name_and_its_successor_goes_on(
    ground: Ground,
) -> None:
    partition = TopicPartition(await ground.topic(), 0)
    log = await ground.log()
    writer = log.writer("task")
    await writer.start()
    producer = _producer(writer)
    producer._txn_manager._pid_and_epoch = PidAndEpoch(2**40, 0)
    with pytest.raises(TaskLost, match="InvalidProducerIdMapping") as raised:
        await writer.commit(emits(partition, b"lost"), {}, "group")
    assert type(raised.value) is TaskLost
    await writer.stop()
    successor = log.writer("task")
    await successor.start()
    await successor.commit(emits(partition, b"next"), {}, "group")
    await successor.stop()
    assert await ground.committed(partition) == [b"next"]


@pytest.mark.usefixtures("stock")
async def test_hazard_08_the_library_leaves_a_transaction_open_when_it_stops(ground: Ground) -> None:
    topic = await ground.topic()
    producer = await ground.producer(transactional_id=ground.prefix + "task")
    await producer.begin_transaction()
    await producer.send_and_wait(ground.prefix + topic, b"open", partition=0)
    await producer.stop()
    where = KafkaPartition(ground.prefix + topic, 0)
    reader = await ground.consumer(isolation_level="read_committed")
    with still("hazard 8", "a writer that is stopped in a transaction needs no successor to end it"):
        assert await reader.end_offsets([where]) == {where: 0}


def _producer(writer: KafkaWriter) -> object:
    assert writer._transactions is not None
    return writer._transactions.producer

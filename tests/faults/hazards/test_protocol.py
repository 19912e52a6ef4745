"""Traps of the protocol: what the library repeats in silence, how long it pauses, and what it cannot say or read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka.errors
import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.producer import sender
from aiokafka.protocol import commit, group, transaction
from packaging.requirements import Requirement
from packaging.version import Version

from pipeline.dev.properties import server_properties
from pipeline.errors import TaskLost
from pipeline.runtime.kafka import patches
from pipeline.runtime.log import TopicPartition
from tests.contract.log.support import emits

from .ground import Ground, Sent, constants, still

ROOT = Path(__file__).parents[3]


def losing_answers(producer: Any, name: str) -> None:
    """From now on each request of this name is sent and answered, and its first answer gets lost."""
    send, lost = producer.client.send, []

    async def deaf(node_id: int, request: Any, **options: Any) -> Any:
        answer = await send(node_id, request, **options)
        if type(request).__name__ == name and not lost:
            lost.append(answer)
            raise aiokafka.errors.RequestTimedOutError
        return answer

    producer.client.send = deaf


REPEATED = ["AddPartitionsToTxnRequest", "AddOffsetsToTxnRequest", "TxnOffsetCommitRequest", "EndTxnRequest"]


@pytest.mark.usefixtures("stock")
@pytest.mark.parametrize("name", REPEATED)
async def test_trap_the_library_repeats_in_silence_what_may_have_been_applied(
    ground: Ground, sent: Sent, name: str
) -> None:
    topic = ground.prefix + await ground.topic()
    producer = await ground.producer(transactional_id=ground.prefix + "task", client_id="task", retry_backoff_ms=20)
    losing_answers(producer, name)
    await producer.begin_transaction()
    await producer.send(topic, b"v", partition=0)
    with still("the trap of silent repetition", "transaction.py may leave the library's handlers to themselves"):
        await producer.send_offsets_to_transaction({aiokafka.TopicPartition(topic, 0): 1}, ground.prefix + "group")
        await producer.commit_transaction()
        assert sent.count(name, "task") == 2


@pytest.mark.parametrize("name", REPEATED)
async def test_trap_our_writer_tells_of_the_lost_answer_and_its_successor_decides(
    ground: Ground, sent: Sent, name: str
) -> None:
    partition = TopicPartition(await ground.topic(), 0)
    log = await ground.log()
    writer = log.writer("task")
    await writer.start()
    losing_answers(writer._transactions.producer, name)
    with pytest.raises(TaskLost, match="RequestTimedOutError"):
        await writer.commit(emits(partition, b"first"), {partition: 1}, "group")
    await writer.stop()
    assert sent.count(name, "task") == 1
    successor = log.writer("task")
    await successor.start()
    await successor.commit(emits(partition, b"second"), {partition: 2}, "group")
    await successor.stop()
    decided = [b"first"] if name == "EndTxnRequest" else []
    assert await ground.committed(partition) == [*decided, b"second"]


def test_trap_the_librarys_pause_between_transactions_is_longer_than_markers_take() -> None:
    with still("the pause of 20 ms", "patches.py need not replace BACKOFF_OVERRIDE"):
        assert constants(sender)["BACKOFF_OVERRIDE"] > patches.BACKOFF_S


@pytest.mark.parametrize(
    ("handler", "begun"), [("AddPartitionsToTxn", False), ("AddPartitionsToTxn", True), ("AddOffsetsToTxn", False)]
)
def test_trap_only_a_transactions_first_partition_is_tried_again_soon(handler: str, begun: bool) -> None:
    """So records go before offsets, and the ordinary back-off is a short one."""
    theirs = SimpleNamespace(
        _retry_backoff=0.1, _txn_manager=SimpleNamespace(txn_partitions={"p"} if begun else set(), transactional_id="t")
    )
    made = getattr(sender, f"{handler}Handler")(theirs, "group")
    concurrent = aiokafka.errors.ConcurrentTransactions.errno
    answer = SimpleNamespace(error_code=concurrent, errors=[("topic", [(0, concurrent)])])
    first = handler == "AddPartitionsToTxn" and not begun
    with still("the trap of the long back-off", "transaction.py may send offsets before records"):
        assert made.handle_response(answer) == (sender.BACKOFF_OVERRIDE if first else 0.1)


async def test_trap_our_writer_sends_records_before_offsets(ground: Ground, sent: Sent) -> None:
    partition = TopicPartition(await ground.topic(), 0)
    writer = (await ground.log()).writer("task")
    await writer.start()
    before = len(sent.names("task"))
    await writer.commit(emits(partition, b"v"), {partition: 1}, "group")
    await writer.stop()
    told = list(dict.fromkeys(name for name in sent.names("task")[before:] if name in {*REPEATED, "ProduceRequest"}))
    assert told == ["AddPartitionsToTxnRequest", "ProduceRequest", *REPEATED[1:]]


@pytest.mark.parametrize(
    ("code", "what", "where"),
    [
        (82, "FENCED_INSTANCE_ID", "members.py may tell a twin by it"),
        (90, "PRODUCER_FENCED", "writer.py may tell a fenced writer by it"),
        (120, "TRANSACTION_ABORTABLE", "writer.py may abort and go on"),
    ],
)
def test_trap_the_library_does_not_know_these_error_codes(code: int, what: str, where: str) -> None:
    with still(f"the trap of {what}", where):
        assert aiokafka.errors.for_code(code) is aiokafka.errors.UnknownError


def fields(request: Any) -> set[str]:
    """What any version of a request can say."""
    return {name for version in request._CLASSES for name in version.SCHEMA.names}


def test_trap_heartbeats_of_the_library_do_not_name_their_instance() -> None:
    with still("the trap of nameless heartbeats", "members.py need not count how often its place was forgotten"):
        assert "group_instance_id" not in fields(group.HeartbeatRequest)
        assert "group_instance_id" in fields(group.JoinGroupRequest)


def test_trap_offsets_in_a_transaction_say_nothing_of_the_member_that_sends_them() -> None:
    """KIP-447 is absent (aiokafka#844): a zombie's offsets are refused by the transactional id alone."""
    with still("the trap of offsets without a member", "one producer may do for all tasks of a process"):
        assert not {"member_id", "generation_id"} & fields(transaction.TxnOffsetCommitRequest)


def test_trap_the_library_reads_no_stable_offsets_on_demand_and_raises_no_epoch() -> None:
    with still("the trap of old versions", "the re-read after the fence may ask for stable offsets"):
        assert "require_stable" not in fields(commit.OffsetFetchRequest)
        assert "producer_epoch" not in fields(transaction.InitProducerIdRequest)


def test_trap_a_program_without_the_c_extension_does_not_start() -> None:
    run = [sys.executable, "-c", "from pipeline.runtime.kafka import patches; patches.apply()"]
    slow = {**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}
    told = subprocess.run(run, capture_output=True, text=True, check=False, env=slow)
    assert told.returncode == 1
    assert "Misconfigured: aiokafka runs without its C extension" in told.stderr


def test_hazard_15_no_release_before_the_mended_ones_is_taken_and_none_that_nobody_looked_at() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [specifier] = [r.specifier for r in map(Requirement, project["dependencies"]) if r.name == "aiokafka"]
    assert not [old for old in ("0.12.0", "0.13.0", "0.13.9") if specifier.contains(old)]
    assert not specifier.contains("0.15.0")
    assert specifier.contains(Version(aiokafka.__version__))
    assert len(patches.KNOWN) >= 9


def test_hazard_16_a_single_broker_of_ours_can_keep_its_transactions() -> None:
    """aiokafka#1091: with Kafka's defaults, three replicas, a transaction on one broker never ends."""
    found = server_properties(port=1, controller_port=2, log_dir=Path("data"))
    assert found["transaction.state.log.replication.factor"] == "1"
    assert found["transaction.state.log.min.isr"] == "1"
    assert found["offsets.topic.replication.factor"] == "1"


def test_hazard_17_nothing_instruments_the_client_from_outside() -> None:
    """open-telemetry/opentelemetry-python-contrib#3383: its instrumentation of aiokafka grows without bound."""
    lock = (ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"^opentelemetry-instrumentation\S*", lock, re.MULTILINE) == []
    assert re.findall(r"^ddtrace|^elastic-apm|^newrelic", lock, re.MULTILINE) == []


async def test_hazard_18_what_a_writer_left_open_hides_others_until_the_broker_times_it_out(ground: Ground) -> None:
    partition = TopicPartition(await ground.topic(), 0)
    log = await ground.log(transaction_timeout_ms=1_000)
    writer = log.writer("task")
    await writer.start()
    transactions: Any = writer._transactions
    transactions._manager.begin_transaction()
    await transactions._write({KafkaPartition(ground.prefix + partition.topic, 0): emits(partition, b"never")})
    await writer.stop()
    other = log.writer("other")
    await other.start()
    await other.commit(emits(partition, b"hidden"), {}, "group")
    await other.stop()
    reader = await log.reader({partition: 0})
    assert await reader.fetch(timeout_ms=100, max_records=10) == []
    # Nobody succeeds the one that left: the broker ends it by itself, and the scan waits for that.
    assert await ground.committed(partition) == [b"hidden"]
    await reader.stop()

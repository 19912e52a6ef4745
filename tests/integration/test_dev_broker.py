"""The development broker against real Java and real Kafka."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient

from pipeline.dev import broker as broker_module
from pipeline.dev.broker import BrokerFailed, DevBroker, ExtraListener
from pipeline.dev.jars import DEFAULT_VERSION, versions
from pipeline.dev.ports import free_port
from pipeline.errors import UsageError

pytestmark = pytest.mark.kafka

QUICK_SESSION = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
"""A killed broker may come back only when its old session has timed out: 9 s by default."""


async def create_topic(bootstrap: str, name: str, partitions: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        response = await admin.create_topics([NewTopic(name, partitions, 1)])
        assert [error[1] for error in response.topic_errors] == [0]
    finally:
        await admin.close()


async def write(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read_one(bootstrap: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 20)
        return bytes(record.value)
    finally:
        await consumer.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
async def own_broker(kafka_jars: str) -> AsyncIterator[DevBroker]:
    async with DevBroker(kafka_version=kafka_jars, properties=QUICK_SESSION) as broker:
        yield broker


async def test_a_broker_is_usable_the_moment_its_address_is_known(kafka: str, topic_prefix: str) -> None:
    await create_topic(kafka, f"{topic_prefix}first", partitions=3)
    await write(kafka, f"{topic_prefix}first", b"hello")
    assert await read_one(kafka, f"{topic_prefix}first") == b"hello"


async def test_what_was_acknowledged_survives_kill_9_and_a_restart(own_broker: DevBroker) -> None:
    address, pid = own_broker.bootstrap_servers, own_broker.pid
    await create_topic(address, "kept")
    await write(address, "kept", b"before the crash")
    await own_broker.kill()
    assert not own_broker.running
    assert not alive(pid)
    await own_broker.start()
    assert own_broker.bootstrap_servers == address, "clients must find it again"
    assert await read_one(address, "kept") == b"before the crash"
    await own_broker.restart()
    assert await read_one(address, "kept") == b"before the crash"


async def test_a_clean_stop_leaves_no_process_no_folder_and_a_free_port(kafka_jars: str) -> None:
    broker = DevBroker(kafka_version=kafka_jars)
    await broker.start()
    pid, folder, port = broker.pid, broker.data_dir, broker.port
    await broker.stop()
    await broker.stop()
    assert not alive(pid)
    assert not folder.exists()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


async def test_a_folder_given_is_kept_and_used_again(kafka_jars: str, tmp_path: Path) -> None:
    async with DevBroker(kafka_version=kafka_jars, data_dir=tmp_path / "kafka") as first:
        await create_topic(first.bootstrap_servers, "kept")
        await write(first.bootstrap_servers, "kept", b"yesterday")
    assert (tmp_path / "kafka" / "data" / ".kafka_cleanshutdown").exists(), "SIGTERM was waited for"
    async with DevBroker(kafka_version=kafka_jars, data_dir=tmp_path / "kafka") as second:
        assert await read_one(second.bootstrap_servers, "kept") == b"yesterday"


async def test_two_brokers_are_two_clusters(own_broker: DevBroker, kafka: str) -> None:
    seen = []
    for address in (own_broker.bootstrap_servers, kafka):
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        seen.append((await admin.describe_cluster())["cluster_id"])
        await admin.close()
    assert len(set(seen)) == 2


async def test_a_taken_port_is_said_before_anything_starts(kafka_jars: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} of 127\.0\.0\.1 is taken.*--port"):
            await DevBroker(kafka_version=kafka_jars, port=port).start()


async def test_a_folder_another_broker_uses_is_said(kafka_jars: str, own_broker: DevBroker) -> None:
    other = DevBroker(kafka_version=kafka_jars, data_dir=own_broker.data_dir)
    with pytest.raises(UsageError, match=r"another broker is using .*--data-dir"):
        await other.start()
    await create_topic(own_broker.bootstrap_servers, "unharmed")


async def test_a_broker_that_dies_at_its_start_shows_why(kafka_jars: str) -> None:
    broker = DevBroker(kafka_version=kafka_jars, properties={"num.partitions": "many"})
    with pytest.raises(BrokerFailed, match=r"ended at start:\n(.|\n)*num\.partitions"):
        await broker.start()
    assert not broker.running


async def test_a_start_that_takes_too_long_is_ended_and_said(kafka_jars: str) -> None:
    broker = DevBroker(kafka_version=kafka_jars, ready_s=0.0)
    with pytest.raises(BrokerFailed, match="not ready within 0 s"):
        await broker.start()
    assert not broker.running


async def test_data_of_a_newer_release_is_said_with_what_to_do(kafka_jars: str, tmp_path: Path) -> None:
    if kafka_jars != DEFAULT_VERSION or "3.9.1" not in versions():
        pytest.skip("needs the default release and an older one")
    async with DevBroker(data_dir=tmp_path / "kafka", kafka_version=DEFAULT_VERSION):
        pass
    with pytest.raises(BrokerFailed, match=r"newer Kafka than 3\.9\.1.*--kafka-version.*--data-dir"):
        await DevBroker(data_dir=tmp_path / "kafka", kafka_version="3.9.1").start()


async def test_a_disk_nearly_full_is_said_before_anything_starts(
    kafka_jars: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 5 * 1024 * 1024))
    with pytest.raises(BrokerFailed, match=r"only 5 MB are free in .*--data-dir"):
        await DevBroker(kafka_version=kafka_jars).start()


async def test_a_folder_that_cannot_be_written_is_said(kafka_jars: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be used \(Not a directory\)"):
        await DevBroker(kafka_version=kafka_jars, data_dir=tmp_path / "file" / "kafka").start()


async def test_a_port_taken_in_the_last_moment_leads_to_another(
    kafka_jars: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1]])
        monkeypatch.setattr(
            broker_module, "free_port", lambda host, avoid=(): next(ports, None) or free_port(host, avoid=avoid)
        )
        async with DevBroker(kafka_version=kafka_jars) as broker:
            assert broker.port != taken.getsockname()[1]
            await create_topic(broker.bootstrap_servers, "works")


async def test_clients_of_the_extra_listener_are_sent_to_the_advertised_port(kafka_jars: str) -> None:
    door = ExtraListener(port=free_port("127.0.0.1"), advertised_port=29_999)
    async with DevBroker(kafka_version=kafka_jars, extra_listener=door) as broker:
        by_door = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{door.port}")
        await by_door.bootstrap()
        seen = [node.port for node in by_door.cluster.brokers()]
        await by_door.close()
        assert seen == [29_999]
        await create_topic(broker.bootstrap_servers, "undisturbed")


def test_it_is_a_plain_context_manager_too(kafka_jars: str) -> None:
    with DevBroker(kafka_version=kafka_jars) as broker:
        assert broker.running
        asyncio.run(create_topic(broker.bootstrap_servers, "works"))


STARTER = """
import sys, time
from pipeline.dev.broker import DevBroker
with DevBroker(kafka_version=sys.argv[1]) as broker:
    print(broker.pid, flush=True)
    time.sleep(600)
"""


def test_it_ends_with_the_process_that_started_it_even_by_kill_9(kafka_jars: str, tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, kafka_jars],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # nobody is left to delete its folder
    )
    try:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert alive(pid)
    finally:
        starter.send_signal(signal.SIGKILL)
        starter.wait()
        assert starter.stdout is not None
        starter.stdout.close()
    deadline = time.monotonic() + 25
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(pid)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.9.1", "4.3.1"])
async def test_both_kafka_lines_start_and_take_transactions(kafka_jars: str, version: str) -> None:
    async with DevBroker(kafka_version=version) as broker:
        address = broker.bootstrap_servers
        await create_topic(address, "out")
        producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id="t")
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait("out", b"committed")
        finally:
            await producer.stop()
        assert await read_one(address, "out") == b"committed"
        log_folder = broker.data_dir
    assert not log_folder.exists()

"""Connecting at start: Kafka and the pipeline may be started together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pipeline.cli import main
from pipeline.dev.ports import free_port
from pipeline.errors import LogUnavailable
from pipeline.runtime.kafka import KafkaLog
from pipeline.settings import KafkaSettings


@asynccontextmanager
async def listening(port: int, kafka: str) -> AsyncIterator[None]:
    """Kafka at this port too."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, broker = kafka.rpartition(":")
        back, on = await asyncio.open_connection(host, int(broker))
        await asyncio.gather(pump(reader, on), pump(back, writer), return_exceptions=True)

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def test_a_kafka_that_starts_later_is_waited_for_with_one_line_that_says_so(kafka: str) -> None:
    port = free_port("127.0.0.1")
    log = KafkaLog(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", connect_timeout_s=60))
    with capture_logs() as told:
        starting = asyncio.create_task(log.start())
        for _ in range(3_000):
            if told or starting.done():
                break
            await asyncio.sleep(0.01)
        async with listening(port, kafka):
            await starting
    await log.stop()
    assert [(line["action"], line["servers"]) for line in told] == [("kafka_awaited", f"127.0.0.1:{port}")]


async def test_a_kafka_that_never_starts_is_told_at_the_end_with_its_address_and_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = KafkaLog(KafkaSettings(bootstrap_servers="127.0.0.1:9", connect_timeout_s=1.2))
    with (
        capture_logs() as told,
        pytest.raises(LogUnavailable, match=r"at 127\.0\.0\.1:9 \(.*Errno.*; start one"),
    ):
        await log.start()
    assert [line["action"] for line in told] == ["kafka_awaited"]
    assert caplog.text == ""


async def test_a_writer_tells_that_no_broker_answers() -> None:
    # As of a broker that went away after the process had connected: waiting helps, so it is not the writer's trouble.
    writer = KafkaLog(KafkaSettings(bootstrap_servers="127.0.0.1:9")).writer("task")
    with pytest.raises(LogUnavailable, match=r"no Kafka broker answers at 127\.0\.0\.1:9"):
        await writer.start()
    await writer.stop()


@pytest.mark.parametrize("argv", [["send", "+4915112345678"], ["watch"], ["topics", "check"]])
def test_a_person_at_a_terminal_is_told_of_a_refused_connection_without_waiting(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "pipeline.toml"
    # Longer than a test may take.
    config.write_text("[kafka]\nbootstrap_servers = '127.0.0.1:9'\nconnect_timeout_s = 300\n")
    assert main(["--config", str(config), *argv]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "127.0.0.1:9" in line

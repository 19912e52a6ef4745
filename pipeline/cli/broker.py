"""``pipeline dev``: tools for development; a real Kafka broker on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.program import program, stop_signals
from pipeline.dev.broker import BrokerFailed, DevBroker
from pipeline.dev.jars import DEFAULT_VERSION, versions
from pipeline.dev.progress import progress_for

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def dev() -> None:
    """Tools for development.

    Example: `pipeline dev broker`
    """


@app.command()
def broker(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 picks a free one.")] = 9092,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder to keep its data in; without it everything is gone at the end.")
    ] = None,
    kafka_version: Annotated[str, typer.Option(help=f"One of {', '.join(versions())}.")] = DEFAULT_VERSION,
) -> None:
    """Run Apache Kafka on this machine until Ctrl-C; the first start fetches it (46 MB).

    Example: `pipeline dev broker --port 9092 --data-dir ./data/kafka`
    """
    asyncio.run(run_broker(port=port, data_dir=data_dir, kafka_version=kafka_version))


async def run_broker(
    *,
    port: int,
    data_dir: Path | None,
    kafka_version: str,
    say: Callable[[str], None] = typer.echo,
    until: asyncio.Event | None = None,
) -> None:
    """Run a broker until one of :func:`stop_signals` or ``until``; ``say`` tells the person what to do next.

    Raises BrokerFailed when the broker ends by itself, and what :meth:`DevBroker.start` raises.
    """
    stopped = until or asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = stop_signals()
    kafka = DevBroker(port=port, data_dir=data_dir, kafka_version=kafka_version, progress=progress_for())
    starting = asyncio.ensure_future(kafka.start())
    waiting = asyncio.ensure_future(stopped.wait())
    for number in signals:
        loop.add_signal_handler(number, stopped.set)
    try:
        await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            say("Stopping as soon as this step is finished …")
            await starting
            return
        await starting
        for line in _ready(kafka, keeps=data_dir is not None):
            say(line)
        while not stopped.is_set():
            if not kafka.running:
                raise BrokerFailed(f"the broker has ended by itself:\n{kafka.last_lines()}")
            await asyncio.wait((waiting,), timeout=0.5)
        say("Stopping Kafka …")
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        waiting.cancel()
        await asyncio.gather(starting, waiting, return_exceptions=True)
        await kafka.stop()


def _ready(kafka: DevBroker, *, keeps: bool) -> list[str]:
    address = kafka.bootstrap_servers
    setting = [] if kafka.port == 9092 else [f"  export PIPELINE_KAFKA__BOOTSTRAP_SERVERS={address}"]
    command = program()
    return [
        f"Apache Kafka {kafka.kafka_version} is ready at {address}. Ctrl-C stops it.",
        f"Data: {kafka.data_dir} ({'kept' if keeps else 'deleted at the end'}). Log: {kafka.log_file}",
        "In another terminal:",
        *setting,
        f"  {command} keys new    # once",
        f"  {command} topics apply --partitions 4 --replication-factor 1",
        f"  {command} run all",
    ]

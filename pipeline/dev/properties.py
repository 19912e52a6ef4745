"""What a development broker is told: server properties, JVM flags, logging. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
"""Only this machine may connect: the broker asks nobody for a password."""

JVM_FLAGS: Final = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # the first compiler only: a test broker never runs long enough to gain from the second
    "-XX:+ExitOnOutOfMemoryError",  # a broker that limps on would look like a bug of ours
    "-Djava.awt.headless=true",
    "-Dfile.encoding=UTF-8",
)

LOG4J2: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR">
  <Appenders>
    <Console name="out"><PatternLayout pattern="%d{ISO8601} %-5p %c{1} %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="warn"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""

LOG4J1: Final = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} %m%n
"""


@dataclass(frozen=True, slots=True)
class ExtraListener:
    """A second door for clients, advertised at another port than it listens on.

    Clients that come in by it are sent to ``advertised_port`` for everything, so that a fault proxy listening there
    sits on every connection, while a checker that uses the ordinary door stays undisturbed.
    """

    port: int
    advertised_port: int
    name: str = "CHAOS"


@dataclass(frozen=True, slots=True)
class Node:
    """Which one of a cluster's brokers this is; each is broker and controller."""

    id: int
    cluster_id: str
    ports: tuple[tuple[int, int], ...]
    """Broker and controller ports of all nodes, in the order of their ids, which count from 1."""


def server_properties(
    *,
    port: int,
    controller_port: int,
    log_dir: Path,
    extra_listener: ExtraListener | None = None,
    node: Node | None = None,
    overrides: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The properties of one combined broker and controller with a static quorum, which 3.9 and 4.x both take."""
    listeners = [f"PLAINTEXT://{HOST}:{port}"]
    advertised = [f"PLAINTEXT://{HOST}:{port}"]
    protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"]
    if extra_listener is not None:
        listeners.append(f"{extra_listener.name}://{HOST}:{extra_listener.port}")
        advertised.append(f"{extra_listener.name}://{HOST}:{extra_listener.advertised_port}")
        protocols.append(f"{extra_listener.name}:PLAINTEXT")
    listeners.append(f"CONTROLLER://{HOST}:{controller_port}")
    controllers = [controller_port] if node is None else [controller for _, controller in node.ports]
    replicas = str(len(controllers))
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1" if node is None else str(node.id),
        "controller.quorum.voters": ",".join(f"{id_}@{HOST}:{port}" for id_, port in enumerate(controllers, 1)),
        "listeners": ",".join(listeners),
        "advertised.listeners": ",".join(advertised),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": ",".join(protocols),
        "log.dirs": str(log_dir),
        "auto.create.topics.enable": "false",
        "num.partitions": "4",
        "default.replication.factor": replicas,
        "offsets.topic.num.partitions": "3",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "3",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": str(max(1, len(controllers) - 1)),
        "group.initial.rebalance.delay.ms": "0",
        # A dead task's open transaction is looked for every second instead of every ten: its timeout is 5 s.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        "log.cleaner.backoff.ms": "500",
        # The cleaner's table is allocated at start; 128 MiB by default is a third of this broker's whole memory.
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }
    properties.update(overrides or {})
    return properties


def render(properties: Mapping[str, str]) -> str:
    """The properties as Java reads them (a backslash starts an escape there)."""
    return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in properties.items())


def logging_file(kafka_version: str) -> tuple[str, str, str]:
    """``(file name, content, JVM property that names the file)`` of the logging library of this Kafka line."""
    if kafka_version.startswith("3."):
        return "log4j.properties", LOG4J1, "log4j.configuration"
    return "log4j2.xml", LOG4J2, "log4j2.configurationFile"

"""Read a cluster's topics, and bring them to what the file wants; the thin shell around :mod:`pipeline.topics_plan`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code
from aiokafka.helpers import create_ssl_context

from pipeline.clock import Clock, SystemClock
from pipeline.errors import DeadlinePassed, LogUnavailable, Misconfigured, UsageError
from pipeline.runtime.kafka.connection import reasons_kept
from pipeline.settings import KafkaSettings
from pipeline.topics_file import WantedTopic
from pipeline.topics_plan import CurrentTopic, Plan, adopt_partitions, plan

_TOPIC_CONFIG: Final = 1
"""DescribeConfigs' source of a value set on the topic itself (others: broker, cluster, default)."""
_ALREADY_EXISTS: Final = TopicAlreadyExistsError.errno
_VISIBLE_S: Final = 30.0
"""How long a created topic may take to be known and led everywhere."""


@asynccontextmanager
async def admin_client(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client. Raises LogUnavailable when no broker answers."""
    encrypted = kafka.security_protocol.endswith("SSL")
    context = (
        create_ssl_context(
            cafile=_text(kafka.ssl_cafile), certfile=_text(kafka.ssl_certfile), keyfile=_text(kafka.ssl_keyfile)
        )
        if encrypted
        else None
    )
    client = AIOKafkaAdminClient(
        bootstrap_servers=kafka.bootstrap_servers,
        client_id=kafka.client_id,
        request_timeout_ms=kafka.request_timeout_ms,
        security_protocol=kafka.security_protocol,
        ssl_context=context,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_plain_username=kafka.sasl_username or None,
        sasl_plain_password=kafka.sasl_password.get_secret_value() or None,
    )
    with reasons_kept() as reasons:
        try:
            async with asyncio.timeout(kafka.connect_timeout_s):
                await client.start()
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            await client.close()
            why = reasons[-1] if reasons else type(error).__name__
            raise LogUnavailable(
                f"Kafka at {kafka.bootstrap_servers} does not answer ({why}): start one with `pipeline dev broker`, or "
                "set kafka.bootstrap_servers"
            ) from error
    try:
        yield client
    except KafkaError as error:
        raise LogUnavailable(f"Kafka at {kafka.bootstrap_servers}: {type(error).__name__}: {error}") from error
    finally:
        await client.close()


async def read_topics(client: AIOKafkaAdminClient, names: Sequence[str]) -> list[CurrentTopic]:
    """Those of the named topics that the cluster has."""
    wanted = set(names)
    # All topics, because asking for one by name creates it where the cluster creates topics on demand.
    described = [topic for topic in await client.describe_topics() if topic["topic"] in wanted]
    if not described:
        return []
    configs = await _read_configs(client, [topic["topic"] for topic in described])
    found = []
    for topic in described:
        if topic["topic"] not in configs:
            continue
        effective, own = configs[topic["topic"]]
        replicas = {len(partition["replicas"]) for partition in topic["partitions"]}
        found.append(
            CurrentTopic(
                name=topic["topic"],
                partitions=len(topic["partitions"]),
                replication_factor=min(replicas, default=0),
                config=effective,
                own_config=own,
            )
        )
    return found


async def check(kafka: KafkaSettings, wanted: Sequence[WantedTopic], *, partitions: int | None = None) -> Plan:
    """What differs, changing nothing. ``partitions`` None means the count that the topics there already share."""
    async with admin_client(kafka) as client:
        return await _planned(client, wanted, partitions)


async def apply(
    kafka: KafkaSettings,
    wanted: Sequence[WantedTopic],
    *,
    partitions: int | None = None,
    clock: Clock | None = None,
) -> Plan:
    """Create what is missing and alter what may be altered; returns what was found before.

    Applying again changes nothing. Nothing at all is changed while a partition count differs
    (:attr:`pipeline.topics_plan.Plan.blocked`); other refused differences keep nothing else back. Raises UsageError
    for more replicas than brokers, Misconfigured when the cluster refuses, LogUnavailable, DeadlinePassed.
    """
    async with admin_client(kafka) as client:
        found = await _planned(client, wanted, partitions)
        if found.blocked:
            return found
        if found.creates:
            await _create(client, found.creates, kafka.request_timeout_ms)
        if found.alters:
            await _alter(client, found.alters)
        if found.creates or found.alters:
            await _wait_visible(client, wanted, partitions, clock or SystemClock())
        return found


async def _planned(client: AIOKafkaAdminClient, wanted: Sequence[WantedTopic], partitions: int | None) -> Plan:
    current = await read_topics(client, [topic.name for topic in wanted])
    return plan(current, adopt_partitions(current, wanted, partitions))


async def _create(client: AIOKafkaAdminClient, topics: Sequence[WantedTopic], timeout_ms: int) -> None:
    brokers = len((await client.describe_cluster())["brokers"])
    replicas = max(topic.replication_factor for topic in topics)
    if replicas > brokers:
        raise UsageError(
            f"replication-factor: {replicas} needs {replicas} brokers, the cluster has {brokers}; for a single "
            "development broker use --replication-factor 1"
        )
    # One request for all: the controller writes them in one go, which is some thirty times faster than one by one.
    response = await client.create_topics(
        [
            NewTopic(topic.name, topic.partitions, topic.replication_factor, topic_configs=dict(topic.config))
            for topic in topics
        ],
        timeout_ms=timeout_ms,
    )
    # Somebody else's apply may have been faster: the topic is there, and a later check compares it.
    _raise_for([error for error in response.topic_errors if error[1] != _ALREADY_EXISTS], "created")


async def _alter(client: AIOKafkaAdminClient, alters: Mapping[str, Mapping[str, str]]) -> None:
    # The client knows only the request that replaces all settings of a topic (IncrementalAlterConfigs is missing), so
    # each set holds what was there before. A change made by others between our read and this write is lost; they see
    # it in the next check.
    responses = await client.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, dict(config)) for name, config in alters.items()]
    )
    _raise_for([(name, code, text) for reply in responses for code, text, _, name in reply.resources], "altered")


def _raise_for(errors: Sequence[Any], what: str) -> None:
    refused = [(name, code, text) for name, code, text in errors if code != 0]
    if refused:
        lines = "\n".join(f"  {name}: {text or for_code(code).__name__}" for name, code, text in refused)
        raise Misconfigured(f"the cluster refused to have these topics {what}:\n{lines}")


async def _wait_visible(
    client: AIOKafkaAdminClient, wanted: Sequence[WantedTopic], partitions: int | None, clock: Clock
) -> None:
    """Until the brokers show what was applied.

    The controller's answer means that it is written; brokers learn of it a moment later, and a producer or a check
    started in between would stumble over topics that are not there yet.
    """
    names = {topic.name for topic in wanted}
    began = clock.monotonic_s()
    while True:
        led = {
            topic["topic"]
            for topic in await client.describe_topics()
            if topic["partitions"] and all(partition["leader"] >= 0 for partition in topic["partitions"])
        }
        if names <= led:
            left = await _planned(client, wanted, partitions)
            if not left.creates and not left.alters:
                return
        if clock.monotonic_s() - began > _VISIBLE_S:
            raise DeadlinePassed(
                f"what was applied cannot be seen on the brokers after {_VISIBLE_S:.0f} s "
                f"({len(names - led)} topics without a leader): look at the brokers, then run topics check"
            )
        await asyncio.sleep(0.05)


async def _read_configs(
    client: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Per topic: effective values, and those set on the topic itself.

    A topic just created is left out where it is another broker that is asked, which has not heard of it yet.
    """
    responses = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found = {}
    for response in responses:
        for code, text, _, name, entries in response.resources:
            if code == UnknownTopicOrPartitionError.errno:
                continue
            if code != 0:
                raise Misconfigured(f"the settings of {name} cannot be read: {text or for_code(code).__name__}")
            effective = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
            own = {entry[0]: entry[1] for entry in entries if entry[3] == _TOPIC_CONFIG and entry[1] is not None}
            found[name] = (effective, own)
    return found


def _text(path: object) -> str | None:
    return None if path is None else str(path)

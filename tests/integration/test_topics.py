"""Topics as code against real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from pipeline import topics_admin
from pipeline.errors import LogUnavailable, UsageError
from pipeline.settings import KafkaSettings
from pipeline.topics_file import WantedTopic, load, wanted_topics
from pipeline.topics_plan import Action

pytestmark = pytest.mark.kafka


def wanted(prefix: str, *, partitions: int | None = 4, replicas: int = 1) -> tuple[WantedTopic, ...]:
    return wanted_topics(
        load(), prefix=prefix, providers=("ycloud", "neutrino"), partitions=partitions, replication_factor=replicas
    )


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    """Brokers learn of what the controller accepted a moment later."""
    for _ in range(400):
        if await probe():
            return
        await asyncio.sleep(0.05)
    pytest.fail("the brokers did not learn of it within 20 s")


async def own_settings(settings: KafkaSettings, topic: str) -> dict[str, str]:
    async with topics_admin.admin_client(settings) as client:
        found = await topics_admin.read_topics(client, [topic])
    return dict(found[0].own_config) if found else {}


async def change_by_hand(settings: KafkaSettings, topic: str, **changed: str) -> None:
    config = {**await own_settings(settings, topic), **{name.replace("_", "."): v for name, v in changed.items()}}
    async with topics_admin.admin_client(settings) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])

    async def visible() -> bool:
        return await own_settings(settings, topic) == config

    await until(visible)


async def create_by_hand(settings: KafkaSettings, topic: str, partitions: int) -> None:
    async with topics_admin.admin_client(settings) as client:
        await client.create_topics([NewTopic(topic, partitions, 1)])

        async def visible() -> bool:
            return bool(await topics_admin.read_topics(client, [topic]))

        await until(visible)


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka)


async def test_the_cluster_takes_every_setting_of_the_file_as_written(
    settings: KafkaSettings, topic_prefix: str
) -> None:
    topics = wanted(topic_prefix)
    first = await topics_admin.apply(settings, topics, partitions=4)
    assert {one.action for one in first.differences} == {Action.CREATE}
    assert len(first.creates) == len(topics)
    async with topics_admin.admin_client(settings) as client:
        current = {topic.name: topic for topic in await topics_admin.read_topics(client, [t.name for t in topics])}
    for topic in topics:
        assert current[topic.name].partitions == topic.partitions
        assert dict(current[topic.name].own_config) == dict(topic.config)


async def test_applying_twice_changes_nothing(settings: KafkaSettings, topic_prefix: str) -> None:
    await topics_admin.apply(settings, wanted(topic_prefix), partitions=4)
    again = await topics_admin.apply(settings, wanted(topic_prefix), partitions=4)
    assert again.differences == ()


async def test_what_somebody_changed_is_reported_and_only_what_loses_nothing_is_mended(
    settings: KafkaSettings, topic_prefix: str, apply_topics: Callable[..., Awaitable[None]]
) -> None:
    await apply_topics(topic_prefix)
    shortened, lengthened = f"{topic_prefix}verification.outcomes", f"{topic_prefix}verification.commands"
    await change_by_hand(settings, shortened, retention_ms="60000", segment_jitter_ms="7")
    await change_by_hand(settings, lengthened, retention_ms="-1")

    found = await topics_admin.check(settings, wanted(topic_prefix))
    assert {(one.topic, one.setting, one.current, one.action) for one in found.differences} == {
        (shortened, "retention.ms", "60000", Action.ALTER),
        (lengthened, "retention.ms", "-1", Action.REFUSE),
    }

    await topics_admin.apply(settings, wanted(topic_prefix))
    left = await topics_admin.check(settings, wanted(topic_prefix))
    assert [(one.topic, one.setting) for one in left.differences] == [(lengthened, "retention.ms")]
    mended = await own_settings(settings, shortened)
    assert mended["retention.ms"] == "2592000000"
    assert mended["segment.jitter.ms"] == "7", "what others set on a topic stays"
    assert mended["message.timestamp.type"] == "LogAppendTime"


async def test_another_partition_count_is_refused_and_nothing_at_all_is_changed(
    settings: KafkaSettings, topic_prefix: str
) -> None:
    decisions = f"{topic_prefix}verification.decisions"
    await create_by_hand(settings, decisions, 3)
    found = await topics_admin.apply(settings, wanted(topic_prefix, partitions=6), partitions=6)
    assert found.blocked
    refused = [one for one in found.differences if one.setting == "partitions"]
    assert [(one.topic, one.current, one.wanted) for one in refused] == [(decisions, "3", "6")]
    async with topics_admin.admin_client(settings) as client:
        names = [topic.name for topic in wanted(topic_prefix)]
        current = await topics_admin.read_topics(client, names)
    assert [topic.name for topic in current] == [decisions]
    assert current[0].own_config == {}


async def test_a_later_apply_keeps_the_partition_count_of_the_first(settings: KafkaSettings, topic_prefix: str) -> None:
    few = wanted_topics(load(), prefix=topic_prefix, providers=("ycloud",), partitions=3, replication_factor=1)
    await topics_admin.apply(settings, few, partitions=3)
    more = await topics_admin.apply(settings, wanted(topic_prefix, partitions=None))
    assert [(topic.name, topic.partitions) for topic in more.creates] == [
        (f"{topic_prefix}verification.attempts.neutrino", 3)
    ]
    assert not more.blocked


async def test_more_replicas_than_brokers_name_the_flag_for_one_broker(
    settings: KafkaSettings, topic_prefix: str
) -> None:
    with pytest.raises(UsageError, match=r"needs 3 brokers, the cluster has 1.*--replication-factor 1"):
        await topics_admin.apply(settings, wanted(topic_prefix, replicas=3), partitions=4)
    assert len((await topics_admin.check(settings, wanted(topic_prefix))).creates) == len(wanted(topic_prefix))


async def test_a_setting_the_broker_does_not_know_is_reported_with_its_topic(
    settings: KafkaSettings, topic_prefix: str
) -> None:
    odd = WantedTopic(f"{topic_prefix}odd", 1, 1, {"retention.msx": "1"}, shares_partitions=True)
    with pytest.raises(Exception, match=r"odd: .*retention\.msx"):
        await topics_admin.apply(settings, [odd])


async def test_nobody_at_the_address_is_said_once_with_reason_and_fix(caplog: pytest.LogCaptureFixture) -> None:
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:9", connect_timeout_s=5)
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:9 does not answer .*Errno.*pipeline dev broker"):
        await topics_admin.check(settings, wanted(""))
    assert caplog.text == "", "the library's own line says it a second time"

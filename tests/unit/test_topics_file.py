"""The topics file: what it promises about personal data and outages, and how it speaks about mistakes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline import topics
from pipeline.errors import UsageError
from pipeline.topics_file import HOUR_MS, TopicsFile, load, parse, wanted_topics

FLOW_WITH_LANES = [
    topics.REQUESTS,
    topics.DECISIONS,
    *(topics.send(channel) for channel in topics.CHANNELS),
    topics.RESULTS,
    topics.STATUSES,
    topics.ROUTER_INBOX,
]
SINGLE = [
    topics.PROVIDER_CHECKS,
    topics.RECEIPTS,
    topics.MESSAGE_REFS,
    topics.CHECKS,
    topics.COMMANDS,
    topics.REPLIES,
    topics.TRACKER_INBOX,
    topics.OUTCOMES,
    topics.DEAD_LETTERS,
]
COMPACTED = [
    topics.PROVIDER_HEALTH,
    topics.CONTROL,
    topics.SCHEMAS,
    topics.ROUTER_STATE,
    topics.TRACKER_STATE,
    topics.CORRELATOR_STATE,
    topics.attempts("ycloud"),
    topics.attempts("neutrino-eu"),
]
PUBLIC = [
    topics.REQUESTS,
    topics.bulk(topics.REQUESTS),
    topics.CHECKS,
    topics.COMMANDS,
    topics.REPLIES,
    topics.OUTCOMES,
    topics.STATUSES,
    topics.bulk(topics.STATUSES),
    topics.DEAD_LETTERS,
    topics.SCHEMAS,
]


@pytest.fixture(scope="module")
def file() -> TopicsFile:
    return load()


@pytest.fixture(scope="module")
def wanted(file: TopicsFile) -> dict[str, Any]:
    found = wanted_topics(file, providers=["ycloud", "neutrino-eu"], id_horizon_s=172_800)
    return {topic.name: topic for topic in found}


def text_with(**changed: object) -> str:
    entry: dict[str, object] = {
        "name": "verification.results",
        "key": "verification id",
        "policy": "delete",
        "retention": "3d",
        "segment": "1h",
    }
    entry.update(changed)
    entry = {name: value for name, value in entry.items() if value is not None}
    whole = {"version": 1, "partitions": 4, "replication_factor": 1, "min_insync_replicas": 1, "topics": [entry]}
    return yaml.safe_dump(whole)


def test_the_file_has_every_topic_of_the_design_and_no_other(wanted: dict[str, Any]) -> None:
    with_lanes = [name for topic in FLOW_WITH_LANES for name in (topic, topics.bulk(topic))]
    assert sorted(wanted) == sorted([*with_lanes, *SINGLE, *COMPACTED])


def test_every_topic_that_stages_address_by_partition_has_the_same_count(wanted: dict[str, Any]) -> None:
    other = {name for name, topic in wanted.items() if topic.partitions != 12}
    assert other == {topics.CONTROL, topics.SCHEMAS}


def test_every_input_of_a_stage_carries_the_brokers_append_time(wanted: dict[str, Any]) -> None:
    stamped = {name for name, topic in wanted.items() if topic.config["message.timestamp.type"] == "LogAppendTime"}
    assert stamped == (set(wanted) - set(COMPACTED)) | set(PUBLIC)


def test_state_and_tables_are_compacted_and_never_expire(wanted: dict[str, Any]) -> None:
    compacted = [name for name, topic in wanted.items() if topic.config["cleanup.policy"] == "compact"]
    assert sorted(compacted) == sorted(COMPACTED)
    assert not [name for name in compacted if "retention.ms" in wanted[name].config]


@pytest.mark.parametrize("topic", [topics.REQUESTS, topics.bulk(topics.REQUESTS)])
def test_a_request_is_gone_before_its_id_is_forgotten(wanted: dict[str, Any], topic: str) -> None:
    config = wanted[topic].config
    assert int(config["retention.ms"]) + int(config["segment.ms"]) < 48 * HOUR_MS
    assert int(config["retention.ms"]) > 24 * HOUR_MS, "a bulk request may wait a day"


def test_what_only_stages_read_survives_three_days_of_outage(wanted: dict[str, Any]) -> None:
    internal = [name for name in wanted if name not in PUBLIC and name not in COMPACTED]
    assert internal
    assert min(int(wanted[name].config["retention.ms"]) for name in internal) >= 72 * HOUR_MS


def test_topics_with_personal_data_say_why_they_keep_it(file: TopicsFile) -> None:
    personal = {entry.name: entry.why for entry in file.topics if entry.personal_data}
    assert set(personal) == {topics.REQUESTS, topics.CHECKS}
    assert all(len(why) > 40 for why in personal.values())


def test_an_id_horizon_shorter_than_the_requests_retention_is_refused(file: TopicsFile) -> None:
    with pytest.raises(UsageError, match=r"policy\.id_horizon_s: 86400 .*sent twice"):
        wanted_topics(file, id_horizon_s=86_400)


def test_the_prefix_goes_before_every_name(file: TopicsFile) -> None:
    assert all(topic.name.startswith("blue.verification.") for topic in wanted_topics(file, prefix="blue."))


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_one_broker_may_always_be_away(file: TopicsFile, replicas: int, in_sync: str) -> None:
    found = wanted_topics(file, replication_factor=replicas)
    assert {topic.config["min.insync.replicas"] for topic in found} == {in_sync}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"retention": "3 days"}, "retention: must be a duration such as 90s"),
        ({"retention": 5}, "retention: must be a duration"),
        ({"retention": None}, "a topic with policy delete needs one"),
        ({"retention": "71h"}, "kept for 3d at least"),
        ({"policy": "compact"}, "leave it out"),
        ({"policy": "keep"}, "policy: Input should be 'delete' or 'compact'"),
        ({"retentoin": "3d"}, "retentoin: nobody knows this field"),
        ({"personal_data": True}, "has to say why"),
        ({"personal_data": True, "why": "x", "retention": "forever"}, "must forget"),
        ({"config": {"retention.ms": "1"}}, "config.retention.ms: use the field retention instead"),
        ({"name": "results"}, "name: String should match"),
        ({"partitions": 0}, "partitions"),
        ({"segment": "0s"}, "segment"),
    ],
)
def test_a_mistake_is_told_by_topic_field_and_problem(changed: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as told:
        parse(text_with(**changed), "mine.yaml")
    text = str(told.value)
    assert text.startswith("mine.yaml is not valid:")
    assert message in text
    assert str(changed.get("name", "verification.results")) in text


def test_the_same_topic_twice_is_told() -> None:
    data = yaml.safe_load(text_with())
    data["topics"] *= 2
    with pytest.raises(UsageError, match=r"verification\.results stands there twice"):
        parse(yaml.safe_dump(data))


@pytest.mark.parametrize("text", ["", "[1, 2]", "topics: [", "a: b: c"])
def test_what_is_not_a_topics_file_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"topics\.yaml"):
        parse(text)


def test_an_absent_file_names_the_option() -> None:
    from pathlib import Path

    with pytest.raises(UsageError, match="--file"):
        load(Path("nowhere.yaml"))

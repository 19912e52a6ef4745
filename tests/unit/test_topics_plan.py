"""Differences between a cluster and the topics file: what is mended, and what only a person may decide."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.topics_file import WantedTopic, load, wanted_topics
from pipeline.topics_plan import Action, CurrentTopic, adopt_partitions, plan

WANTED = wanted_topics(load(), providers=["ycloud"], partitions=4, replication_factor=3)


def as_current(topic: WantedTopic) -> CurrentTopic:
    return CurrentTopic(topic.name, topic.partitions, topic.replication_factor, dict(topic.config), dict(topic.config))


def with_setting(topic: CurrentTopic, name: str, value: str) -> CurrentTopic:
    return replace(topic, config={**topic.config, name: value}, own_config={**topic.own_config, name: value})


OUTCOMES = next(topic for topic in WANTED if topic.name == "verification.outcomes")


def test_an_empty_cluster_gets_every_topic() -> None:
    found = plan([], WANTED)
    assert found.creates == WANTED
    assert not found.alters
    assert not found.refused


def test_a_cluster_as_wanted_has_no_difference() -> None:
    assert plan(map(as_current, WANTED), WANTED).differences == ()


def test_topics_that_nobody_wants_are_left_alone() -> None:
    foreign = CurrentTopic("orders", 7, 1, {}, {})
    removed = CurrentTopic("verification.attempts.bird", 4, 3, {}, {})
    assert plan([*map(as_current, WANTED), foreign, removed], WANTED).differences == ()


@pytest.mark.parametrize(("current", "action"), [("60000", Action.ALTER), ("-1", Action.REFUSE)])
def test_retention_is_raised_and_never_lowered(current: str, action: Action) -> None:
    (found,) = plan([with_setting(as_current(OUTCOMES), "retention.ms", current)], [OUTCOMES]).differences
    assert (found.setting, found.action) == ("retention.ms", action)
    assert (found.why != "") is (action is Action.REFUSE)


def test_a_cleanup_policy_is_never_changed() -> None:
    found = plan([with_setting(as_current(OUTCOMES), "cleanup.policy", "compact")], [OUTCOMES])
    assert [one.setting for one in found.refused] == ["cleanup.policy"]
    assert not found.alters


@pytest.mark.parametrize("partitions", [3, 5])
def test_another_partition_count_blocks_everything_and_says_how_to_grow(partitions: int) -> None:
    found = plan([replace(as_current(OUTCOMES), partitions=partitions)], WANTED)
    assert found.blocked
    assert "topic_prefix" in found.refused[0].why


def test_other_replicas_are_told_but_keep_nothing_else_back() -> None:
    more = replace(as_current(OUTCOMES), replication_factor=4)
    found = plan([more], WANTED)
    assert not found.blocked
    assert {one.setting for one in found.refused} == {"replicas"}
    assert len(found.creates) == len(WANTED) - 1


def test_a_topic_with_one_replica_is_never_made_to_need_two() -> None:
    one_replica = with_setting(replace(as_current(OUTCOMES), replication_factor=1), "min.insync.replicas", "1")
    found = plan([one_replica], [OUTCOMES])
    assert {one.setting for one in found.refused} == {"replicas", "min.insync.replicas"}
    assert not found.alters


def test_fewer_acknowledging_replicas_are_never_set() -> None:
    strict = with_setting(as_current(OUTCOMES), "min.insync.replicas", "3")
    assert [one.action for one in plan([strict], [OUTCOMES]).differences] == [Action.REFUSE]


def test_altering_sends_along_what_others_have_set_because_the_request_replaces_all() -> None:
    current = with_setting(with_setting(as_current(OUTCOMES), "segment.ms", "1"), "segment.jitter.ms", "9")
    found = plan([current], [OUTCOMES])
    assert found.alters == {OUTCOMES.name: {**OUTCOMES.config, "segment.jitter.ms": "9"}}


def test_the_same_number_written_otherwise_is_no_difference() -> None:
    state = next(topic for topic in WANTED if topic.name == "verification.router-state")
    assert plan([with_setting(as_current(state), "min.cleanable.dirty.ratio", "0.10")], [state]).differences == ()


def test_without_a_count_asked_for_new_topics_get_the_count_in_use() -> None:
    current = [replace(as_current(OUTCOMES), partitions=6)]
    adopted = {topic.name: topic.partitions for topic in adopt_partitions(current, WANTED, None)}
    assert adopted["verification.requests"] == 6
    assert adopted["verification.control"] == 1


def test_a_count_asked_for_is_not_replaced_silently() -> None:
    current = [replace(as_current(OUTCOMES), partitions=6)]
    assert adopt_partitions(current, WANTED, 4) == WANTED


def test_topics_that_disagree_on_the_count_are_an_error_with_both_named() -> None:
    checks = next(topic for topic in WANTED if topic.name == "verification.checks")
    current = [replace(as_current(OUTCOMES), partitions=6), as_current(checks)]
    with pytest.raises(UsageError, match=r"checks has 4, verification\.outcomes has 6"):
        adopt_partitions(current, WANTED, None)


SETTINGS = sorted({name for topic in WANTED for name in topic.config if name.endswith((".ms", ".bytes"))})


@given(
    changes=st.dictionaries(
        st.tuples(st.sampled_from([topic.name for topic in WANTED]), st.sampled_from(SETTINGS)),
        st.integers(min_value=-1, max_value=10**13).map(str),
        max_size=8,
    ),
    absent=st.sets(st.sampled_from([topic.name for topic in WANTED]), max_size=5),
)
def test_whatever_was_changed_applying_once_leaves_only_what_was_refused(
    changes: dict[tuple[str, str], str], absent: set[str]
) -> None:
    cluster = {topic.name: as_current(topic) for topic in WANTED if topic.name not in absent}
    for (name, setting), value in changes.items():
        if name in cluster:
            cluster[name] = with_setting(cluster[name], setting, value)
    first = plan(cluster.values(), WANTED)
    for topic in first.creates:
        cluster[topic.name] = as_current(topic)
    for name, config in first.alters.items():
        before = cluster[name]
        cluster[name] = replace(before, config={**before.config, **config}, own_config=dict(config))
        for limit in ("retention.ms", "delete.retention.ms", "max.message.bytes"):
            if limit in before.config:
                old, new = float(before.config[limit]), float(config[limit])
                assert new == old or new == -1 or (old != -1 and new > old), "never shortened"
    assert plan(cluster.values(), WANTED).differences == first.refused

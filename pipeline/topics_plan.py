"""What has to change so that a cluster's topics are as the file wants them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pipeline.errors import UsageError
from pipeline.topics_file import FOREVER, WantedTopic


@dataclass(frozen=True, slots=True)
class CurrentTopic:
    """One topic as the cluster has it; ``config`` holds the effective values, ``own_config`` those set on the topic."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    own_config: Mapping[str, str]


class Action(StrEnum):
    """What ``apply`` does about a difference."""

    CREATE = "create"
    ALTER = "alter"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as wanted. ``setting`` is a topic setting of Kafka, or topic, partitions, replicas."""

    topic: str
    setting: str
    current: str
    wanted: str
    action: Action
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All differences, and what ``apply`` sends to the cluster: topics to create, and whole sets of settings."""

    differences: tuple[Difference, ...]
    creates: tuple[WantedTopic, ...]
    alters: Mapping[str, Mapping[str, str]]

    @property
    def refused(self) -> tuple[Difference, ...]:
        """What a person has to decide."""
        return tuple(difference for difference in self.differences if difference.action is Action.REFUSE)

    @property
    def blocked(self) -> bool:
        """Whether nothing at all may be applied: another partition count makes every further topic a wrong one."""
        return any(difference.setting == "partitions" for difference in self.differences)


NEVER_LOWERED: Final = frozenset(
    {"retention.ms", "retention.bytes", "delete.retention.ms", "min.compaction.lag.ms", "max.message.bytes"}
)
"""Lowering one of these loses records, or has writers refused that were fine before."""

_WHY_LOWER: Final = "never lowered here: records or writers would be lost; if you mean it, use kafka-configs"
_WHY_POLICY: Final = "changing it loses records (delete) or refuses those without a key (compact); use kafka-configs"
_WHY_PARTITIONS: Final = (
    "fixed for ever: keys would move away from their state. To grow, deploy under a new topic_prefix and drain the old"
)
_WHY_REPLICAS: Final = "needs a reassignment: use kafka-reassign-partitions"
_WHY_INSYNC: Final = "never lowered here: acknowledged records could be lost with one broker; use kafka-configs"
_WHY_TOO_FEW: Final = "too few replicas for it: writes would be refused; for one broker use --replication-factor 1"


def shared_partitions(current: Iterable[CurrentTopic], wanted: Sequence[WantedTopic]) -> int | None:
    """The count that the topics already there share; None when there are none.

    Raises UsageError when they disagree, as no further topic could fit both.
    """
    sharing = {topic.name for topic in wanted if topic.shares_partitions}
    counts: dict[int, str] = {}
    for topic in current:
        if topic.name in sharing:
            counts.setdefault(topic.partitions, topic.name)
    if len(counts) > 1:
        found = ", ".join(f"{name} has {count}" for count, name in sorted(counts.items()))
        raise UsageError(
            f"partitions: the topics of one deployment must all have the same count, but {found}. Use a new "
            "topic_prefix; a topic that never held a record may also be deleted by hand"
        )
    return next(iter(counts), None)


def adopt_partitions(
    current: Iterable[CurrentTopic], wanted: Sequence[WantedTopic], asked: int | None
) -> tuple[WantedTopic, ...]:
    """The wanted topics with the count already in use, unless a count was asked for by name."""
    found = shared_partitions(current, wanted)
    if asked is not None or found is None:
        return tuple(wanted)
    return tuple(replace(topic, partitions=found) if topic.shares_partitions else topic for topic in wanted)


def plan(current: Iterable[CurrentTopic], wanted: Sequence[WantedTopic]) -> Plan:
    """Compare. Topics of the cluster that nobody wants are left alone and are no difference."""
    there = {topic.name: topic for topic in current}
    differences: list[Difference] = []
    creates: list[WantedTopic] = []
    alters: dict[str, Mapping[str, str]] = {}
    for want in wanted:
        have = there.get(want.name)
        if have is None:
            creates.append(want)
            differences.append(Difference(want.name, "topic", "absent", f"{want.partitions} partitions", Action.CREATE))
            continue
        found = _compare(have, want)
        differences += found
        changed = {one.setting: one.wanted for one in found if one.action is Action.ALTER}
        if changed:
            # The request replaces the whole set, so what others have set on the topic is sent along.
            alters[want.name] = {**have.own_config, **changed}
    return Plan(tuple(differences), tuple(creates), alters)


def _compare(have: CurrentTopic, want: WantedTopic) -> list[Difference]:
    found = []
    if have.partitions != want.partitions:
        found.append(
            Difference(
                want.name, "partitions", str(have.partitions), str(want.partitions), Action.REFUSE, _WHY_PARTITIONS
            )
        )
    if have.replication_factor != want.replication_factor:
        found.append(
            Difference(
                want.name,
                "replicas",
                str(have.replication_factor),
                str(want.replication_factor),
                Action.REFUSE,
                _WHY_REPLICAS,
            )
        )
    for setting, value in sorted(want.config.items()):
        current = have.config.get(setting)
        if not _same(current, value):
            why = _refusal(setting, current, value, have.replication_factor)
            action = Action.REFUSE if why else Action.ALTER
            found.append(Difference(want.name, setting, current or "not set", value, action, why))
    return found


def _same(current: str | None, wanted: str) -> bool:
    if current is None or current == wanted:
        return current is not None
    try:
        return float(current) == float(wanted)  # Kafka prints 0.10 as 0.1
    except ValueError:
        return False


def _refusal(setting: str, current: str | None, wanted: str, replicas: int) -> str:
    """Why this setting is not changed by us; empty when it is."""
    if setting == "min.insync.replicas" and int(wanted) > max(1, replicas - 1):
        # With too few replicas behind it every write with acks=all would be refused from now on.
        return _WHY_TOO_FEW
    if setting == "cleanup.policy":
        return _WHY_POLICY
    if setting not in NEVER_LOWERED and setting != "min.insync.replicas":
        return ""
    if current is None or _rank(wanted) > _rank(current):
        return ""
    return _WHY_INSYNC if setting == "min.insync.replicas" else _WHY_LOWER


def _rank(value: str) -> float:
    """For comparing limits: -1 means no limit."""
    number = float(value)
    return float("inf") if number == FOREVER else number

"""``deploy/topics.yaml``, read and checked, and what it means for one deployment. Pure apart from reading the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline import topics
from pipeline.errors import UsageError

SHARE: Final = Path(__file__).parent / "_share" / "topics.yaml"
"""Where a wheel carries the file."""
CHECKOUT: Final = Path(__file__).parent.parent / "deploy" / "topics.yaml"
"""Where a checkout has it."""

HOUR_MS: Final = 3_600_000
FOREVER: Final = -1
INTERNAL_RETENTION_MS: Final = 72 * HOUR_MS
"""Least retention of what only stages read: a stage that was down over a weekend still finds its input."""

_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": HOUR_MS, "d": 24 * HOUR_MS}
_DURATION: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_OWN_FIELDS: Final = {
    "cleanup.policy": "policy",
    "retention.ms": "retention",
    "segment.ms": "segment",
    "max.message.bytes": "max_message_bytes",
    "message.timestamp.type": "public",
    "min.insync.replicas": "min_insync_replicas",
}
"""Kafka settings that have a field of their own, so that ``config`` cannot contradict it."""


def _duration(value: object) -> object:
    if value == "forever":
        return FOREVER
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a duration such as 90s, 15m, 36h or 3d, or forever")
    return int(match[1]) * _UNITS[match[2]]


Duration = Annotated[int, BeforeValidator(_duration)]
"""Milliseconds, written as ``36h``; :data:`FOREVER` for ``forever``."""


class TopicEntry(BaseModel):
    """One topic, or one family of topics, of the file; the file's own comments say what each field means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^verification\.[a-z-]+(\.\{channel\}|\.\{provider\})?$")
    key: str = Field(min_length=1)
    policy: Literal["delete", "compact"]
    segment: Duration = Field(gt=0)
    retention: Duration | None = None
    lanes: Literal["both"] | None = None
    public: bool = False
    personal_data: bool = False
    partitions: Literal["shared"] | Annotated[int, Field(ge=1, le=1_000)] = "shared"
    max_message_bytes: int = Field(1_048_576, ge=65_536, le=16_777_216)
    config: dict[str, str] = {}
    why: str = ""

    @model_validator(mode="after")
    def _makes_sense(self) -> TopicEntry:
        if self.policy == "delete" and self.retention is None:
            raise ValueError("retention: a topic with policy delete needs one")
        if self.policy == "compact" and self.retention is not None:
            raise ValueError("retention: a compacted topic keeps the last record of each key; leave it out")
        if self.personal_data and (self.retention == FOREVER or self.policy == "compact"):
            raise ValueError("personal_data: such a topic must forget; give it a retention")
        if self.personal_data and not self.why:
            raise ValueError("why: a topic with personal data has to say why it is kept for so long")
        if not self.public and self.policy == "delete" and 0 <= (self.retention or 0) < INTERNAL_RETENTION_MS:
            raise ValueError("retention: an internal topic is kept for 3d at least, or a stage's outage loses input")
        for name in self.config:
            if name in _OWN_FIELDS:
                raise ValueError(f"config.{name}: use the field {_OWN_FIELDS[name]} instead")
        return self


class TopicsFile(BaseModel):
    """The whole file, validated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    partitions: int = Field(ge=1, le=1_000)
    replication_factor: int = Field(ge=1, le=16)
    min_insync_replicas: int = Field(ge=1, le=16)
    topics: list[TopicEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> TopicsFile:
        seen: set[str] = set()
        for entry in self.topics:
            if entry.name in seen:
                raise ValueError(f"topics: {entry.name} stands there twice")
            seen.add(entry.name)
        return self


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """One topic as it should be on the cluster; ``name`` has the deployment prefix."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    shares_partitions: bool


def parse(text: str, source: str = "topics.yaml") -> TopicsFile:
    """The file's text as a value. Raises UsageError with one line per problem: topic, field, problem."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise UsageError(f"{source}: not YAML{line}: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{source}: must be a mapping with version, partitions and topics")
    # Names with x- hold YAML anchors only.
    data = {name: value for name, value in data.items() if not str(name).startswith("x-")}
    try:
        return TopicsFile.model_validate(data)
    except ValidationError as error:
        lines = [f"  {_where(problem['loc'], data)}: {_what(problem)}" for problem in error.errors()]
        raise UsageError("\n".join([f"{source} is not valid:", *lines])) from error


def load(path: Path | None = None) -> TopicsFile:
    """The file at ``path``, else the one of this installation. Raises UsageError when it is absent or not valid."""
    file = path or (SHARE if SHARE.is_file() else CHECKOUT)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"topics file {file}: cannot be read ({error}); name it with --file") from error
    return parse(text, file.name)


def wanted_topics(
    file: TopicsFile,
    *,
    prefix: str = "",
    providers: Iterable[str] = (),
    partitions: int | None = None,
    replication_factor: int | None = None,
    id_horizon_s: int | None = None,
) -> tuple[WantedTopic, ...]:
    """Every topic of one deployment, sorted by name.

    ``providers`` are the names of all configured provider instances (one journal each), enabled or not.
    ``partitions`` and ``replication_factor`` replace the file's. ``id_horizon_s`` is the policy's, to prove that no
    record outlives the memory of its id. Raises UsageError.
    """
    shared = file.partitions if partitions is None else partitions
    replicas = file.replication_factor if replication_factor is None else replication_factor
    if not 1 <= shared <= 1_000:
        raise UsageError(f"partitions: {shared} is out of range, use 1 to 1000")
    if not 1 <= replicas <= 16:
        raise UsageError(f"replication-factor: {replicas} is out of range, use 1 to 16")
    found: list[WantedTopic] = []
    for entry in file.topics:
        _below_horizon(entry, id_horizon_s)
        in_sync = min(file.min_insync_replicas, max(1, replicas - 1))
        found += [
            WantedTopic(
                name=prefix + name,
                partitions=shared if entry.partitions == "shared" else entry.partitions,
                replication_factor=replicas,
                config=_config(entry, in_sync),
                shares_partitions=entry.partitions == "shared",
            )
            for name in _names(entry, providers)
        ]
    return tuple(sorted(found, key=lambda topic: topic.name))


def _names(entry: TopicEntry, providers: Iterable[str]) -> list[str]:
    if entry.name.endswith(".{channel}"):
        names = [entry.name.format(channel=channel.value) for channel in topics.CHANNELS]
    elif entry.name.endswith(".{provider}"):
        names = [entry.name.format(provider=provider) for provider in sorted(set(providers))]
    else:
        names = [entry.name]
    return [*names, *(topics.bulk(name) for name in names)] if entry.lanes == "both" else names


def _config(entry: TopicEntry, min_insync_replicas: int) -> dict[str, str]:
    appends = entry.public or entry.policy == "delete"
    config = {
        "cleanup.policy": entry.policy,
        "segment.ms": str(entry.segment),
        "max.message.bytes": str(entry.max_message_bytes),
        "min.insync.replicas": str(min_insync_replicas),
        "unclean.leader.election.enable": "false",
        "message.timestamp.type": "LogAppendTime" if appends else "CreateTime",
    }
    if entry.retention is not None:
        config["retention.ms"] = str(entry.retention)
    if not appends:
        # A writer whose clock runs far ahead would make records that never expire.
        config["message.timestamp.after.max.ms"] = str(HOUR_MS)
    return {**config, **entry.config}


def _below_horizon(entry: TopicEntry, id_horizon_s: int | None) -> None:
    if id_horizon_s is None or entry.name != topics.REQUESTS or entry.retention is None:
        return
    longest_s = (entry.retention + entry.segment) // 1_000
    if entry.retention == FOREVER or longest_s >= id_horizon_s:
        raise UsageError(
            f"policy.id_horizon_s: {id_horizon_s} is not longer than the {longest_s} s that {entry.name} may keep a "
            "request (retention + segment): a request read again after its id was forgotten would be sent twice; "
            f"set at least {longest_s + 1}"
        )


def _where(location: tuple[int | str, ...], data: Mapping[str, Any]) -> str:
    """``topics[3].retention`` with the topic's name instead of its number, where it has one."""
    path = list(location)
    if len(path) >= 2 and path[0] == "topics" and isinstance(path[1], int):
        entry = data["topics"][path[1]]
        name = entry.get("name") if isinstance(entry, dict) else None
        path[:2] = [str(name or f"topics[{path[1]}]")]
    return " ".join(str(part) for part in path if part not in ("function-before[_duration()", "shared")) or "file"


def _what(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "nobody knows this field; see the comment at the top of the file"
    return str(problem["msg"]).removeprefix("Value error, ")

"""Every error this package raises on purpose, split by what the reader of it has to do.

::

    PipelineError
    ├── UsageError             tell the person who typed or configured it; exit code 2
    │   └── SettingsError      a setting is missing, unknown or out of range
    ├── Poison                 this record can never be handled: dead letter, go on
    │   └── UnknownSchema      ... unless its writer schema was published and not read yet: look once more
    ├── Refused                this request breaks a rule: a `rejected` or `blocked` outcome, go on
    ├── Infrastructure         the outside is away or behind: wait and retry, lose nothing
    │   ├── UnknownWriter      an internal record of a schema or key id not seen yet (rolling upgrade)
    │   │   └── UnpublishedSchema  ... of a schema: counted, once per record
    │   ├── TablesBehind       a global table may hold what is missing: read it to its end, then try again
    │   ├── LogUnavailable     Kafka did not answer in time, or does not let us read
    │   ├── ReadModelUnavailable  the database of verifications does not answer
    │   └── DeadlinePassed     a bounded wait on the outside ran out
    ├── TaskLost               rebuild the task: fresh producer, re-read positions and state
    │   ├── Fenced             another owner has the task: let it go, never re-initialise in place
    │   └── RecordTooLarge     the broker would refuse this output for ever: quarantine its input
    ├── UnreadableState        a state entry is no such entry: quarantine what touches it, go on
    ├── Misconfigured          the cluster does not fit the stage (partition counts, two writers): exit
    ├── PoisonRun              suddenly everything is poison: it is us, so stop the stage
    └── HttpProblem            answer the HTTP request with this problem document (pipeline/gateway/problems.py)
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from enum import StrEnum


class PipelineError(Exception):
    """Base of the tree; never raised itself."""


class UsageError(PipelineError):
    """A person asked for something impossible; the message names the field, the problem and the fix."""


class SettingsError(UsageError):
    """A setting is missing, unknown or out of range; ``problems`` has a line for each, ``message`` may sum them up."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems) or [message]


class DeadLetterReason(StrEnum):
    """Why a record became a dead letter."""

    UNKNOWN_FRAMING = "unknown_framing"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    ID_CONFLICT = "id_conflict"
    HANDLER_REFUSED = "handler_refused"


class Poison(PipelineError):
    """A record that can never be handled.

    ``detail`` is for people and holds no code, recipient or other secret.
    """

    def __init__(self, reason: DeadLetterReason, detail: str, verification_id: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.verification_id = verification_id


class UnknownSchema(Poison):
    """A record of a public topic whose writer schema is not known, though it may have been published a moment ago."""


class Refused(PipelineError):
    """A request that breaks a rule; becomes a final outcome with this reason.

    ``reason`` is one of ``pipeline.model.reasons``; ``field`` names the offending field as the caller wrote it.
    """

    def __init__(self, reason: str, detail: str, field: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.field = field


class Infrastructure(PipelineError):
    """The outside is away or behind; waiting helps, and nothing may be dropped meanwhile."""


class UnknownWriter(Infrastructure):
    """An internal record uses a schema or key id this process does not know yet."""


class UnpublishedSchema(UnknownWriter):
    """An internal record was written with a schema that nobody has published yet."""


class TablesBehind(Infrastructure):
    """A record needs what a global table may hold but this process has not read yet."""


class LogUnavailable(Infrastructure):
    """Kafka did not answer within its deadline, or does not let us read."""


class ReadModelUnavailable(Infrastructure):
    """The database of verifications did not answer within its deadline, or has too much waiting."""


class DeadlinePassed(Infrastructure):
    """A bounded wait on the outside ran out; the message names what was waited for and for how long."""


class TaskLost(PipelineError):
    """The task's producer is in an unknown state; only a rebuild (new epoch, re-read) decides."""


class Fenced(TaskLost):
    """Another owner initialised this transactional id; the task must be given up."""


class RecordTooLarge(TaskLost):
    """An output is larger than the broker takes; the input that caused it will fail every time."""


class UnreadableState(PipelineError):
    """The bytes of a state entry are no such entry; reading them again, or rebuilding the task, changes nothing."""


class Misconfigured(PipelineError):
    """The cluster or the deployment does not fit; the message says what differs and how to mend it."""


class PoisonRun(PipelineError):
    """More poison in a row, or a larger share of it, than bad producers explain."""


def where(error: BaseException) -> list[str]:
    """The last lines of code an error came through: what can be told of one whose own text, or a local variable, may
    hold what a person or caller gave us.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-5:]]

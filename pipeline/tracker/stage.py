"""The tracker stage: which record goes where, and what is written after each."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from pipeline import topics
from pipeline.errors import DeadLetterReason, PipelineError, Poison, Refused
from pipeline.model.codes import bounded_typed
from pipeline.model.fields import VERIFICATION_ID, check_echo
from pipeline.model.keys import KeyRing
from pipeline.model.limits import KEPT_TEXT, REQUEST_ID_LENGTH
from pipeline.model.reasons import Reason
from pipeline.model.reference import REFERENCE_HEADER, told_reference
from pipeline.model.trace import carried
from pipeline.records.codec import Codec
from pipeline.records.internal import Decision, SendResult
from pipeline.records.public import CodeCheck, Command, DeliveryStatus
from pipeline.records.tracker_state import TrackerForward, TrackerState, WaitingRequest
from pipeline.records.types import AvroRecord, CommandAction, CommandKind, ReplyKind, VerificationState
from pipeline.runtime.api import Deadline, Effects, Input, Lane, Record, StateView
from pipeline.runtime.partition import partition_for
from pipeline.settings import PolicySettings
from pipeline.tracker import join, outcome, replies, steps, timers
from pipeline.tracker.turn import Tools, Turn, is_final

_R = TypeVar("_R", bound=AvroRecord)

_DECISIONS: Final = frozenset((topics.DECISIONS, topics.bulk(topics.DECISIONS)))
_RESULTS: Final = frozenset((topics.RESULTS, topics.bulk(topics.RESULTS)))
_STATUSES: Final = frozenset((topics.STATUSES, topics.bulk(topics.STATUSES)))
LINGER_MS: Final = 200
"""What an outcome says of decisions, results and reports may come so much later when there are many; whoever checks a
code or commands something does not wait for it."""


class TrackerStage:
    """Joins everything about a verification into its outcome; state per verification id."""

    name = "tracker"
    changelog = topics.TRACKER_STATE
    inputs = (
        Input(topics.DECISIONS, Lane.INTERACTIVE, linger_ms=LINGER_MS),
        Input(topics.bulk(topics.DECISIONS), Lane.BULK, linger_ms=LINGER_MS),
        Input(topics.RESULTS, Lane.INTERACTIVE, linger_ms=LINGER_MS),
        Input(topics.bulk(topics.RESULTS), Lane.BULK, linger_ms=LINGER_MS),
        Input(topics.STATUSES, Lane.INTERACTIVE, linger_ms=LINGER_MS),
        Input(topics.bulk(topics.STATUSES), Lane.BULK, linger_ms=LINGER_MS),
        Input(topics.CHECKS),
        Input(topics.COMMANDS),
        Input(topics.TRACKER_INBOX),
    )

    def __init__(self, *, codec: Codec, key_ring: KeyRing, settings: PolicySettings, partitions: int) -> None:
        """``partitions`` is the partition count of all stage topics."""
        self._tools = Tools(codec=codec, key_ring=key_ring, policy=settings)
        self._partitions = partitions

    def handle(self, record: Record, state: StateView[TrackerState], now_ms: int) -> Effects[TrackerState]:
        """Join one record; see :class:`pipeline.runtime.api.Stage` for what it may raise."""
        if record.topic in _DECISIONS:
            decided = self._decode(Decision, record)
            turn = self._turn(decided.verification_id, record, state, now_ms)
            join.decision(turn, decided, record)
        elif record.topic in _RESULTS:
            result = self._decode(SendResult, record)
            turn = self._turn(result.verification_id, record, state, now_ms)
            if result.kind is CommandKind.CHECK:
                replies.provider_answered(turn, result)
            else:
                join.result(turn, result, record.timestamp_ms)
        elif record.topic in _STATUSES:
            status = self._decode(DeliveryStatus, record, public=True)
            _expect_id(status.verification_id)
            turn = self._turn(status.verification_id, record, state, now_ms)
            join.status(turn, status, record.timestamp_ms, told_reference(record.header(REFERENCE_HEADER)))
        elif record.topic == topics.TRACKER_INBOX:
            return self._forwarded(record, state, now_ms)
        elif record.topic in (topics.CHECKS, topics.COMMANDS):
            return self._asked(record, state, now_ms)
        else:
            raise ValueError(f"topic {record.topic} is no input of the tracker")
        return self._done(turn, state)

    def fire(self, key: bytes, state: StateView[TrackerState], now_ms: int) -> Effects[TrackerState]:
        """Handle the deadline of one verification that is due first."""
        before = state.get(key)
        if before is None:
            return Effects()
        turn = Turn(tools=self._tools, state=before, now_ms=now_ms)
        if timers.fire(turn):
            return self._done(turn, state)
        turn.effects.state[key] = None
        return turn.effects

    def deadline(self, value: TrackerState) -> Deadline | None:
        """When this verification wants to be looked at again."""
        return timers.deadline(value, self._tools.policy)

    def encode(self, value: TrackerState) -> bytes:
        """The state as Avro."""
        return self._tools.codec.encode(value)

    def decode(self, data: bytes) -> TrackerState:
        """The inverse; raises UnknownWriter for a state written by a later release."""
        return self._tools.codec.decode(TrackerState, data, public=False)

    def quarantine(self, work: Record | bytes, state: StateView[TrackerState], now_ms: int) -> Effects[TrackerState]:
        """End the verification as ``failed`` with ``in_doubt``.

        Not ``provider_error``: the fault is ours, and what the record would have told stays unknown, so nobody knows
        what became of the message. An entry that cannot even be ended is dropped; the dead letter is its one end then.
        """
        key = work if isinstance(work, bytes) else self._key(work)
        before = state.get(key)
        if before is None or before.plan is None or is_final(before):
            # Nothing to end; but a timer that fails on a finished entry would fail for ever.
            return Effects(state={key: None}) if isinstance(work, bytes) and work in state else Effects()
        try:
            turn = Turn(tools=self._tools, state=before, now_ms=now_ms)
            detail = "ended because a record or timer of it could not be handled; see the dead letters"
            outcome.finish(turn, VerificationState.FAILED, Reason.IN_DOUBT, detail=detail)
            replies.answer_waiting(turn)
            outcome.publish(turn, before)
        except Exception:
            return Effects(state={key: None})
        turn.effects.state[key] = turn.state
        return turn.effects

    def _done(self, turn: Turn, state: StateView[TrackerState]) -> Effects[TrackerState]:
        """Draw the conclusions and write what changed."""
        before = state.get(turn.key)
        steps.settle(turn)
        if turn.state.waiting:
            replies.answer_waiting(turn)
            # An answered command may have changed what is due.
            steps.settle(turn)
        outcome.publish(turn, before)
        if turn.state is not turn.began_as and turn.state != turn.began_as:
            turn.effects.state[turn.key] = turn.state
        return turn.effects

    def _turn(self, verification_id: str, record: Record, state: StateView[TrackerState], now_ms: int) -> Turn:
        before = state.get(verification_id.encode())
        if before is None:
            before = TrackerState(verification_id=verification_id, first_seen_at=record.timestamp_ms)
        return Turn(tools=self._tools, state=before, now_ms=now_ms, trace=carried(record.headers))

    def _decode(self, kind: type[_R], record: Record, *, public: bool = False) -> _R:
        return self._tools.codec.decode(kind, record.value, public=public)

    def _key(self, record: Record) -> bytes:
        """The state key a record belongs to; checks may be keyed by anything, so the value is asked first."""
        kinds: dict[str, type[CodeCheck] | type[Command]] = {topics.CHECKS: CodeCheck, topics.COMMANDS: Command}
        kind = kinds.get(record.topic)
        if kind is not None:
            try:
                return self._decode(kind, record, public=True).verification_id.encode()
            except PipelineError:
                return b""
        return record.key or b""

    def _asked(self, record: Record, state: StateView[TrackerState], now_ms: int) -> Effects[TrackerState]:
        """A check or command as its producer wrote it, in whichever partition its producer's client chose."""
        request: CodeCheck | Command
        if record.topic == topics.CHECKS:
            request = self._decode(CodeCheck, record, public=True)
        else:
            request = self._decode(Command, record, public=True)
        # Before it is passed on, so that a dead letter names the record its producer wrote.
        self._hold_to_rules(request)
        request = self._bounded(request)
        proper = partition_for(request.verification_id.encode(), self._partitions)
        if record.partition == proper:
            return self._request(request, record, record.timestamp_ms, state, now_ms)
        return self._pass_on(request, record, proper, now_ms)

    def _pass_on(self, request: CodeCheck | Command, record: Record, proper: int, now_ms: int) -> Effects[TrackerState]:
        """To where the verification's state lives; the typed code travels sealed."""
        verification_id = request.verification_id
        sealed = self._tools.key_ring.seal(
            self._tools.codec.encode(request), verification_id=verification_id, field="request", record="TrackerForward"
        )
        turn = Turn(
            tools=self._tools,
            state=TrackerState(verification_id=verification_id),
            now_ms=now_ms,
            trace=carried(record.headers),
        )
        turn.emit(
            topics.TRACKER_INBOX,
            TrackerForward(
                verification_id=verification_id,
                kind=ReplyKind.CHECK if isinstance(request, CodeCheck) else ReplyKind.COMMAND,
                request_sealed=sealed,
                source_topic=record.topic,
                source_partition=record.partition,
                source_offset=record.offset,
                recorded_at=record.timestamp_ms,
            ),
            partition=proper,
        )
        return turn.effects

    def _forwarded(self, record: Record, state: StateView[TrackerState], now_ms: int) -> Effects[TrackerState]:
        """What another task passed on is handled here whatever the partition: it is never passed on twice."""
        forward = self._decode(TrackerForward, record)
        opened = self._tools.key_ring.open(
            forward.request_sealed,
            verification_id=forward.verification_id,
            field="request",
            record="TrackerForward",
        )
        kind: type[CodeCheck] | type[Command] = CodeCheck if forward.kind is ReplyKind.CHECK else Command
        request = self._tools.codec.decode(kind, opened, public=False)
        return self._request(request, record, forward.recorded_at, state, now_ms)

    def _request(
        self,
        request: CodeCheck | Command,
        record: Record,
        recorded_at: int,
        state: StateView[TrackerState],
        now_ms: int,
    ) -> Effects[TrackerState]:
        turn = self._turn(request.verification_id, record, state, now_ms)
        code = None
        if isinstance(request, CodeCheck):
            request_id, kind, action, step = request.check_id, ReplyKind.CHECK, CommandAction.UNKNOWN, None
            code = self._typed(request)
        else:
            request_id, kind, action, step = (
                request.command_id,
                ReplyKind.COMMAND,
                request.action,
                request.step_index,
            )
        asked = WaitingRequest(
            request_id=request_id,
            kind=kind,
            tenant=request.tenant,
            action=action,
            step_index=step,
            recorded_at=recorded_at,
            since_at=now_ms,
        )
        replies.ask(turn, asked, code)
        return self._done(turn, state)

    def _hold_to_rules(self, request: CodeCheck | Command) -> None:
        """Raises Poison for ids a public reply must not repeat, or a sealed code that does not open."""
        verification_id = _expect_id(request.verification_id)
        name, request_id = (
            ("check_id", request.check_id) if isinstance(request, CodeCheck) else ("command_id", request.command_id)
        )
        if not 0 < len(request_id) <= REQUEST_ID_LENGTH:
            raise Poison(
                DeadLetterReason.UNDECODABLE,
                f"{name}: has {len(request_id)} characters; use 1-{REQUEST_ID_LENGTH}",
                verification_id,
            )
        try:
            check_echo(request_id, name)
        except Refused as refused:
            raise Poison(DeadLetterReason.UNDECODABLE, refused.detail, verification_id) from None
        if isinstance(request, CodeCheck):
            self._typed(request)

    def _bounded(self, request: CodeCheck | Command) -> CodeCheck | Command:
        """The request with nothing of any length in it: what waits, or is passed on, is kept."""
        tenant = None if request.tenant is None else request.tenant[:KEPT_TEXT]
        if isinstance(request, Command):
            return msgspec.structs.replace(request, tenant=tenant)
        ip, code, sealed = request.end_user_ip, request.code, request.code_sealed
        typed = self._typed(request)
        if bounded_typed(typed) != typed:
            # No code is that long: as wrong as the empty one, and answered alike.
            code, sealed = "", None
        elif code is not None:
            sealed = None  # never looked at
        return msgspec.structs.replace(
            request, tenant=tenant, code=code, code_sealed=sealed, end_user_ip=None if ip is None else ip[:KEPT_TEXT]
        )

    def _typed(self, check: CodeCheck) -> str:
        """The typed code; raises Poison when it is sealed and does not open."""
        if check.code is not None or check.code_sealed is None:
            return check.code or ""
        return self._tools.key_ring.open_public(
            check.code_sealed, verification_id=check.verification_id, field="code", record="CodeCheck"
        )


def _expect_id(verification_id: str) -> str:
    """Raises Poison for what no verification can be called: it must neither become a state key nor be published."""
    if VERIFICATION_ID.fullmatch(verification_id):
        return verification_id
    raise Poison(DeadLetterReason.UNDECODABLE, "verification_id: is not 1-48 letters, digits, '_' or '-'")

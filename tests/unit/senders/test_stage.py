from __future__ import annotations

import httpx
import pytest

from pipeline import topics
from pipeline.errors import Poison, UnknownWriter
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand, SendResult
from pipeline.records.journal import JournalState
from pipeline.records.types import AttemptResult, Channel, CodeHolder, CommandKind, ResultClass
from pipeline.runtime.api import Queue, Record
from pipeline.senders.answers import in_doubt, not_sent, rejected, throttled
from pipeline.senders.calls import LATE, STALE
from pipeline.senders.journal import KEEP_MS, LOOK_AGAIN_MS
from pipeline.senders.permits import LEASE_S
from pipeline.senders.provider import Answer, Opened
from pipeline.senders.stage import INPUTS
from pipeline.testing.clock import ManualClock
from tests.unit.senders.doubles import CODEC, KEYS, PHONE, Lost, Partition, Process, Task, Versatile, command, key

API_KEY = "TOP\u00a0SECRET"
ACCEPTED = Answer(result=AttemptResult.ACCEPTED, provider_message_id="ve_1")


def state_of(task: Task, command_id: str) -> JournalState | None:
    entry = task.state.get(key(command_id).encode())
    return entry.state if entry else None


def outcomes(log: Partition) -> list[tuple[str, AttemptResult, str | None]]:
    return [(result.command_id, result.result, result.reason) for _, result in log.results]


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def log() -> Partition:
    return Partition()


@pytest.fixture
def task(process: Process, log: Partition) -> Task:
    task = Task(process, log)
    task.settle()
    return task


# The way of one command ----------------------------------------------------------------------------------------------


def test_started_is_in_the_journal_before_the_call_begins(task: Task, process: Process, log: Partition) -> None:
    record = log.write(command())
    effects = task.stage.handle(record, task.state, process.clock.now_ms())
    assert process.calls.begun == []
    assert effects.hold
    entry = effects.state[key("v1.1").encode()]
    assert entry is not None
    assert (entry.state, entry.process, entry.topic, entry.offset) == (JournalState.STARTED, "p1", record.topic, 0)


def test_an_accepted_call_ends_in_one_result_and_lets_the_record_go(
    task: Task, process: Process, log: Partition
) -> None:
    log.write(command())
    task.run()
    assert log.committed == {"verification.send.sms": 0}
    process.clock.advance(200)
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    [(topic, result)] = log.results
    assert topic == topics.RESULTS
    assert not log.urgent
    assert result == SendResult(
        verification_id="v1",
        command_id="v1.1",
        kind=CommandKind.SEND,
        attempt_id="v1.1",
        decision_id="00112233445566778899",
        n=1,
        provider="ycloud",
        channel=Channel.SMS,
        result=AttemptResult.ACCEPTED,
        provider_message_id="ve_1",
        code_holder=CodeHolder.OURS,
        language="de",
        called_at=1_764_000_000_200,
        finished_at=1_764_000_000_200,
    )
    assert log.committed == {"verification.send.sms": 1}
    assert state_of(task, "v1.1") is JournalState.FINISHED


def test_the_provider_gets_the_code_the_tracker_will_expect(task: Task, process: Process, log: Partition) -> None:
    log.write(command())
    task.run()
    code = KEYS.code(
        KEYS.current,
        verification_id="v1",
        recipient_hash="ab" * 16,
        generation=0,
        amount=None,
        payee=None,
        length=6,
    )
    call = process.calls.call("v1.1")
    assert (call.opened.recipient, call.opened.code) == (PHONE, code)
    assert code.encode() in call.request.content


def test_a_callers_own_code_is_opened_and_amount_and_payee_are_bound_into_ours(
    task: Task, process: Process, log: Partition
) -> None:
    sealed = KEYS.seal(b"482913", verification_id="v1", field="code")
    log.write(command(code_holder=CodeHolder.CALLER, code_sealed=sealed))
    payee = KEYS.seal(b"ACME", verification_id="v2", field="payee")
    log.write(command(2, amount="12.50", payee_sealed=payee))
    log.write(command(3, code_holder=CodeHolder.PROVIDER))
    task.run()
    assert process.calls.call("v1.1").opened.code == "482913"
    bound = KEYS.code(
        KEYS.current,
        verification_id="v2",
        recipient_hash="ab" * 16,
        generation=0,
        amount="12.50",
        payee="ACME",
        length=6,
    )
    assert process.calls.call("v2.1").opened.code == bound
    assert process.calls.call("v3.1").opened.code is None


@pytest.mark.parametrize("permit", ["at once", "later"])
def test_a_request_that_cannot_be_built_is_not_sent_and_stops_nothing_behind_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], permit: str
) -> None:
    process, log = Process(max_concurrency=1), Partition()
    build = process.provider.build

    def broken_for_the_first(told: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        return API_KEY.encode("ascii") if told.verification_id == "v1" else build(told, opened, now_ms)  # type: ignore[return-value]

    monkeypatch.setattr(process.provider, "build", broken_for_the_first)
    task = Task(process, log)
    if permit == "later":
        process.permits.pause(1.0)
    log.write(command())
    log.write(command(2))
    task.run()
    process.calls.advance(2_000)
    task.settle()
    [(_, result)] = log.results
    assert (result.command_id, result.result, result.reason) == ("v1.1", AttemptResult.NOT_SENT, Reason.PROVIDER_ERROR)
    assert result.called_at is None
    assert state_of(task, "v1.1") is JournalState.FINISHED
    assert process.calls.begun == ["v2.1"], "the permit went on to the next command"
    assert log.committed == {"verification.send.sms": 1}
    logged = capsys.readouterr().out
    assert logged.count("request_not_built") == 1
    assert "UnicodeEncodeError" in logged
    assert "test_stage.py:" in logged, "where it broke"
    assert "SECRET" not in logged


def test_bulk_results_stay_in_the_bulk_lane(task: Task, process: Process, log: Partition) -> None:
    log.write(command(bulk=True))
    task.run()
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    assert [topic for topic, _ in log.results] == ["verification.results.bulk"]


def test_another_providers_command_is_skipped_without_being_decoded(task: Task, process: Process) -> None:
    foreign = Record("verification.send.sms", 0, 0, 0, b"v", b"not even a record", (("provider", b"neutrino"),))
    effects = task.stage.handle(foreign, task.state, process.clock.now_ms())
    assert (effects.hold, effects.state, effects.emits) == (False, {}, [])


def test_without_the_header_the_command_itself_says_whose_it_is(task: Task, process: Process) -> None:
    value = CODEC.encode(command(provider="neutrino"))
    effects = task.stage.handle(Record("verification.send.sms", 0, 0, 0, b"v", value), task.state, 0)
    assert (effects.hold, effects.state) == (False, {})


def test_a_command_written_twice_is_called_once(task: Task, process: Process, log: Partition) -> None:
    log.write(command())
    log.write(command())
    task.run()
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    log.write(command())
    task.run()
    assert (process.calls.begun, len(log.results)) == (["v1.1"], 1)
    assert log.committed == {"verification.send.sms": 3}


def test_the_committed_position_waits_for_the_slowest_call(task: Task, process: Process, log: Partition) -> None:
    for n in (1, 2, 3):
        log.write(command(n))
    task.run()
    process.calls.end("v2.1", ACCEPTED)
    process.calls.end("v3.1", ACCEPTED)
    task.settle()
    assert log.committed == {"verification.send.sms": 0}
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    assert log.committed == {"verification.send.sms": 3}


# Late means dropped --------------------------------------------------------------------------------------------------


def test_a_command_past_its_deadline_expires_without_a_call(task: Task, process: Process, log: Partition) -> None:
    log.write(command(send_by_at=process.clock.now_ms() - 1))
    task.run()
    assert outcomes(log) == [("v1.1", AttemptResult.EXPIRED, Reason.TOO_LATE)]
    assert process.calls.begun == []
    assert state_of(task, "v1.1") is JournalState.FINISHED
    assert log.committed == {"verification.send.sms": 1}


@pytest.mark.parametrize(("left_s", "called"), [(14, False), (15, True)])
def test_a_code_with_too_little_life_left_is_not_sent(
    task: Task, process: Process, log: Partition, left_s: int, called: bool
) -> None:
    log.write(command(valid_until_at=process.clock.now_ms() + left_s * 1_000))
    task.run()
    assert (process.calls.begun == ["v1.1"]) is called


@pytest.mark.parametrize(
    ("ttl_s", "left_s", "told_s"), [(None, None, 300), (60, None, 60), (None, 100, 100), (60, 40, 40)]
)
def test_the_provider_is_told_what_is_left_of_the_codes_life(
    log: Partition, ttl_s: int | None, left_s: int | None, told_s: int
) -> None:
    process = Process(provider=Versatile(ttl=(30, 600)))
    task = Task(process, log)
    until = process.clock.now_ms() + left_s * 1_000 if left_s else 0
    log.write(command(provider="versatile", ttl_s=ttl_s, valid_until_at=until))
    task.run()
    assert process.calls.call("v1.1").opened.valid_s == told_s


def test_a_command_that_waits_for_a_permit_expires_at_its_deadline_by_itself(log: Partition) -> None:
    process = Process(max_concurrency=1)
    task = Task(process, log)
    log.write(command(1))
    log.write(command(2))
    task.run()
    assert process.calls.begun == ["v1.1"]
    process.calls.advance(60_001)
    task.settle()
    assert outcomes(log) == [("v2.1", AttemptResult.EXPIRED, Reason.TOO_LATE)]


def test_a_call_that_missed_its_deadline_before_the_first_byte_is_expired(
    task: Task, process: Process, log: Partition
) -> None:
    log.write(command())
    task.run()
    process.calls.end("v1.1", not_sent(detail=LATE), called=False, failure=LATE)
    task.settle()
    assert outcomes(log) == [("v1.1", AttemptResult.EXPIRED, Reason.TOO_LATE)]


def test_a_command_without_any_deadline_gets_its_codes_life(task: Task, process: Process, log: Partition) -> None:
    log.write(command(send_by_at=0, issued_at=process.clock.now_ms() - 301_000))
    task.run()
    assert process.calls.begun == []


# What answers mean ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_BLOCKED),
        not_sent(Reason.ROUTE_UNAVAILABLE, "unreachable"),
        in_doubt("timeout"),
    ],
)
def test_every_other_answer_ends_the_attempt_as_it_is(
    task: Task, process: Process, log: Partition, answer: Answer
) -> None:
    log.write(command())
    task.run()
    process.calls.end("v1.1", answer)
    task.settle()
    [(_, result)] = log.results
    assert (result.result, result.result_class, result.reason, result.detail) == (
        answer.result,
        answer.result_class,
        answer.reason,
        answer.detail,
    )
    process.calls.advance(120_000)
    task.run()
    assert process.calls.begun == ["v1.1"]


def test_a_throttled_attempt_waits_as_long_as_the_provider_said_and_goes_again(
    task: Task, process: Process, log: Partition
) -> None:
    log.write(command(1))
    log.write(command(2))
    task.run()
    process.calls.end("v1.1", throttled(7.0))
    task.settle()
    assert state_of(task, "v1.1") is JournalState.RELEASED
    assert log.results == []
    process.calls.end("v2.1", ACCEPTED)
    log.write(command(3))
    task.run()
    process.calls.advance(6_900)
    task.run()
    assert process.calls.begun == ["v1.1", "v2.1"], "everybody waits, not only the one who was told"
    process.calls.advance(200)
    task.run()
    assert sorted(process.calls.begun[2:]) == ["v1.1", "v3.1"]
    assert state_of(task, "v1.1") is JournalState.STARTED
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    assert outcomes(log)[-1] == ("v1.1", AttemptResult.ACCEPTED, None)
    assert task.counted("provider_throttled_total") == [{"provider": "ycloud"}]


def test_throttling_for_one_recipient_holds_up_nobody_else(task: Task, process: Process, log: Partition) -> None:
    log.write(command(1))
    task.run()
    process.calls.end("v1.1", throttled(7.0, pauses_provider=False))
    task.settle()
    log.write(command(2))
    task.run()
    assert process.calls.begun == ["v1.1", "v2.1"]


def test_throttled_until_the_deadline_is_not_sent_and_says_so(task: Task, process: Process, log: Partition) -> None:
    log.write(command())
    task.run()
    process.calls.end("v1.1", throttled(300.0))
    task.settle()
    process.calls.advance(60_001)
    task.settle()
    assert outcomes(log) == [("v1.1", AttemptResult.NOT_SENT, Reason.THROTTLED)]
    assert log.committed == {"verification.send.sms": 1}


def test_a_call_that_froze_before_its_first_byte_is_started_again(task: Task, process: Process, log: Partition) -> None:
    log.write(command())
    task.run()
    process.calls.end("v1.1", not_sent(detail=STALE), called=False, failure=STALE)
    task.settle()
    assert state_of(task, "v1.1") is JournalState.RELEASED
    process.calls.advance(200)
    task.run()
    assert process.calls.begun == ["v1.1", "v1.1"]
    assert state_of(task, "v1.1") is JournalState.STARTED


def test_what_the_provider_cannot_carry_is_rejected_without_a_call(
    task: Task, process: Process, log: Partition
) -> None:
    log.write(command(code_length=12))
    task.run()
    [(_, result)] = log.results
    assert (result.result, result.reason, result.called_at) == (
        AttemptResult.REJECTED,
        Reason.UNSUPPORTED_BY_PROVIDER,
        None,
    )
    assert (process.calls.begun, process.permits.calls) == ([], 0)


def test_a_wish_that_the_request_would_not_say_is_rejected_without_a_call(
    task: Task, process: Process, log: Partition
) -> None:
    log.write(command(options={"redial": "true"}))
    task.run()
    [(_, result)] = log.results
    assert (result.result, result.reason) == (AttemptResult.REJECTED, Reason.UNSUPPORTED_BY_PROVIDER)
    assert (result.called_at, result.detail) == (None, "ycloud carries no such options on sms here")
    assert (process.calls.begun, process.permits.calls) == ([], 0)


# Crashes and rebuilds ------------------------------------------------------------------------------------------------


def test_after_a_crash_a_started_call_is_in_doubt_and_never_repeated(log: Partition) -> None:
    first = Process(name="p1")
    task = Task(first, log)
    log.write(command())
    task.run()
    second = Process(name="p2", clock=ManualClock(first.clock.now_ms() + 40_000))
    heir = Task(second, log)
    heir.run()
    assert second.calls.begun == []
    [(topic, result)] = log.results
    assert (topic, result.result, result.reason) == (topics.RESULTS, AttemptResult.IN_DOUBT, Reason.IN_DOUBT)
    assert result.called_at == first.clock.now_ms(), "the code has to live from then on"
    assert result.finished_at == second.clock.now_ms()
    assert log.committed == {"verification.send.sms": 1}
    assert heir.counted("in_doubt_total") == [{"provider": "ycloud"}]


def test_after_a_crash_a_command_that_only_waited_is_sent(log: Partition) -> None:
    task = Task(Process(max_concurrency=1), log)
    log.write(command(1))
    log.write(command(2))
    task.run()
    second = Process(name="p2")
    Task(second, log).run()
    assert second.calls.begun == ["v2.1"]


def test_after_a_crash_between_release_and_restart_the_attempt_is_not_in_doubt(log: Partition) -> None:
    first = Process()
    task = Task(first, log)
    log.write(command())
    task.run()
    first.calls.end("v1.1", throttled())
    task.settle()
    second = Process(name="p2")
    Task(second, log).run()
    assert (second.calls.begun, log.results) == (["v1.1"], [])


def test_a_rebuilt_task_adopts_the_call_that_still_runs(process: Process, log: Partition) -> None:
    log.write(command())
    Task(process, log).run()
    rebuilt = Task(process, log)
    rebuilt.run()
    process.calls.end("v1.1", ACCEPTED)
    rebuilt.settle()
    assert outcomes(log) == [("v1.1", AttemptResult.ACCEPTED, None)]
    assert process.calls.begun == ["v1.1"]
    assert log.committed == {"verification.send.sms": 1}


def test_an_adopted_call_that_ends_before_its_record_is_read_again_ends_it(process: Process, log: Partition) -> None:
    log.write(command())
    Task(process, log).run()
    rebuilt = Task(process, log)
    process.calls.end("v1.1", ACCEPTED)
    rebuilt.settle()
    rebuilt.feed()
    assert outcomes(log) == [("v1.1", AttemptResult.ACCEPTED, None)]
    assert log.committed == {"verification.send.sms": 1}


def test_a_result_whose_transaction_was_lost_is_not_lost_itself(process: Process, log: Partition) -> None:
    log.write(command())
    task = Task(process, log)
    task.run()
    process.calls.end("v1.1", ACCEPTED)
    with pytest.raises(Lost):
        task.settle(lose="before")
    Task(process, log).run()
    assert outcomes(log) == [("v1.1", AttemptResult.ACCEPTED, None)]
    assert process.calls.begun == ["v1.1"]
    assert not process.calls.knows(key("v1.1"))


def test_a_result_whose_commit_was_not_heard_of_is_emitted_once(process: Process, log: Partition) -> None:
    log.write(command())
    task = Task(process, log)
    task.run()
    process.calls.end("v1.1", ACCEPTED)
    with pytest.raises(Lost):
        task.settle(lose="after")
    Task(process, log).run()
    assert outcomes(log) == [("v1.1", AttemptResult.ACCEPTED, None)]
    assert not process.calls.knows(key("v1.1")), "nobody will ask for it any more"


@pytest.mark.parametrize("lose", ["before", "after"])
def test_started_without_a_call_is_known_to_be_so_by_the_same_process(
    process: Process, log: Partition, lose: str
) -> None:
    task = Task(process, log)
    task.settle()
    log.write(command())
    with pytest.raises(Lost):
        task.feed(lose=lose)
    assert process.calls.begun == []
    Task(process, log).run()
    assert (process.calls.begun, log.results) == (["v1.1"], [])
    process.calls.end("v1.1", ACCEPTED)
    assert process.permits.calls == 0, "the permit of the lost transaction came back"


def test_a_batch_handled_again_by_the_same_task_starts_what_it_meant_to_start(
    task: Task, process: Process, log: Partition
) -> None:
    record = log.write(command())
    task.stage.handle(record, task.state, process.clock.now_ms())
    effects = task.stage.handle(record, task.state, process.clock.now_ms())
    assert [type(action).__name__ for action in effects.actions if not hasattr(action, "seconds")] == ["Begin"]
    assert process.permits.calls == 1


def test_a_task_that_is_given_up_begins_nothing_and_leaves_its_commands_to_the_next(
    process: Process, log: Partition
) -> None:
    task = Task(process, log)
    task.settle()
    record = log.write(command())
    effects = task.stage.handle(record, task.state, process.clock.now_ms())
    task.read[record.topic] = 1
    task.open[record.topic] = {0}
    drain = task.stage.drain()
    with pytest.raises(StopIteration):
        drain.send(None)
    task._apply(effects)
    task.settle()
    assert process.calls.begun == []
    assert state_of(task, "v1.1") is JournalState.RELEASED
    assert task.stage.room(Queue.INTERACTIVE) == 0
    heir = Process(name="p2")
    Task(heir, log).run()
    assert heir.calls.begun == ["v1.1"]


def test_results_of_calls_that_run_while_a_task_is_given_up_are_still_committed(
    process: Process, log: Partition
) -> None:
    task = Task(process, log)
    log.write(command())
    task.run()
    with pytest.raises(StopIteration):
        task.stage.drain().send(None)
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    assert outcomes(log) == [("v1.1", AttemptResult.ACCEPTED, None)]


# Permits -------------------------------------------------------------------------------------------------------------


def test_no_more_calls_run_than_permitted_and_started_is_written_only_for_those(log: Partition) -> None:
    process = Process(max_concurrency=2)
    task = Task(process, log)
    for n in range(1, 6):
        log.write(command(n))
    task.run()
    assert process.calls.running == ["v1.1", "v2.1"]
    assert len(task.state) == 2
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    assert process.calls.running == ["v2.1", "v3.1"]


def test_interactive_commands_overtake_waiting_bulk_and_find_slots_kept_free(log: Partition) -> None:
    process = Process(max_concurrency=5)
    task = Task(process, log)
    for n in range(1, 9):
        log.write(command(n, bulk=True))
    task.run()
    assert process.calls.running == ["v1.1", "v2.1", "v3.1", "v4.1"]
    log.write(command(21))
    log.write(command(22))
    task.run()
    assert process.calls.running[4:] == ["v21.1"]
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    assert process.calls.running[4:] == ["v22.1"]


def test_a_full_backlog_stops_being_fed_by_lane(log: Partition) -> None:
    task = Task(Process(max_concurrency=1), log, max_held=3)
    for n in range(1, 4):
        log.write(command(n, bulk=True))
    task.run()
    assert (task.stage.room(Queue.BULK), task.stage.room(Queue.INTERACTIVE)) == (0, 3)


# Other commands ------------------------------------------------------------------------------------------------------


def test_a_command_of_a_kind_unknown_yet_waits_for_the_upgrade(task: Task, log: Partition) -> None:
    log.write(command(kind=CommandKind.UNKNOWN))
    with pytest.raises(UnknownWriter, match="kind"):
        task.run()


def test_a_cancel_drops_what_was_not_started_and_nothing_else(log: Partition) -> None:
    process = Process(max_concurrency=1)
    task = Task(process, log)
    log.write(command(1))
    log.write(command(2))
    for n in (1, 2):
        log.write(command(n, command_id=f"cancel-{n}", kind=CommandKind.CANCEL))
    task.run()
    assert outcomes(log) == [("v2.1", AttemptResult.NOT_SENT, Reason.CANCELED_BY_CALLER)]
    assert process.calls.running == ["v1.1"]


# Two decisions of one id ---------------------------------------------------------------------------------------------

OTHER_DECISION = "99887766554433221100"


def test_the_same_attempt_of_two_decisions_is_called_for_both(log: Partition) -> None:
    """Which of the two is accepted only the tracker knows: neither may be swallowed by the other."""
    process = Process()
    task = Task(process, log)
    log.write(command())
    log.write(command(decision_id=OTHER_DECISION))
    task.run()
    assert process.calls.begun == ["v1.1", "v1.1"]
    process.calls.end("v1.1", rejected(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE))
    process.calls.end("v1.1", ACCEPTED, decision_id=OTHER_DECISION)
    task.settle()
    assert [(result.attempt_id, result.decision_id, result.result) for _, result in log.results] == [
        ("v1.1", command().decision_id, AttemptResult.REJECTED),
        ("v1.1", OTHER_DECISION, AttemptResult.ACCEPTED),
    ]


def test_the_end_of_one_decision_does_not_swallow_the_other_that_is_read_later(log: Partition) -> None:
    process = Process()
    task = Task(process, log)
    log.write(command())
    task.run()
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    log.write(command(decision_id=OTHER_DECISION))
    task.run()
    assert process.calls.running == ["v1.1"]


def test_a_call_is_adopted_by_the_decision_that_began_it(log: Partition) -> None:
    process = Process()
    Task(process, log).run()
    first = Task(process, log)
    log.write(command())
    log.write(command(decision_id=OTHER_DECISION))
    first.run()
    second = Task(process, log)
    second.run()
    process.calls.end("v1.1", ACCEPTED, decision_id=OTHER_DECISION)
    second.settle()
    assert [result.decision_id for _, result in log.results] == [OTHER_DECISION]


def test_a_cancel_drops_only_the_send_of_its_own_decision(log: Partition) -> None:
    process = Process(max_concurrency=1)
    task = Task(process, log)
    log.write(command(2))
    log.write(command())
    log.write(command(decision_id=OTHER_DECISION))
    log.write(command(kind=CommandKind.CANCEL, decision_id=OTHER_DECISION))
    task.run()
    assert [(result.decision_id, result.reason) for _, result in log.results] == [
        (OTHER_DECISION, Reason.CANCELED_BY_CALLER)
    ]
    process.calls.end("v2.1", ACCEPTED)
    task.settle()
    assert process.calls.running == ["v1.1"]


# Forgetting ----------------------------------------------------------------------------------------------------------


def test_a_finished_entry_goes_an_hour_after_the_deadline(task: Task, process: Process, log: Partition) -> None:
    log.write(command())
    task.run()
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    process.clock.advance(60_000 + KEEP_MS - 1)
    task.fire_due()
    assert state_of(task, "v1.1") is JournalState.FINISHED
    process.clock.advance(1)
    task.fire_due()
    assert log.journal == {}


def test_a_finished_entry_stays_while_its_record_would_be_read_again(log: Partition) -> None:
    process = Process(max_concurrency=2)
    task = Task(process, log)
    log.write(command(1, send_by_at=process.clock.now_ms() + 10 * KEEP_MS))
    log.write(command(2))
    task.run()
    process.calls.end("v2.1", ACCEPTED)
    task.settle()
    process.clock.advance(2 * KEEP_MS)
    task.fire_due()
    assert state_of(task, "v2.1") is JournalState.FINISHED
    process.calls.end("v1.1", ACCEPTED)
    task.settle()
    process.clock.advance(LOOK_AGAIN_MS)
    task.fire_due()
    assert state_of(task, "v2.1") is None


def test_only_finished_entries_have_a_deadline(task: Task, log: Partition) -> None:
    log.write(command())
    task.run()
    assert task.stage.deadline(task.state[key("v1.1").encode()]) is None


# Trouble -------------------------------------------------------------------------------------------------------------


def test_an_unknown_key_makes_the_task_wait_and_leaves_nothing_behind(
    task: Task, process: Process, log: Partition
) -> None:
    record = log.write(command(kid="t9"))
    with pytest.raises(UnknownWriter):
        task.stage.handle(record, task.state, process.clock.now_ms())
    assert task.stage.room(Queue.INTERACTIVE) == 500


def test_a_recipient_sealed_for_another_verification_is_poison(task: Task, process: Process, log: Partition) -> None:
    stolen = KEYS.seal(PHONE.encode(), verification_id="v2", field="recipient")
    record = log.write(command(recipient_sealed=stolen))
    with pytest.raises(Poison, match="undecodable"):
        task.stage.handle(record, task.state, process.clock.now_ms())


def test_quarantine_ends_a_command_that_was_not_called(task: Task, process: Process, log: Partition) -> None:
    effects = task.stage.quarantine(log.write(command()), task.state, process.clock.now_ms())
    task._apply(effects)
    assert outcomes(log) == [("v1.1", AttemptResult.NOT_SENT, Reason.PROVIDER_ERROR)]


def test_quarantine_leaves_a_called_command_in_doubt(task: Task, process: Process, log: Partition) -> None:
    record = log.write(command())
    task.run()
    task._apply(task.stage.quarantine(record, task.state, process.clock.now_ms()))
    assert outcomes(log) == [("v1.1", AttemptResult.IN_DOUBT, Reason.IN_DOUBT)]


def test_quarantine_never_raises(task: Task, process: Process) -> None:
    assert task.stage.quarantine(b"v1.1", task.state, process.clock.now_ms()).state == {b"v1.1": None}


def test_measures_are_in_the_catalogue(task: Task, process: Process, log: Partition) -> None:
    from prometheus_client import CollectorRegistry

    from pipeline.metrics import Metrics

    log.write(command())
    log.write(command(2, bulk=True))
    task.run()
    process.clock.advance(500)
    process.calls.end("v1.1", in_doubt("HTTP 599", unmapped=True))
    process.calls.end("v2.1", throttled())
    task.settle()
    metrics = Metrics(CollectorRegistry())
    metrics.apply(task.counts)
    registry = metrics.registry
    assert registry.get_sample_value("verification_time_to_send_seconds_sum", {"lane": "interactive"}) == 1.5
    for name in ("in_doubt_total", "unmapped_answers_total", "provider_throttled_total"):
        assert registry.get_sample_value("verification_" + name, {"provider": "ycloud"}) == 1
    assert registry.get_sample_value("verification_in_flight", {"provider": "ycloud"}) == 0


def test_every_sender_reads_the_same_eleven_topics() -> None:
    names = [source.topic for source in INPUTS]
    assert len(names) == len(set(names)) == 11
    assert LEASE_S == 5.0

"""Look-ups, reports and cancels: carried out like sends, but repeated after a crash, as they send nobody anything."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import topics
from pipeline.model.capabilities import Correlation
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders.answers import DONE, NOT_FOUND, in_doubt, not_sent, rejected, throttled
from pipeline.senders.calls import STALE
from pipeline.senders.errands import TRIES
from pipeline.senders.provider import Answer
from tests.unit.senders.doubles import Partition, Process, Task, Versatile, command, key

DELIVERED = Answer(result=AttemptResult.ACCEPTED, status=AttemptStatus.DELIVERED)


def errand(kind: CommandKind, n: int = 1, **differences: Any) -> SendCommand:
    told: dict[str, Any] = {
        "kind": kind,
        "command_id": f"v{n}.1:{kind.value}.1",
        "provider": "versatile",
        "provider_message_id": "m-1",
        "called_at": 1_764_000_000_000,
    }
    return command(n, **(told | differences))


def key_of(told: SendCommand) -> str:
    return f"{key(told.attempt_id)}:{told.kind}:{told.command_id}"


class World:
    def __init__(self, **able: Any) -> None:
        self.log = Partition()
        self.provider = Versatile(**able)
        self.process = Process(provider=self.provider)
        self.task = Task(self.process, self.log)

    def write(self, told: SendCommand) -> SendCommand:
        self.log.write(told)
        self.task.run()
        return told

    def end(self, told: SendCommand, answer: Answer, **more: Any) -> None:
        self.process.calls.end(key_of(told), answer, **more)
        self.task.settle()

    def wait(self, ms: int) -> None:
        self.process.calls.advance(ms)
        self.task.settle()

    @property
    def committed(self) -> int:
        return self.log.committed["verification.send.sms"]


@pytest.fixture
def world() -> World:
    return World()


def test_a_look_up_tells_the_tracker_what_became_of_the_message(world: World) -> None:
    told = world.write(errand(CommandKind.LOOKUP))
    assert world.process.calls.running == ["v1.1:lookup.1"]
    assert world.committed == 0
    world.end(told, DELIVERED)
    [(topic, result)] = world.log.results
    assert (topic, result.kind, result.attempt_id, result.status) == (
        topics.RESULTS, CommandKind.LOOKUP, "v1.1", AttemptStatus.DELIVERED,
    )  # fmt: skip
    assert result.called_at == told.called_at
    assert (world.committed, world.log.journal) == (1, {})


@pytest.mark.parametrize(
    "answer",
    [NOT_FOUND, in_doubt("timeout"), not_sent(detail="unreachable"), in_doubt("HTTP 500", unmapped=True)],
    ids=["not found", "lost", "unreachable", "unmapped"],
)
def test_a_look_up_that_tells_nothing_changes_nothing_and_is_not_repeated(world: World, answer: Answer) -> None:
    world.end(world.write(errand(CommandKind.LOOKUP)), answer)
    world.wait(60_000)
    assert (world.log.results, world.process.calls.running, world.committed) == ([], [], 1)


def test_not_found_means_never_sent_only_long_after_the_call_and_where_absence_proves_anything() -> None:
    for after_s, able, told in [
        (40, {}, []),
        (40, {"not_found_after_s": 10}, []),
        (46, {"not_found_after_s": 10}, [AttemptResult.NOT_SENT]),
    ]:
        world = World(**able)
        began_at = world.process.clock.now_ms()
        asked = world.write(errand(CommandKind.LOOKUP, called_at=began_at, send_by_at=began_at + 90_000))
        world.process.clock.advance(after_s * 1_000)
        world.end(asked, NOT_FOUND)
        assert [result.result for _, result in world.log.results] == told


@pytest.mark.parametrize("kind", [CommandKind.REPORT, CommandKind.CANCEL])
def test_reports_and_cancels_are_told_to_nobody(world: World, kind: CommandKind) -> None:
    world.end(world.write(errand(kind)), DONE)
    assert (world.log.results, world.log.journal, world.committed) == ([], {}, 1)
    assert {labels["operation"] for labels in world.task.counted("provider_request_seconds")} == {kind.value}


@pytest.mark.parametrize("kind", [CommandKind.REPORT, CommandKind.CANCEL])
@pytest.mark.parametrize("answer", [in_doubt("timeout"), not_sent(detail="unreachable")], ids=["lost", "unreachable"])
def test_reports_and_cancels_that_may_not_have_arrived_are_tried_again_a_few_times(
    world: World, kind: CommandKind, answer: Answer
) -> None:
    told = world.write(errand(kind))
    for _ in range(TRIES):
        assert world.process.calls.keys == [key_of(told)]
        world.end(told, answer)
        world.wait(3_000)
    assert (world.process.calls.keys, world.committed) == ([], 1)


def test_a_refused_report_is_not_repeated(world: World) -> None:
    world.end(world.write(errand(CommandKind.REPORT)), rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR))
    world.wait(10_000)
    assert (world.process.calls.running, world.committed) == ([], 1)


def test_a_throttled_errand_waits_as_long_as_the_provider_says(world: World) -> None:
    told = world.write(errand(CommandKind.LOOKUP))
    world.end(told, throttled(5.0))
    world.wait(4_000)
    assert world.process.calls.running == []
    world.wait(2_000)
    world.end(told, DELIVERED)
    assert len(world.log.results) == 1


def test_an_errand_past_its_deadline_is_dropped(world: World) -> None:
    told = world.write(errand(CommandKind.LOOKUP, send_by_at=world.process.clock.now_ms() + 2_000))
    world.end(told, throttled(5.0))
    world.wait(6_000)
    assert (world.process.calls.running, world.committed, world.log.results) == ([], 1, [])


def test_after_a_crash_an_errand_is_asked_again(world: World) -> None:
    told = world.write(errand(CommandKind.LOOKUP))
    world.process = Process(provider=world.provider, name="p2", clock=world.process.clock)
    world.task = Task(world.process, world.log)
    world.task.run()
    world.end(told, DELIVERED)
    assert (len(world.log.results), world.committed) == (1, 1)


def test_a_rebuilt_task_takes_over_the_errand_its_process_runs(world: World) -> None:
    told = world.write(errand(CommandKind.LOOKUP))
    world.task = Task(world.process, world.log)
    world.task.run()
    assert world.process.calls.begun == ["v1.1:lookup.1"]
    world.end(told, DELIVERED)
    assert (len(world.log.results), world.committed) == (1, 1)


def test_an_errand_whose_start_was_lost_with_its_transaction_is_started_again(world: World) -> None:
    told = world.write(errand(CommandKind.LOOKUP))
    world.end(told, DELIVERED, failure=STALE)
    world.wait(1_000)
    assert world.process.calls.running == ["v1.1:lookup.1"]


def test_a_provider_that_cannot_do_an_errand_ends_it(world: World) -> None:
    world.provider.unsendable = CommandKind.REPORT
    world.write(errand(CommandKind.REPORT))
    assert (world.process.calls.running, world.committed, world.process.permits.calls) == ([], 1, 0)


def test_a_cancel_without_a_message_to_withdraw_only_drops_what_waits(world: World) -> None:
    world.write(errand(CommandKind.CANCEL, provider_message_id=None))
    assert (world.process.calls.begun, world.committed) == ([], 1)


def test_a_message_that_was_found_is_made_known_to_the_correlator() -> None:
    world = World(correlation=Correlation.MESSAGE_ID)
    told = world.write(errand(CommandKind.LOOKUP, provider_message_id=None))
    world.end(told, Answer(result=AttemptResult.ACCEPTED, provider_message_id="m-7"))
    [ref] = world.log.others
    assert (ref.topic, ref.key) == (topics.MESSAGE_REFS, b"versatile:m-7")


def test_look_ups_are_for_the_channels_of_their_messages(world: World) -> None:
    told = world.write(errand(CommandKind.LOOKUP, channel=Channel.SMS))
    assert world.provider.built[0][0] == told
    assert world.provider.built[0][1].code is None

from __future__ import annotations

import random

from pipeline.records.internal import SendCommand
from pipeline.runtime.api import Lane
from pipeline.senders.backlog import Backlog, Work
from pipeline.senders.provider import Opened
from tests.unit.senders.doubles import command

TEMPLATE: SendCommand = command()


def work(n: int, latest_at: int) -> Work:
    made = SendCommand(
        verification_id=f"v{n}", command_id=f"v{n}.1", attempt_id=f"v{n}.1", decision_id="d", kind=TEMPLATE.kind, n=1
    )
    return Work(command=made, opened=Opened(recipient=""), lane=Lane.INTERACTIVE, latest_at=latest_at)


def entries(backlog: Backlog) -> int:
    """Everything it holds for its order, live or not."""
    return len(backlog._deadlines) + len(backlog._delayed) + sum(map(len, backlog._ready.values()))


def waiting(*works: Work) -> Backlog:
    backlog = Backlog()
    for each in works:
        backlog.add(each)
        backlog.enqueue(each.key, now_s=0)
    return backlog


def test_commands_that_come_and_go_behind_a_waiting_one_leave_nothing_behind() -> None:
    backlog = waiting(work(0, latest_at=1))
    most = 0
    for n in range(1, 5_000):
        gone = work(n, latest_at=1_000)
        backlog.add(gone)
        backlog.enqueue(gone.key, now_s=0)
        backlog.remove(gone.key)
        most = max(most, entries(backlog))
    assert most < 500
    assert backlog.overdue(2) == [backlog.works["v0.1:d"]]


def _turned_away(backlog: Backlog, at_s: int, *which: Work) -> None:
    for each in which:
        backlog.start(each)
        each.tries += 1
    for each in which:
        each.not_before_s = at_s + 1
        backlog.enqueue(each.key, now_s=at_s)


def test_who_is_turned_away_each_time_keeps_nobody_behind_it_waiting() -> None:
    """The provider pauses for everybody, whomever it means."""
    refused, other = work(0, latest_at=1_000), work(1, latest_at=1_000)
    backlog = waiting(refused, other)
    for second in range(2):
        assert backlog.head(Lane.INTERACTIVE) is refused, "the older one goes first, and once more"
        _turned_away(backlog, second, refused)
        backlog.wake_delayed(second + 1)
    assert backlog.head(Lane.INTERACTIVE) is other


def test_what_waited_together_goes_on_in_its_order() -> None:
    first, second, third = (work(n, latest_at=1_000) for n in range(3))
    backlog = waiting(first, second, third)
    _turned_away(backlog, 0, first, second)
    backlog.wake_delayed(1)
    went = []
    while (head := backlog.head(Lane.INTERACTIVE)) is not None:
        backlog.start(head)
        went.append(head)
    assert went == [first, second, third]


def test_a_command_throttled_again_and_again_leaves_nothing_behind() -> None:
    patient, again = work(0, latest_at=1), work(1, latest_at=1_000)
    backlog = waiting(again, patient)
    most = 0
    for turn in range(5_000):
        backlog.start(again)
        again.not_before_s = turn + 1
        backlog.enqueue(again.key, now_s=turn)
        backlog.wake_delayed(turn + 1)
        most = max(most, entries(backlog))
    assert most < 500
    assert backlog.overdue(2_000) == [patient, again]


def test_commands_that_end_while_they_are_delayed_leave_nothing_behind() -> None:
    backlog = Backlog()
    for n in range(5_000):
        throttled = work(n, latest_at=1_000)
        throttled.not_before_s = 3_600
        backlog.add(throttled)
        backlog.enqueue(throttled.key, now_s=0)
        backlog.remove(throttled.key)
    assert entries(backlog) < 500


def test_every_command_not_called_is_overdue_once_whatever_came_before() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        backlog = Backlog()
        told: set[str] = set()
        for now in range(2_000):
            fresh = work(now, latest_at=now + rng.randrange(1, 900))
            backlog.add(fresh)
            backlog.enqueue(fresh.key, now_s=now)
            for key in rng.sample(sorted(backlog.works), min(3, len(backlog.works))):
                each = backlog.works[key]
                if each.started and rng.random() < 0.5:
                    each.not_before_s = now + rng.randrange(50)
                    backlog.enqueue(key, now_s=now)
                elif rng.random() < 0.3:
                    backlog.remove(key)
            head = backlog.head(Lane.INTERACTIVE)
            if head is not None and rng.random() < 0.5:
                backlog.start(head)
            backlog.wake_delayed(now)
            expected = {key for key, each in backlog.works.items() if not each.started and each.latest_at < now}
            late = [each.key for each in backlog.overdue(now)]
            assert (set(late), len(late)) == (expected, len(expected))
            assert not told & expected
            told |= expected
            for key in late:
                backlog.remove(key)
            backlog.next_wake_s(now_s=now, now_ms=now)
            assert entries(backlog) <= 3 * (2 * len(backlog.works) + 101)

"""Crashes, rebuilds and lost transactions in any order: no attempt is sent twice, none is lost, none told twice."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, ResultClass
from pipeline.senders.answers import in_doubt, not_sent, rejected, throttled
from pipeline.senders.calls import LATE, STALE
from pipeline.senders.provider import Answer
from pipeline.testing.clock import ManualClock
from tests.unit.senders.doubles import Lost, ManualCalls, Partition, Process, Task, command, key

NOT_OUT = (AttemptResult.NOT_SENT, AttemptResult.EXPIRED)


class World:
    """One partition, one process at a time, and the truth about what may have left."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = ManualClock()
        self.log = Partition()
        self.started = 0
        self.sent: Counter[str] = Counter()
        """Calls that may have reached the provider, by command."""
        self.process = self._process()
        self.task = Task(self.process, self.log)

    def _process(self) -> Process:
        self.started += 1
        return Process(name=f"p{self.started}", clock=self.clock, max_concurrency=self.rng.randint(1, 4))

    def crash(self) -> None:
        """The process dies; its running calls may or may not have reached the provider: say they did."""
        self.sent.update(self.process.calls.running)
        self.process = self._process()
        self.rebuild()

    def rebuild(self) -> None:
        self.task = Task(self.process, self.log)

    def end_a_call(self) -> None:
        calls: ManualCalls = self.process.calls
        if not calls.running:
            return
        command_id = self.rng.choice(calls.running)
        answer, failure = self.rng.choice(
            [
                (Answer(result=AttemptResult.ACCEPTED), None),
                (rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED), None),
                (in_doubt("timeout"), "timeout"),
                (not_sent(detail="unreachable"), "unreachable"),
                (not_sent(detail=STALE), STALE),
                (not_sent(detail=LATE), LATE),
                (throttled(self.rng.choice([0.5, 3.0]), pauses_provider=self.rng.random() < 0.5), None),
            ]
        )
        if answer.result is not AttemptResult.NOT_SENT:
            self.sent[command_id] += 1
        calls.end(command_id, answer, called=failure not in (STALE, LATE, "unreachable"), failure=failure)

    def step(self) -> None:
        lose = self.rng.choice([None, None, None, "before", "after"])
        try:
            match self.rng.randrange(10):
                case 0:
                    self.crash()
                case 1:
                    self.rebuild()
                case 2 | 3:
                    self.task.feed(lose=lose)
                case 4 | 5:
                    self.end_a_call()
                case 6 | 7:
                    while self.task.events:
                        self.task.settle_one(lose=self.rng.choice([*[None] * 6, "before", "after"]))
                case 8:
                    self.process.calls.advance(self.rng.choice([10, 1_000, 7_000]))
                case 9:
                    self.task.fire_due()
        except Lost:
            self.rebuild()

    def finish(self) -> None:
        """No more faults: everything comes to its end."""
        for _ in range(400):
            self.task.run()
            self.end_a_call()
            self.process.calls.advance(500)
        self.task.run()


@pytest.mark.parametrize("seed", range(60))
def test_no_order_of_faults_sends_an_attempt_twice_or_loses_one(seed: int) -> None:
    world = World(seed)
    total = 0
    for _ in range(120):
        if world.rng.random() < 0.3 and total < 25:
            total += 1
            life_ms = world.rng.choice([5_000, 60_000, 120_000])
            told = command(total, bulk=world.rng.random() < 0.3, send_by_at=world.clock.now_ms() + life_ms)
            world.log.write(told)
            if world.rng.random() < 0.1:
                world.log.write(told)
        world.step()
    world.finish()
    assert max(world.sent.values(), default=0) <= 1
    results = Counter(result.command_id for _, result in world.log.results)
    assert results == Counter({f"v{n}.1": 1 for n in range(1, total + 1)})
    for _, result in world.log.results:
        if world.sent[result.command_id]:
            assert result.result not in NOT_OUT, "what may have gone out is never called not sent"
        else:
            assert result.result is not AttemptResult.ACCEPTED
    assert {topic: len(records) for topic, records in world.log.records.items()} == world.log.committed
    assert world.process.permits.calls == 0
    assert not any(world.process.calls.knows(key(f"v{n}.1")) for n in range(1, total + 1))

"""Every interleaving, doubled and late: the same truth comes out, and the invariants hold at every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from pipeline import topics
from pipeline.metrics import Metrics
from pipeline.model import lifecycle
from pipeline.model.reasons import STATE, Reason, ReplyReason
from pipeline.records.internal import RoutingEvent, SendCommand
from pipeline.records.public import Reply, VerificationOutcome
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    Channel,
    CodeHolder,
    CommandAction,
    CommandKind,
    ReplyKind,
    ResultClass,
    RoutingKind,
    VerificationMode,
    VerificationState,
)
from tests.unit.tracker.world import CODEC, T0, World, make_world

State = VerificationState
Act = Callable[[World], Any]


class Scene:
    """Inputs with fixed contents and times, so that only their order differs between two plays."""

    def __init__(
        self, *acts: Act, steps: int = 1, routes: tuple[str, ...] = (), whole: bool = True, **attempt: Any
    ) -> None:
        self.acts = (lambda world: world.decide(world.accepted(steps=steps, **attempt)), *acts)
        self.routes = routes
        self.whole = whole
        """Whether the whole last outcome is the same, or only how it ended."""

    def play(self, order: tuple[int, ...]) -> World:
        world = make_world()
        routes = list(self.routes)
        answered = 0
        for index in order:
            self.acts[index](world)
            hold_invariants(world)
            # The router answers as soon as it is asked: what it says of two providers is the same in any order.
            while len(world.asked()) > answered:
                answered += 1
                if routes:
                    world.route(routes.pop(0))
                else:
                    world.no_route()
                hold_invariants(world)
        return world

    def ending(self, world: World) -> Any:
        last = world.last
        if self.whole:
            return msgspec.structs.replace(last, version=0, updated_at=0)
        return (last.state, last.reason, last.is_final, last.verified_attempt_id, last.failed_checks)


def _result(n: int = 1, result: AttemptResult = AttemptResult.ACCEPTED, at: int = 100, **changes: Any) -> Act:
    times = {"called_at": T0 + at, "finished_at": T0 + at + 50}
    return lambda world: world.tell(n, result, **{**times, **changes})


def _status(n: int = 1, status: AttemptStatus = AttemptStatus.DELIVERED, at: int = 2_000, **changes: Any) -> Act:
    return lambda world: world.report(n, status, **{"occurred_at": T0 + at, **changes})


def _check(right: bool, check_id: str = "c1", at: int = 9_000) -> Act:
    return lambda world: world.check(world.code if right else world.wrong, check_id, at_ms=T0 + at)


SCENES = {
    "delivered with all receipts": Scene(
        _result(cost="0.04", currency="EUR"),
        _status(status=AttemptStatus.SENT, at=1_000),
        _status(at=2_000, cost="0.05", currency="EUR"),
        _status(status=AttemptStatus.READ, at=3_000),
    ),
    "in doubt, then looked up": Scene(
        _result(result=AttemptResult.IN_DOUBT),
        _result(kind=CommandKind.LOOKUP, status=AttemptStatus.DELIVERED, at=5_000),
        _status(status=AttemptStatus.SENT, at=1_000),
    ),
    "in doubt, and a look-up says that it was never sent": Scene(
        _result(result=AttemptResult.IN_DOUBT),
        _result(kind=CommandKind.LOOKUP, result=AttemptResult.NOT_SENT, called_at=T0 + 5_000),
        _result(2, at=6_000, provider="neutrino"),
        routes=("neutrino",),
        finds_lost_s=[5],
    ),
    "look-ups that were never made": Scene(
        _result(result=AttemptResult.IN_DOUBT),
        _result(kind=CommandKind.LOOKUP, result=AttemptResult.NOT_SENT, called_at=None),
        _result(kind=CommandKind.LOOKUP, result=AttemptResult.EXPIRED, called_at=None),
        _status(status=AttemptStatus.SENT, at=1_000),
        finds_lost_s=[5, 10],
    ),
    "walked by its provider": Scene(
        _result(used_channel=Channel.SMS, provider_message_id="m-1"),
        _result(kind=CommandKind.LOOKUP, used_channel=Channel.VOICE, at=5_000),
        _result(kind=CommandKind.LOOKUP, used_channel=Channel.SMS, at=3_000),
        _status(at=6_000),
        steps=2,
        last_step=1,
        lookups_s=[3, 5],
    ),
    "the person is quicker than the answer to be reported": Scene(
        _result(provider_message_id="m-1"),
        _check(True),
        whole=False,
        has_report=True,
        has_cancel=True,
    ),
    "undelivered, then delivered after all": Scene(
        _result(),
        _status(status=AttemptStatus.UNDELIVERED, at=2_000),
        _status(at=60_000),
        steps=2,
        routes=("neutrino", "bird", "telesign"),
        whole=False,
    ),
    "failed over inside the step": Scene(
        _result(result=AttemptResult.REJECTED, result_class=ResultClass.ROUTE),
        _result(2, at=300, provider="neutrino"),
        _status(2, status=AttemptStatus.SENT, at=900, provider="neutrino"),
        _status(2, at=1_500, provider="neutrino"),
        routes=("neutrino",),
    ),
    "every provider says no": Scene(
        _result(result=AttemptResult.REJECTED, result_class=ResultClass.ROUTE),
        _result(2, AttemptResult.NOT_SENT, at=300, provider="neutrino", reason=Reason.THROTTLED),
        routes=("neutrino",),
    ),
    "the person is quicker than the receipts": Scene(
        _result(),
        _status(),
        _check(True),
        whole=False,
    ),
    "three wrong codes": Scene(
        _result(),
        _check(False, "c1"),
        _check(False, "c2"),
        _check(False, "c3"),
        whole=False,
    ),
}


def hold_invariants(world: World) -> None:
    outcomes: list[VerificationOutcome] = world.outcomes
    assert [outcome.version for outcome in outcomes] == list(range(1, len(outcomes) + 1))
    assert not any(outcome.is_final for outcome in outcomes[:-1]), "a final outcome is the last"
    rank = {state: i for i, state in enumerate(lifecycle.OPEN)}
    for before, after in pairwise(outcomes):
        assert after.state in lifecycle.MOVES[before.state] or after.state is before.state
        assert rank.get(after.state, 9) >= rank.get(before.state, 9)
        assert after.failed_checks >= before.failed_checks
        assert msgspec.structs.replace(after, version=before.version, updated_at=before.updated_at) != before
    for outcome in outcomes:
        assert [attempt.attempt_id for attempt in outcome.attempts] == [
            f"v1.{n}" for n in range(1, len(outcome.attempts) + 1)
        ]
        assert 0 <= outcome.checks_left <= outcome.max_checks
        assert outcome.is_final == lifecycle.is_final(outcome.state, outcome.mode)
        if outcome.reason is not None:
            assert STATE[Reason(outcome.reason)] is outcome.state
    right = {reply.request_id for reply in world.replies if reply.reason == ReplyReason.VALID}
    assert len(right) <= 1
    answers: dict[tuple[str, str], set[bytes]] = {}
    for reply in world.replies:
        answers.setdefault((reply.request_id, reply.kind), set()).add(msgspec.json.encode(reply))
    assert all(len(each) == 1 for each in answers.values()), "one request, one answer"
    assert len(world.closing()) == int(bool(outcomes) and outcomes[-1].is_final)
    hold_what_is_asked_of_providers(world)


def hold_what_is_asked_of_providers(world: World) -> None:
    judged: str | None = None
    for emit in world.emits:
        if emit.topic == topics.PROVIDER_CHECKS:
            command = CODEC.decode(SendCommand, emit.value, public=False)
            assert judged in (None, command.command_id), "one check is outstanding at a time"
            judged = command.command_id
        elif emit.topic == topics.REPLIES:
            reply = CODEC.decode(Reply, emit.value, public=False)
            if reply.kind is ReplyKind.CHECK and reply.request_id == judged:
                judged = None
    reported = [command.attempt_id for command in world.orders(CommandKind.REPORT)]
    verified = [outcome.verified_attempt_id for outcome in world.outcomes[-1:]]
    assert reported in ([], verified), "a success is told once, to the one it came from"
    withdrawn = [each.attempt_id for each in world.orders(CommandKind.CANCEL) if each.provider_message_id]
    assert len(withdrawn) == len(set(withdrawn)), "nothing is withdrawn twice"
    looked_up = Counter(command.attempt_id for command in world.orders(CommandKind.LOOKUP))
    assert all(times <= len(LOOKUPS) + len(FINDS) for times in looked_up.values())


@pytest.mark.parametrize("name", SCENES)
def test_every_order_of_the_inputs_comes_to_the_same_end(name: str) -> None:
    scene = SCENES[name]
    straight = scene.ending(scene.play(tuple(range(len(scene.acts)))))
    for order in permutations(range(len(scene.acts))):
        assert scene.ending(scene.play(order)) == straight, order


@pytest.mark.parametrize("name", SCENES)
def test_every_input_doubled_at_once_and_again_late_changes_nothing(name: str) -> None:
    scene = SCENES[name]
    straight = scene.ending(scene.play(tuple(range(len(scene.acts)))))
    for order in list(permutations(range(len(scene.acts))))[::3]:
        doubled = tuple(index for index in order for _ in range(2))
        assert scene.ending(scene.play(doubled + order[::-1])) == straight, order


@pytest.mark.parametrize("name", SCENES)
def test_after_every_order_nothing_is_left_but_one_end(name: str) -> None:
    scene = SCENES[name]
    for order in list(permutations(range(len(scene.acts))))[::5]:
        world = scene.play(order)
        world.advance(200_000_000)
        hold_invariants(world)
        assert world.last.is_final
        assert not world.state
        # Each attempt that was called is counted exactly once at each of its ages.
        for horizon in (60, 600):
            called = sum(attempt.result is AttemptResult.ACCEPTED for attempt in world.last.attempts)
            assert world.counted(f"delivery_matured_{horizon}s_total") >= called


METRICS = Metrics(CollectorRegistry())
PROVIDERS = ("ycloud", "neutrino", "bird")
_RESULTS = (
    AttemptResult.ACCEPTED,
    AttemptResult.ACCEPTED,
    AttemptResult.REJECTED,
    AttemptResult.NOT_SENT,
    AttemptResult.IN_DOUBT,
    AttemptResult.EXPIRED,
)
_STATUSES = tuple(AttemptStatus)
LOOKUPS = [3, 20]
FINDS = [10]


class Chaos:
    """The stages around the tracker, each answering in its own time, any of it twice, drawn by hypothesis."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], *, providers_judge: bool) -> None:
        """``providers_judge``: it begins with a sent message whose code its provider made, as most others do."""
        self.draw = draw
        self.providers_judge = providers_judge
        self.world = make_world(max_attempts_total=draw(st.integers(1, 5)))
        self.steps = draw(st.integers(1, 3))
        self.under_way: list[Act] = []
        self.done: list[Act] = []
        self.seen_events = 0
        self.seen_orders = 0
        self.checks: set[str] = set()
        self.unanswered = 0
        modes = (VerificationMode.VERIFY, VerificationMode.VERIFY, VerificationMode.REACH)
        mode = draw(st.sampled_from(modes[:2] if providers_judge else modes))
        bulk = draw(st.booleans())
        plan = self.world.plan(self.steps, mode=mode, bulk=bulk, checks_allowed=draw(st.integers(1, 3)))
        decision = self.world.accepted(self.steps, plan=plan, **self.able(0))
        if providers_judge:
            self.world.decide(decision)
            self.world.tell(provider_message_id="m-1")
        else:
            self.under_way.append(lambda world: world.decide(decision))
        self.sender(1, 0, "ycloud")

    def able(self, step: int) -> dict[str, Any]:
        """What the provider of an attempt can and does."""
        made = self.providers_judge or self.draw(st.booleans())
        return {
            "has_receipts": self.draw(st.booleans()),
            "code_holder": CodeHolder.PROVIDER if made else CodeHolder.OURS,
            "has_check": self.providers_judge or self.draw(st.booleans()),
            "has_report": self.draw(st.booleans()),
            "has_cancel": self.draw(st.booleans()),
            "lookups_s": self.draw(st.sampled_from(([], LOOKUPS))),
            "finds_lost_s": self.draw(st.sampled_from(([], FINDS))),
            "last_step": self.draw(st.integers(step, self.steps - 1)),
        }

    def sender(self, n: int, step: int, provider: str) -> None:
        """Answers, and reports, now and then one that contradicts the other."""
        for _ in range(self.draw(st.sampled_from((0, 1, 1, 1, 2)))):
            told = self.world.result(
                n,
                self.draw(st.sampled_from(_RESULTS)),
                provider=provider,
                step_index=step,
                channel=Channel.SMS,
                result_class=self.draw(st.sampled_from(ResultClass)),
                provider_message_id=self.draw(st.sampled_from((None, f"m-{n}"))),
                kind=self.draw(st.sampled_from((CommandKind.SEND, CommandKind.SEND, CommandKind.LOOKUP))),
            )
            self.under_way.append(lambda world, told=told: world.give("verification.results", told))
        for _ in range(self.draw(st.integers(0, 2))):
            report = self.world.status(n, self.draw(st.sampled_from(_STATUSES)), provider=provider)
            self.under_way.append(lambda world, report=report: world.give("verification.statuses", report))

    def providers(self) -> None:
        """Answers to what they are asked, some never, some twice, in any order."""
        orders = self.world.orders(CommandKind.CHECK, CommandKind.LOOKUP)
        for order in orders[self.seen_orders :]:
            for _ in range(self.draw(st.sampled_from((0, 1, 1, 1, 2)))):
                self.under_way.append(self.judged(order) if order.kind is CommandKind.CHECK else self.found(order))
        self.seen_orders = len(orders)

    def judged(self, order: SendCommand) -> Act:
        valid = self.draw(st.sampled_from((None, False, False, True)))
        result = self.draw(st.sampled_from((AttemptResult.ACCEPTED, AttemptResult.ACCEPTED, *_RESULTS)))
        already = self.draw(st.booleans()) and valid is None
        return lambda world: world.judge(valid, order, result=result, already_verified=already)

    def found(self, order: SendCommand) -> Act:
        told = self.world.result(
            order.n,
            self.draw(st.sampled_from(_RESULTS)),
            kind=CommandKind.LOOKUP,
            command_id=order.command_id,
            provider=order.provider,
            called_at=self.draw(st.sampled_from((None, self.world.now_ms))),
            provider_message_id=f"m-{order.n}",
            used_channel=self.draw(st.sampled_from((None, *Channel))),
            status=self.draw(st.sampled_from(_STATUSES)),
        )
        return lambda world: world.give("verification.results", told)

    def router(self) -> None:
        events = self.world.asked()
        for event in events[self.seen_events :]:
            self.unanswered += 1
            if self.draw(st.integers(0, 3)):
                provider = self.draw(st.sampled_from(PROVIDERS))
                able = self.able(event.step_index)
                self.under_way.append(self.answer(lambda world, e=event, p=provider, a=able: world.route(p, e, **a)))
                self.sender(event.n, event.step_index, provider)
            else:
                self.under_way.append(self.answer(lambda world, e=event: world.no_route(event=e)))
        self.seen_events = len(events)
        assert self.unanswered <= 1, "at most one route is outstanding"

    def answer(self, act: Callable[[World], Any]) -> Act:
        first = [True]

        def once(world: World) -> None:
            if first:
                first.clear()
                self.unanswered -= 1
            act(world)

        return once

    def person(self) -> Act:
        right = self.draw(st.booleans())
        check_id = f"c{self.draw(st.integers(0, 5))}"
        self.checks.add(check_id)
        return lambda world: world.check(world.code if right else world.wrong, check_id)

    def caller(self) -> Act:
        action = self.draw(st.sampled_from((CommandAction.RESEND, CommandAction.FAILOVER, CommandAction.CANCEL)))
        step = self.draw(st.none() | st.integers(-1, self.steps))
        command_id = f"m{self.draw(st.integers(0, 5))}"
        return lambda world: world.command(action, command_id, step_index=step)

    def step(self) -> None:
        what = self.draw(st.integers(0, 11))
        if what <= 4 and self.under_way:
            act = self.under_way.pop(self.draw(st.integers(0, len(self.under_way) - 1)))
            self.done.append(act)
        elif what <= 6 and self.done:
            act = self.draw(st.sampled_from(self.done))
        elif what <= 8:
            act = self.person()
        elif what == 9:
            act = self.caller()
        else:
            # Replies to an id without a decision are remembered for ten minutes; nothing is promised of later.
            longest = 9 if self.world.outcomes else 4
            self.world.advance(self.draw(st.sampled_from((1, 500, 3_000, 10_000, 30_000, 90_000, 250_000)[:longest])))
            return
        act(self.world)

    def run(self) -> None:
        for _ in range(self.draw(st.integers(1, 25))):
            self.step()
            self.router()
            self.providers()
            hold_invariants(self.world)
        # However it went, what is still under way arrives, and then time alone must bring the one end.
        while self.under_way:
            self.under_way.pop(0)(self.world)
            self.router()
            self.providers()
            hold_invariants(self.world)
        self.world.advance(200_000_000)
        hold_invariants(self.world)
        assert self.world.last.is_final
        assert not self.world.state
        answered = {reply.request_id for reply in self.world.replies if reply.kind is ReplyKind.CHECK}
        assert answered == self.checks, "every check has an answer"
        # Names, label sets and label values are those of the catalogue, or this raises.
        METRICS.apply(self.world.counts)
        assert self.world.counted("outcomes_total") == 1
        assert self.world.counted("conversion_matured_total") <= 1


@pytest.mark.parametrize("providers_judge", [False, True])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_no_interleaving_breaks_a_promise(providers_judge: bool, data: st.DataObject) -> None:
    Chaos(data.draw, providers_judge=providers_judge).run()


def test_the_events_for_the_router_name_what_it_needs(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.reject()
    (event,) = world.asked()
    assert isinstance(event, RoutingEvent)
    assert event.kind is RoutingKind.NEXT_STEP
    assert event.plan == world.plan(2)
    assert (event.tenant, event.verification_id) == ("default", "v1")

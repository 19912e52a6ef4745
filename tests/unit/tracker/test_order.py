"""Every interleaving, doubled and late: the same truth comes out, and the invariants hold at every step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.model.reasons import Reason
from pipeline.records.internal import RoutingEvent
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    Channel,
    CommandKind,
    ResultClass,
    RoutingKind,
    VerificationState,
)
from tests.unit.tracker.chaos import Chaos
from tests.unit.tracker.invariants import hold_invariants
from tests.unit.tracker.world import T0, World, make_world

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

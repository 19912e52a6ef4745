"""What a check, resend, failover and cancel are answered in each state: the table of docs/lifecycle.md, met cell by
cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.internal import Decision
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    CodeHolder,
    CommandAction,
    DecisionKind,
    ResultClass,
    VerificationMode,
    VerificationState,
)
from tests.unit.model.test_lifecycle_drawn import rows
from tests.unit.tracker.world import World, make_world

State = VerificationState
COLUMNS = ("check", CommandAction.RESEND, CommandAction.FAILOVER, CommandAction.CANCEL)
TABLE = {row[0]: row[1:] for row in rows("What is answered in each state")}
OPEN = "`pending` `sent` `delivered`"
Met = Iterator[tuple[str, str]]


def told(state: str, column: int) -> set[str]:
    return set(re.findall(r"`(\w+)`", TABLE[state][column])) & {str(reason) for reason in ReplyReason}


def answer(
    world: World, column: object, request_id: str = "x", code: str | None = None, step: int | None = None
) -> str:
    if isinstance(column, CommandAction):
        reply = world.command(column, request_id, step_index=step)
    else:
        reply = world.check(world.wrong if code is None else code, request_id)
    assert reply is not None
    return reply.reason


def begun(state: VerificationState, **policy: object) -> World:
    """In this open state, with a step left and a resend to be had at once."""
    world = make_world(**{"max_resends": 1, **policy})
    world.decide(world.accepted(2, has_receipts=False))
    if state is State.PENDING:
        # Never called, so nothing cools down; the router found nothing else, as too little time was left.
        world.tell(1, AttemptResult.NOT_SENT)
        world.no_route(Reason.TOO_LATE)
    else:
        world.tell()
        if state is State.DELIVERED:
            world.report()
        world.advance(30_000)
    assert world.last.state is state
    return world


def checks(state: VerificationState) -> Met:
    world = begun(state)
    yield answer(world, "check", "c1"), "wrong_code"
    yield answer(world, "check", "c2", world.code), "valid"
    world = begun(state)
    world.now_ms += 400_000
    yield answer(world, "check"), "expired"
    world = make_world()
    world.decide(world.accepted(code_holder=CodeHolder.PROVIDER, has_check=True))
    if state is not State.PENDING:
        world.tell(provider_message_id="m-1", code_holder=CodeHolder.PROVIDER)
        if state is State.DELIVERED:
            world.report()
        world.check(world.wrong, "c1")
        for i in range(3):
            world.check(world.wrong, f"d{i}")
        yield world.replies[-1].reason, "too_many_checks"
        world.judge(None)
        yield world.replies[1].reason, "provider_unavailable"
    else:
        yield answer(world, "check"), "provider_unavailable"
        for i in range(10):
            world.check(f"{200_000 + i}", f"d{i}")
        yield world.replies[-1].reason, "too_many_checks"
    assert world.last.state is state


def resends(state: VerificationState) -> Met:
    world = begun(state)
    yield answer(world, CommandAction.RESEND, "a", step=7), "no_such_step"
    yield answer(world, CommandAction.RESEND, "b"), "accepted"
    yield answer(world, CommandAction.RESEND, "c"), "too_many_resends"
    world = begun(state, max_resends=2)
    world.command(CommandAction.RESEND, "a")
    yield answer(world, CommandAction.RESEND, "b"), "resend_too_soon"
    world = begun(state)
    world.now_ms += 301_000
    yield answer(world, CommandAction.RESEND), "too_late_to_resend"


def failovers(state: VerificationState) -> Met:
    world = begun(state)
    yield answer(world, CommandAction.FAILOVER, "a", step=7), "no_such_step"
    yield answer(world, CommandAction.FAILOVER, "b"), "accepted"
    if state is State.PENDING:
        world = make_world()
        world.decide(world.accepted(1))
    else:
        world = begun(state, max_attempts_total=1)
    yield answer(world, CommandAction.FAILOVER), "no_more_steps"
    world = begun(state)
    world.now_ms += 301_000
    yield answer(world, CommandAction.FAILOVER), "too_late_to_resend"


def cancels(state: VerificationState) -> Met:
    yield answer(begun(state), CommandAction.CANCEL), "accepted"


ASKED: tuple[Callable[[VerificationState], Met], ...] = (checks, resends, failovers, cancels)


@pytest.mark.parametrize("state", [State.PENDING, State.SENT, State.DELIVERED])
@pytest.mark.parametrize("column", range(4), ids=lambda column: str(COLUMNS[column]))
def test_while_it_is_open_each_answer_of_the_table_is_met(state: VerificationState, column: int) -> None:
    met = list(ASKED[column](state))
    assert [got for got, _ in met] == [expected for _, expected in met]
    assert {got for got, _ in met} == told(OPEN, column)


def refused(reason: Reason) -> World:
    world = make_world()
    world.decide(
        Decision(
            verification_id="v1",
            kind=DecisionKind.REFUSED,
            decision_id="aa" * 16,
            plan=world.plan(),
            reason=reason,
            decided_at=world.now_ms,
        )
    )
    return world


def verified() -> World:
    world = begun(State.SENT)
    world.check(world.code, "right")
    return world


def expired() -> World:
    world = begun(State.DELIVERED)
    world.advance(300_000)
    return world


def without_checks(allowed: int) -> World:
    world = make_world()
    world.decide(world.accepted(plan=world.plan(checks_allowed=allowed)))
    world.tell()
    for i in range(allowed):
        world.check(world.wrong, f"wrong{i}")
    return world


def undeliverable() -> World:
    world = make_world()
    world.decide(world.accepted())
    world.reject(kind=ResultClass.RECIPIENT)
    return world


def canceled() -> World:
    world = begun(State.DELIVERED)
    world.command(CommandAction.CANCEL, "end")
    return world


ENDED: dict[str, list[Callable[[], World]]] = {
    "verified": [verified],
    "expired": [expired],
    "failed": [lambda: without_checks(3), lambda: without_checks(1), undeliverable],
    "canceled": [canceled],
    "blocked": [lambda: refused(Reason.TOO_MANY_FAILURES), lambda: refused(Reason.KILL_SWITCH)],
    "rejected": [lambda: refused(Reason.INVALID_STEPS)],
}


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("column", range(4), ids=lambda column: str(COLUMNS[column]))
def test_after_each_end_each_answer_of_the_table_is_met(state: str, column: int) -> None:
    worlds = [make() for make in ENDED[state]]
    assert {world.last.state for world in worlds} == {state}
    assert {answer(world, COLUMNS[column]) for world in worlds} == told(f"`{state}`", column)
    assert {world.last.state for world in worlds} == {state}, "and it stays so"


@pytest.mark.parametrize("column", range(4), ids=lambda column: str(COLUMNS[column]))
def test_an_unknown_id_is_told_so_whatever_is_asked(column: int) -> None:
    world = make_world()
    if column:
        world.command(CommandAction.CANCEL, "x")
    else:
        world.check("123456")
    world.advance(2_000)
    assert {world.replies[-1].reason} == told("no such id, or another tenant's", column)


@pytest.mark.parametrize("state", [State.PENDING, State.SENT])
def test_in_reach_mode_there_is_nothing_to_check(state: VerificationState) -> None:
    world = make_world()
    world.decide(world.accepted(plan=world.plan(mode=VerificationMode.REACH)))
    if state is State.SENT:
        world.report(status=AttemptStatus.SENT)
    assert world.last.state is state
    assert {answer(world, "check")} == told("any of these, in `reach` mode", 0)

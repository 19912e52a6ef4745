"""The stages around the tracker, the person and the caller, each acting in its own time, any of it twice or late, with
the tracker stopped and restored in between: drawn by hypothesis, held to the invariants after every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from pipeline import topics
from pipeline.metrics import Metrics
from pipeline.model.reasons import ReplyReason
from pipeline.records.internal import RoutingEvent, SendCommand
from pipeline.records.public import Attempt, VerificationOutcome
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
from tests.unit.tracker.invariants import FINDS, LOOKUPS, hold_invariants
from tests.unit.tracker.world import CODEC, RING, World, make_stage, make_world

METRICS = Metrics(CollectorRegistry())
PROVIDERS = ("ycloud", "neutrino", "bird")
OWN_CODE = "aB12cd"
RESULTS = (
    AttemptResult.ACCEPTED,
    AttemptResult.ACCEPTED,
    AttemptResult.REJECTED,
    AttemptResult.NOT_SENT,
    AttemptResult.IN_DOUBT,
    AttemptResult.EXPIRED,
)
STATUSES = tuple(AttemptStatus)
ON_ITS_WAY = (AttemptStatus.SENT, AttemptStatus.DELIVERED, AttemptStatus.READ)
Act = Callable[[World], Any]


class Chaos:
    """One verification and everybody who has to do with it."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], *, providers_judge: bool) -> None:
        """``providers_judge``: it begins with a sent message whose code its provider made, as most others do."""
        self.draw = draw
        self.providers_judge = providers_judge
        self.policy: dict[str, Any] = {
            "max_attempts_total": draw(st.integers(1, 5)),
            "resend_code": draw(st.sampled_from(("same", "new"))),
            "resend_cooldown_s": draw(st.sampled_from(([30, 60, 120], [1, 2]))),
        }
        self.world = make_world(**self.policy)
        self.steps = draw(st.integers(1, 3))
        self.under_way: list[Act] = []
        self.done: list[Act] = []
        self.seen_events = 0
        self.seen_orders = 0
        self.checks: dict[str, tuple[int | None, int]] = {}
        """Which generation of our codes was typed in each check (None: none of them), and when it was written first."""
        self.commands: dict[str, tuple[CommandAction, int | None]] = {}
        self.generations: dict[int, int] = {}
        """Of the attempts whose code is ours."""
        self.unanswered = 0
        modes = (VerificationMode.VERIFY, VerificationMode.VERIFY, VerificationMode.REACH)
        mode = draw(st.sampled_from(modes[:2] if providers_judge else modes))
        bulk = draw(st.booleans())
        self.callers = not providers_judge and draw(st.booleans())
        """The code is the caller's own."""
        self.allowed = draw(st.integers(1, 3))
        plan = self.world.plan(
            self.steps,
            mode=mode,
            bulk=bulk,
            checks_allowed=self.allowed,
            code_holder=CodeHolder.CALLER if self.callers else CodeHolder.OURS,
            code_sealed=RING.seal(OWN_CODE.encode(), verification_id="v1", field="code") if self.callers else None,
        )
        able = self.able(0)
        decision = self.world.accepted(self.steps, plan=plan, **able)
        self.carries(1, 0, able)
        if providers_judge:
            self.world.decide(decision)
            self.world.tell(provider_message_id="m-1")
        else:
            self.under_way.append(lambda world: world.decide(decision))
        self.sender(1, 0, "ycloud")

    # Who acts.

    def able(self, step: int) -> dict[str, Any]:
        """What the provider of an attempt can and does."""
        made = self.providers_judge or (not self.callers and self.draw(st.booleans()))
        ours = CodeHolder.CALLER if self.callers else CodeHolder.OURS
        return {
            "has_receipts": self.draw(st.booleans()),
            "code_holder": CodeHolder.PROVIDER if made else ours,
            "has_check": self.providers_judge or self.draw(st.booleans()),
            "has_report": self.draw(st.booleans()),
            "has_cancel": self.draw(st.booleans()),
            "lookups_s": self.draw(st.sampled_from(([], LOOKUPS))),
            "finds_lost_s": self.draw(st.sampled_from(([], FINDS))),
            "last_step": self.draw(st.integers(step, self.steps - 1)),
        }

    def carries(self, n: int, generation: int, able: dict[str, Any]) -> None:
        if able["code_holder"] is not CodeHolder.PROVIDER:
            self.generations[n] = generation

    def sender(self, n: int, step: int, provider: str) -> None:
        """Answers, and reports, now and then one that contradicts the other."""
        for _ in range(self.draw(st.sampled_from((0, 1, 1, 1, 2)))):
            told = self.world.result(
                n,
                self.draw(st.sampled_from(RESULTS)),
                provider=provider,
                step_index=step,
                channel=Channel.SMS,
                result_class=self.draw(st.sampled_from(ResultClass)),
                provider_message_id=self.draw(st.sampled_from((None, f"m-{n}"))),
                kind=self.draw(st.sampled_from((CommandKind.SEND, CommandKind.SEND, CommandKind.LOOKUP))),
            )
            self.under_way.append(lambda world, told=told: world.give(topics.RESULTS, told))
        for _ in range(self.draw(st.integers(0, 2))):
            report = self.world.status(n, self.draw(st.sampled_from(STATUSES)), provider=provider)
            self.under_way.append(lambda world, report=report: world.give(topics.STATUSES, report))

    def providers(self) -> None:
        """Answers to what they are asked, some never, some twice, in any order."""
        orders = self.world.orders(CommandKind.CHECK, CommandKind.LOOKUP)
        for order in orders[self.seen_orders :]:
            for _ in range(self.draw(st.sampled_from((0, 1, 1, 1, 2)))):
                self.under_way.append(self.judged(order) if order.kind is CommandKind.CHECK else self.found(order))
        self.seen_orders = len(orders)

    def judged(self, order: SendCommand) -> Act:
        valid = self.draw(st.sampled_from((None, False, False, True)))
        result = self.draw(st.sampled_from((AttemptResult.ACCEPTED, AttemptResult.ACCEPTED, *RESULTS)))
        already = self.draw(st.booleans()) and valid is None
        return lambda world: world.judge(valid, order, result=result, already_verified=already)

    def found(self, order: SendCommand) -> Act:
        told = self.world.result(
            order.n,
            self.draw(st.sampled_from(RESULTS)),
            kind=CommandKind.LOOKUP,
            command_id=order.command_id,
            provider=order.provider,
            called_at=self.draw(st.sampled_from((None, self.world.now_ms))),
            provider_message_id=f"m-{order.n}",
            used_channel=self.draw(st.sampled_from((None, *Channel))),
            status=self.draw(st.sampled_from(STATUSES)),
        )
        return lambda world: world.give(topics.RESULTS, told)

    def router(self) -> None:
        events = self.world.asked()
        for event in events[self.seen_events :]:
            self.unanswered += 1
            if self.draw(st.integers(0, 3)):
                provider = self.draw(st.sampled_from(PROVIDERS))
                able = self.able(event.step_index) | {"generation": event.generation}
                self.carries(event.n, event.generation, able)
                self.under_way.append(self.answer(lambda world, e=event, p=provider, a=able: world.route(p, e, **a)))
                self.sender(event.n, event.step_index, provider)
            else:
                reason = self.draw(st.sampled_from(("no_route", "no_route", "too_late")))
                self.under_way.append(self.answer(lambda world, e=event, r=reason: world.no_route(r, event=e)))
        self.seen_events = len(events)
        assert self.unanswered <= 1, "at most one route is outstanding"

    def answer(self, act: Act) -> Act:
        first = [True]

        def once(world: World) -> None:
            if first:
                first.clear()
                self.unanswered -= 1
            act(world)

        return once

    def person(self, at_ms: int | None = None) -> None:
        """Types a code of ours, of whichever message, or another; now and then the check is written twice."""
        generation = self.draw(st.sampled_from((None, None, 0, 0, 1, 2)))
        check_id = f"c{self.draw(st.integers(0, 5))}"
        at_ms = self.world.now_ms if at_ms is None else at_ms
        if check_id in self.checks:
            generation, _ = self.checks[check_id]
        self.checks.setdefault(check_id, (generation, at_ms))
        typed = self.world.wrong if generation is None else self.code(generation)
        for _ in range(self.draw(st.sampled_from((1, 1, 2)))):
            self.world.check(typed, check_id, at_ms=at_ms)

    def code(self, generation: int) -> str:
        return OWN_CODE.swapcase() if self.callers else self.world.code_of(generation)

    def caller(self) -> None:
        action = self.draw(st.sampled_from((CommandAction.RESEND, CommandAction.FAILOVER, CommandAction.CANCEL)))
        step = self.draw(st.none() | st.integers(-1, self.steps))
        command_id = f"m{self.draw(st.integers(0, 5))}"
        action, step = self.commands.setdefault(command_id, (action, step))
        self.world.command(action, command_id, step_index=step)

    def restored(self) -> None:
        """Another process takes over with nothing but what was written."""
        world = self.world
        written = {key: world.stage.encode(value) for key, value in world.state.items()}
        world.stage = make_stage(**self.policy)
        world.state = {key: world.stage.decode(value) for key, value in written.items()}

    def away(self, longest_ms: int) -> None:
        """Nobody runs for a while: what was written meanwhile is read first, then the timers of that time fire."""
        since_ms = self.world.now_ms
        self.world.now_ms += longest_ms
        for at_ms in sorted(self.draw(st.lists(st.integers(since_ms, self.world.now_ms), max_size=3))):
            self.person(at_ms)
            self.look()
        self.world.advance(0)
        self.restored()

    # What happens.

    def step(self) -> None:
        what = self.draw(st.integers(0, 12))
        # Replies to an id without a decision are remembered for ten minutes; nothing is promised of later.
        longest = 9 if self.world.outcomes else 4
        pause_ms = self.draw(st.sampled_from((1, 500, 3_000, 10_000, 30_000, 90_000, 250_000)[:longest]))
        if what <= 4 and self.under_way:
            act = self.under_way.pop(self.draw(st.integers(0, len(self.under_way) - 1)))
            self.done.append(act)
            act(self.world)
        elif what <= 6 and self.done:
            self.draw(st.sampled_from(self.done))(self.world)
        elif what <= 8:
            self.person()
        elif what <= 10:
            self.caller()
        elif what == 11:
            self.away(pause_ms)
        else:
            self.world.advance(pause_ms)

    def look(self) -> None:
        """Everybody takes note of what was written, and all that must hold does."""
        self.router()
        self.providers()
        hold_invariants(self.world)
        self.hold_what_the_reader_knows()

    def run(self) -> None:
        for _ in range(self.draw(st.integers(1, 25))):
            self.step()
            self.look()
            if self.draw(st.booleans()):
                self.restored()
        # However it went, what is still under way arrives, and then time alone must bring the one end.
        while self.under_way:
            self.under_way.pop(0)(self.world)
            self.look()
        self.world.advance(200_000_000)
        self.look()
        assert self.world.last.is_final
        assert not self.world.state
        answered = {reply.request_id for reply in self.world.replies if reply.kind is ReplyKind.CHECK}
        assert answered == self.checks.keys(), "every check has an answer"
        # Names, label sets and label values are those of the catalogue, or this raises.
        METRICS.apply(self.world.counts)
        assert self.world.counted("outcomes_total") == 1
        assert self.world.counted("conversion_matured_total") <= 1

    # What must hold, beyond what any reader of the topics could say.

    def hold_what_the_reader_knows(self) -> None:
        if self.world.outcomes:
            assert self.world.last.failed_checks <= self.allowed
            assert len(self.world.last.attempts) <= self.policy["max_attempts_total"]
        self.hold_what_checks_are_told()
        self.hold_that_nobody_is_texted_unasked()

    def hold_what_checks_are_told(self) -> None:
        before = [outcome for outcome in self.world.outcomes if outcome.state is not VerificationState.VERIFIED][-1:]
        shown: list[Attempt] = before[0].attempts if before else []
        for reply in self.world.replies:
            if reply.kind is not ReplyKind.CHECK:
                continue
            generation, written_at = self.checks[reply.request_id]
            if reply.reason == ReplyReason.EXPIRED:
                assert reply.expires_at is not None
                # A sender whose clock is ahead says "too late" before the time, and is believed.
                too_late = any(attempt.result is AttemptResult.EXPIRED for attempt in self.world.last.attempts)
                in_time = written_at <= reply.expires_at
                assert too_late or not in_time, "in time by its append time, it is never called expired"
            elif reply.reason == ReplyReason.VALID and not self.was_asked(reply.request_id):
                assert generation is not None, "nobody but who made it calls another code right"
                newest = max((self.generations.get(n, 0) for n, each in enumerate(shown, 1) if _took(each)), default=0)
                assert self.callers or generation >= newest, "a code is void once a later one was taken"

    def was_asked(self, check_id: str) -> bool:
        return any(order.command_id == check_id for order in self.world.orders(CommandKind.CHECK))

    def hold_that_nobody_is_texted_unasked(self) -> None:
        """Once a message was delivered, only what a caller asked for is sent, to whom it was asked for."""
        state = VerificationState.PENDING
        wanted: set[int] = set()
        for reply in self.world.replies:
            if reply.kind is ReplyKind.COMMAND and reply.ok and reply.step_index is not None:
                action, named = self.commands[reply.request_id]
                onward = action is CommandAction.FAILOVER and named is None
                wanted |= set(range(reply.step_index, self.steps)) if onward else {reply.step_index}
        for emit in self.world.emits:
            if emit.topic == topics.OUTCOMES:
                state = CODEC.decode(VerificationOutcome, emit.value, public=False).state
            elif emit.topic in (topics.ROUTER_INBOX, topics.bulk(topics.ROUTER_INBOX)):
                event = CODEC.decode(RoutingEvent, emit.value, public=False)
                if event.kind is RoutingKind.NEXT_STEP and state is VerificationState.DELIVERED:
                    assert event.step_index in wanted


def _took(attempt: Attempt) -> bool:
    return attempt.result is AttemptResult.ACCEPTED or attempt.status in ON_ITS_WAY

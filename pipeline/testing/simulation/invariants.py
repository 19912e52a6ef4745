"""The promises of the design (its section 2), each as a function of what was seen of a run from outside.

Nothing here asks a stage how it is doing: requests and answers of people, calls and messages at the providers, and what
stands committed in the topics are all there is to judge by.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from pipeline import topics
from pipeline.errors import PipelineError
from pipeline.records.journal import JournalEntry, JournalState
from pipeline.records.public import Reply
from pipeline.records.types import AttemptStatus, CommandKind, DecisionKind, VerificationState
from pipeline.testing.http import Answer
from pipeline.testing.simulation.deployed import POLICY, SKEW_MS
from pipeline.testing.simulation.history import History
from pipeline.testing.simulation.line import NOT_TAKEN
from pipeline.testing.simulation.right_codes import no_right_code_is_refused, only_right_codes_are_accepted

_FRESH_MS = 5_000
_RANK: Final = {VerificationState.PENDING: 0, VerificationState.SENT: 1, VerificationState.DELIVERED: 2}
_PUBLIC_DOORS: Final = (topics.REQUESTS, topics.bulk(topics.REQUESTS), topics.CHECKS)
_LEAST_SECRET = 8
"""Shorter codes may stand in a hash by chance."""


def nothing_is_lost(seen: History) -> None:
    """I1: each request ends in exactly one final outcome, or in dead letters when it cannot be handled or conflicts."""
    assert seen.settled, f"not everything ended: {[each for each in seen.ids if not _is_over(seen, each)]}"
    for verification_id in seen.ids:
        finals = sum(each.is_final for each in seen.of(verification_id))
        if verification_id in seen.done.broken:
            letters = [each for each in seen.letters if each.value.reason == "handler_refused"]
            assert finals <= 1, f"{verification_id}: {finals} final outcomes"
            assert finals or letters, f"{verification_id}: neither an outcome nor a dead letter"
        else:
            assert finals == 1, f"{verification_id}: {finals} final outcomes"


def _is_over(seen: History, verification_id: str) -> bool:
    last = seen.last(verification_id)
    return last is not None and last.is_final


def outcomes_are_exact(seen: History) -> None:
    """I5: versions 1, 2, 3 ...; the state never moves back, the final one never changes; attempts have no gaps."""
    by_id = defaultdict(list)
    for each in seen.outcomes:
        by_id[each.value.verification_id].append(each.value)
    for verification_id, versions in by_id.items():
        assert [each.version for each in versions] == list(range(1, len(versions) + 1)), (
            f"versions of {verification_id}"
        )
        assert not any(each.is_final for each in versions[:-1]), (
            f"{verification_id}: something follows the final outcome"
        )
        ranks = [_RANK.get(each.state, 3) for each in versions]
        assert ranks == sorted(ranks), f"{verification_id} moved back: {[each.state.value for each in versions]}"
        last = versions[-1]
        assert last.failed_checks <= last.max_checks, f"{verification_id}: more wrong codes than checks"
        assert len(last.attempts) <= POLICY["max_attempts_total"], f"{verification_id}: too many attempts"
        numbered = [f"{verification_id}.{n}" for n in range(1, len(last.attempts) + 1)]
        assert [each.attempt_id for each in last.attempts] == numbered, f"attempts of {verification_id}"


def nobody_is_texted_twice(seen: History) -> None:
    """I2: one call that may become a message per attempt, one per check, at one provider, and one message at most."""
    taken: Counter[tuple[str, ...]] = Counter()
    providers = defaultdict(set)
    for call in seen.lines_.calls:
        if call.command.kind in (CommandKind.SEND, CommandKind.CHECK):
            turned_away = isinstance(call.step, Answer) and call.step.status in NOT_TAKEN
            key = (call.command.kind, call.command.attempt_id, call.command.command_id, call.command.decision_id)
            taken[key] += not turned_away
            if call.command.kind is CommandKind.SEND:
                providers[call.command.attempt_id, call.command.decision_id].add(call.provider)
    assert not (twice := [key for key, count in taken.items() if count > 1]), f"called twice: {twice}"
    assert not (many := [key for key, names in providers.items() if len(names) > 1]), f"at two providers: {many}"
    messages = Counter((each.command.attempt_id, each.command.decision_id) for each in seen.lines_.taken)
    assert not (twice := [key for key, count in messages.items() if count > 1]), f"two messages: {twice}"


def a_call_is_written_down_before_it_is_made(seen: History) -> None:
    """STARTED is committed before the first byte of a message or a check, and no older than it may be."""
    for call in seen.lines_.calls:
        assert call.journalled, f"{call.command.command_id} was called before its STARTED was committed"
        if call.started_ms is not None and "jumps" not in seen.swarm:
            age_ms = call.at_ms - call.started_ms
            assert age_ms <= _FRESH_MS, f"{call.command.command_id} was called {age_ms} ms after its STARTED"


def nothing_is_sent_late(seen: History) -> None:
    """No first byte of a message after its deadline, by the clock of the process that sends it."""
    for call in seen.lines_.calls:
        if call.command.kind is CommandKind.SEND:
            late_ms = call.at_ms - call.latest_ms
            assert late_ms <= 0, f"{call.command.command_id} was sent {late_ms} ms late"


def steps_are_taken_in_turn(seen: History) -> None:
    """No step begins before the wait of the one before is over, unless that one failed or somebody asked."""
    asked = {each.verification_id for each in seen.done.commands.values()}
    for verification_id in set(seen.ids) - asked - seen.done.broken - seen.done.conflicting:
        last = seen.last(verification_id)
        if last is None:
            continue
        waits = {step.index: step.wait_s for step in last.steps}
        for before, after in zip(last.attempts, last.attempts[1:], strict=False):
            if before.sent_at is None or after.sent_at is None or before.result not in ("accepted", "in_doubt"):
                continue
            if before.status in (AttemptStatus.FAILED, AttemptStatus.UNDELIVERED, AttemptStatus.EXPIRED):
                continue
            least_ms = waits.get(before.step_index, 0) * 1_000 - 2 * SKEW_MS
            assert after.sent_at - before.sent_at >= least_ms, (
                f"{after.attempt_id} did not wait for {before.attempt_id}"
            )


def each_result_is_told_once(seen: History) -> None:
    """Records between topics are processed exactly once: one decision per request, one result per command."""
    decided = Counter(
        (each.value.verification_id, each.value.source_topic, each.value.source_partition, each.value.source_offset)
        for each in seen.decisions
        if each.value.kind in (DecisionKind.ACCEPTED, DecisionKind.REFUSED)
    )
    assert not (twice := [key for key, count in decided.items() if count > 1]), f"decided twice: {twice}"
    routed = Counter(
        (each.value.verification_id, each.value.decision_id, each.value.n)
        for each in seen.decisions
        if each.value.kind is DecisionKind.ROUTED
    )
    assert not (again := [key for key, count in routed.items() if count > 1]), f"routed twice: {again}"
    told = Counter(
        (each.value.kind, each.value.command_id, each.value.attempt_id, each.value.decision_id)
        for each in seen.results
        if each.value.kind in (CommandKind.SEND, CommandKind.CHECK)
    )
    assert not (doubled := [key for key, count in told.items() if count > 1]), f"results told twice: {doubled}"
    ordered = {
        (each.value.kind, each.value.command_id, each.value.attempt_id, each.value.decision_id)
        for each in seen.commands
        if each.value.kind in (CommandKind.SEND, CommandKind.CHECK)
        and each.value.verification_id not in seen.done.broken
    }
    assert not (lost := ordered - told.keys()), f"no result of: {sorted(lost)}"


def replies_are_one_per_request(seen: History) -> None:
    """The same check or command always gets the same reply, and each gets one."""
    replies: dict[str, Reply] = {}
    for each in seen.replies:
        reply = each.value
        assert replies.setdefault(reply.request_id, reply) == reply, f"two answers to {reply.request_id}"
    broken = seen.done.broken
    asked = {key for key, each in seen.done.checks.items() if each.verification_id not in broken}
    asked |= {key for key, each in seen.done.commands.items() if each.verification_id not in broken}
    assert not (lost := asked - replies.keys()), f"never answered: {sorted(lost)}"


def codes_are_accepted_once(seen: History) -> None:
    """I4: at most one right answer per verification, and exactly one where it ended verified."""
    valid = Counter(each.verification_id for each in _replies(seen).values() if each.reason == "valid")
    assert not (twice := [key for key, count in valid.items() if count > 1]), f"accepted twice: {twice}"
    verified = {each for each in seen.ids if (last := seen.last(each)) and last.state is VerificationState.VERIFIED}
    assert verified == set(valid), f"verified are {sorted(verified)}, accepted were codes of {sorted(valid)}"


def guesses_are_counted(seen: History) -> None:
    """I3: no more wrong codes are judged than checks were allowed, whatever is repeated or rebuilt."""
    wrong = Counter(each.verification_id for each in _replies(seen).values() if each.reason == "wrong_code")
    for verification_id, count in wrong.items():
        last = seen.last(verification_id)
        assert last is not None, f"{verification_id}: judged, and without an outcome"
        assert count <= last.max_checks, f"{verification_id}: {count} wrong codes were judged"
        assert count == last.failed_checks, f"{verification_id}: {count} wrong codes, {last.failed_checks} counted"


def _replies(seen: History) -> dict[str, Reply]:
    return {each.value.request_id: each.value for each in seen.replies}


def receipts_mean_their_own_message(seen: History) -> None:
    """No attempt is told to be delivered of whose message nobody said so: reports by recipient are never guessed."""
    taken_by = {each.command.attempt_id: each for each in seen.lines_.taken}
    told = {(taken_by[each].provider, taken_by[each].message.recipient, taken_by[each].command.verification_id)
            for each in seen.reporters.delivered}  # fmt: skip
    sends = {each.value.attempt_id: each.value for each in seen.commands if each.value.kind is CommandKind.SEND}
    for each in seen.statuses:
        status = each.value
        if status.status not in (AttemptStatus.DELIVERED, AttemptStatus.READ):
            continue
        again = sends[status.attempt_id].provider_message_id is not None
        own = status.attempt_id in seen.reporters.delivered
        assert own or (again and any(status.verification_id == of for _, _, of in told)), (
            f"{status.attempt_id} is told to be delivered, and nobody said so"
        )


def no_secret_is_in_clear(seen: History) -> None:
    """I7: no code and no recipient in any topic but the public doors, in aborted records neither, nor in a log line."""
    secrets = {each.message.code for each in seen.lines_.taken} | seen.done.codes
    secrets = {each for each in secrets if len(each) >= _LEAST_SECRET}
    persons = {each.removeprefix("+") for each in seen.done.persons}
    needles = [each.encode() for each in sorted(secrets | persons)]
    for topic, number, entry in seen.entries():
        if topic in _PUBLIC_DOORS:
            continue
        written = b"|".join([entry.key or b"", entry.value or b"", *(value or b"" for _, value in entry.headers)])
        assert not any(needle in written for needle in needles), f"a secret in {topic}/{number}@{entry.offset}"
    for line in seen.lines:
        text = repr({name: value for name, value in line.items() if name != "exc_info"})
        assert not any(needle.decode() in text for needle in needles), f"a secret in the log: {line.get('event')}"


def bad_input_hurts_nobody_else(seen: History) -> None:
    """Each record that nobody can read is one dead letter with its reason and place, and nothing else is one."""
    letters = Counter((each.value.topic, each.value.partition, each.value.offset) for each in seen.letters)
    reasons = {(each.value.topic, each.value.partition, each.value.offset): each.value.reason for each in seen.letters}
    # A timer has no place: the entry whose timer was refused may stay with another deadline, and break on that again.
    twice = [where for where, count in letters.items() if count > 1 and where[2] >= 0]
    assert not twice, f"two dead letters for {twice}"
    wanted = {(each.topic, each.partition, each.offset): each.reason for each in seen.done.bad}
    for where, reason in wanted.items():
        assert reasons.get(where) == reason, f"{where}: {reasons.get(where)} instead of {reason}"
    for each in seen.letters:
        letter = each.value
        if (letter.topic, letter.partition, letter.offset) in wanted:
            continue
        assert letter.reason in ("id_conflict", "handler_refused"), f"an unexpected dead letter: {letter.reason}"
        ids = seen.done.conflicting if letter.reason == "id_conflict" else seen.done.broken
        assert letter.verification_id in ({None, *ids} if ids else ()), f"{letter.verification_id} is a dead letter"
    for verification_id in seen.done.conflicting - seen.done.broken:
        found = [each for each in seen.letters if each.value.reason == "id_conflict"]
        assert any(each.value.verification_id == verification_id for each in found), f"no conflict of {verification_id}"


def journals_are_finished(seen: History) -> None:
    """Whatever a sender began has ended by the word of its own journal."""
    entries: dict[tuple[str, bytes], JournalEntry] = {}
    for provider, key, entry in seen.journal:
        if entry is None:
            entries.pop((provider, key), None)
        else:
            entries[provider, key] = entry
    unfinished = [key for key, each in entries.items() if each.state is not JournalState.FINISHED]
    assert not unfinished, f"never finished: {unfinished}"


def figures_are_those_of_the_history(seen: History) -> None:
    """I8: when no process and no answer was lost, counters are exact; otherwise they never exceed what happened."""
    figures = seen.world.figures
    finals = sum(each.value.is_final for each in seen.outcomes)
    results = [each.value for each in seen.results if each.value.kind is CommandKind.SEND]
    expected = {
        "outcomes_total": finals,
        "attempts_total": len(results),
        "dead_letters_total": len(seen.letters),
        "checks_total": len({each.value.request_id for each in seen.replies if each.value.kind == "check"}),
    }
    assert not figures.refused, f"measures were refused: {figures.refused}"
    for name, count in expected.items():
        shown = figures.total(name)
        assert shown <= count, f"{name} is {shown}, and {count} happened"
        lost = seen.killed or any(each.get("action") == "task_lost" for each in seen.lines)
        assert lost or shown == count, f"{name} is {shown}, and {count} happened"


def processes_end_by_what_is_told_of(seen: History) -> None:
    """No process ends by a bug of ours, or because two have one name."""
    odd = [each for each in seen.ends if not isinstance(each, PipelineError)]
    assert not odd, f"a process ended with {odd}"


ALL: Final[tuple[Callable[[History], None], ...]] = (
    nothing_is_lost,
    outcomes_are_exact,
    nobody_is_texted_twice,
    a_call_is_written_down_before_it_is_made,
    nothing_is_sent_late,
    steps_are_taken_in_turn,
    each_result_is_told_once,
    replies_are_one_per_request,
    codes_are_accepted_once,
    guesses_are_counted,
    only_right_codes_are_accepted,
    no_right_code_is_refused,
    receipts_mean_their_own_message,
    no_secret_is_in_clear,
    bad_input_hurts_nobody_else,
    journals_are_finished,
    figures_are_those_of_the_history,
    processes_end_by_what_is_told_of,
)


def broken(seen: History, wanted: Iterable[Callable[[History], None]] = ALL) -> list[str]:
    """Every promise that this run broke: its name, and how."""
    found = []
    for promise in wanted:
        try:
            promise(seen)
        except AssertionError as error:
            found.append(f"{promise.__name__}: {error}")
    return found

"""What was asked of providers, and what came of it: once, in time, and written down before."""

from __future__ import annotations

from collections import Counter, defaultdict

from pipeline.records.journal import JournalEntry, JournalState
from pipeline.records.types import AttemptStatus, CommandKind
from pipeline.testing.http import Answer
from pipeline.testing.simulation.history import History
from pipeline.testing.simulation.line import NOT_TAKEN

_FRESH_MS = 5_000


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


def journals_are_finished(seen: History) -> None:
    """Whatever a sender began has ended by the word of its own journal."""
    entries: dict[tuple[str, bytes], JournalEntry] = {}
    for provider, key, entry in seen.journal:
        if entry is None:
            entries.pop((provider, key), None)
        else:
            entries[provider, key] = entry
    # The run does not wait for what a bug befell, so a command of it may still wait for its throttled provider.
    waiting = [
        where
        for where, each in entries.items()
        if each.state is JournalState.RELEASED and where[1].decode().partition(".")[0] in seen.done.broken
    ]
    unfinished = [
        where for where, each in entries.items() if each.state is not JournalState.FINISHED and where not in waiting
    ]
    assert not unfinished, f"never finished: {unfinished}"


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

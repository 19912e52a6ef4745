"""What holds whatever was asked: no secret in clear, bad input hurts nobody, figures are true, processes end well."""

from __future__ import annotations

from collections import Counter
from typing import Final

from pipeline import topics
from pipeline.dead_letters import open_dead_letter
from pipeline.errors import PipelineError
from pipeline.records.types import CommandKind
from pipeline.testing.deployment import RING
from pipeline.testing.simulation.history import History

_PUBLIC_DOORS: Final = (topics.REQUESTS, topics.bulk(topics.REQUESTS), topics.CHECKS)
_LEAST_SECRET = 8
"""Shorter codes may stand in a hash by chance."""


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
    twice = [where for where, count in letters.items() if count > 1 and where[2] >= 0]
    assert not twice, f"two dead letters for {twice}"
    timers = _refused_timers(seen)
    assert not (again := [key for key, count in timers.items() if count > 1]), f"two dead letters for timers: {again}"
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


def _refused_timers(seen: History) -> Counter[tuple[str, int, bytes | None, bytes]]:
    """A timer has no place, but its entry has a deadline: kept with another one, it may break again."""
    found: Counter[tuple[str, int, bytes | None, bytes]] = Counter()
    for each in seen.letters:
        if each.value.offset < 0:
            dead = open_dead_letter(seen.world.codec, RING, each.value)
            if dead is not None and dead.value is not None:
                found[dead.topic, dead.partition, dead.key, dead.value] += 1
    return found


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
        lost = seen.killed or seen.logged("task_lost") or seen.logged("task_abandoned")
        assert lost or shown == count, f"{name} is {shown}, and {count} happened"


def processes_end_by_what_is_told_of(seen: History) -> None:
    """No process ends by a bug of ours, or because two have one name."""
    odd = [each for each in seen.ends if not isinstance(each, PipelineError)]
    assert not odd, f"a process ended with {odd}"

"""Every promise that a run is held against.

Nothing there asks a stage how it is doing: requests and answers of people, calls and messages at the providers, and
what stands committed in the topics are all there is to judge by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from pipeline.testing.simulation.history import History
from pipeline.testing.simulation.promises import calls, codes, hygiene, verifications

ALL: Final[tuple[Callable[[History], None], ...]] = (
    verifications.nothing_is_lost,
    verifications.outcomes_are_exact,
    calls.nobody_is_texted_twice,
    calls.a_call_is_written_down_before_it_is_made,
    calls.nothing_is_sent_late,
    verifications.steps_are_taken_in_turn,
    verifications.what_was_written_goes_before_what_falls_due,
    verifications.each_result_is_told_once,
    verifications.replies_are_one_per_request,
    codes.codes_are_accepted_once,
    codes.guesses_are_counted,
    codes.only_right_codes_are_accepted,
    codes.no_right_code_is_refused,
    calls.receipts_mean_their_own_message,
    hygiene.no_secret_is_in_clear,
    hygiene.bad_input_hurts_nobody_else,
    calls.journals_are_finished,
    hygiene.figures_are_those_of_the_history,
    hygiene.processes_end_by_what_is_told_of,
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

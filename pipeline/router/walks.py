"""Which further steps of a plan one attempt may tell its provider of (pure).

Some providers go on to them by themselves. Whatever is left to those is out of our hands: no other provider, no new
decision, no look at the time. Others go on when asked, and only have to know the steps beforehand.

Either gets only what one call can say, and only steps of the same recipient: limits live with the person, and those of
another person may live in another partition, where nobody would ask them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from pipeline.records.internal import Plan, PlannedStep
from pipeline.records.types import Channel


def followers(
    channels: Collection[Channel],
    plan: Plan,
    first: PlannedStep,
    *,
    any_plan: bool,
    validity_s: int,
    last_step: int,
    min_time_left_s: int,
    fits: Callable[[PlannedStep, int], bool],
) -> list[PlannedStep]:
    """The steps right after ``first`` that go along with it, as many as can.

    ``fits(step, left_s)`` judges what concerns the provider; ``left_s`` is what is left of ``validity_s`` when the
    waits of all steps before are over. What an earlier attempt stands for (up to ``last_step``) is not taken over
    again: somebody may ask for a step once more, but then for that one alone.
    """
    taken: list[PlannedStep] = []
    before, left_s = first, validity_s
    for step in plan.steps[first.index + 1 :]:
        left_s -= before.wait_s
        if (
            step.index <= last_step
            or step.channel not in channels
            or not (step.automatic or any_plan)
            or step.recipient_key != first.recipient_key
            or not _says_the_same(first, step)
            or left_s < min_time_left_s
            or not fits(step, left_s)
        ):
            break
        taken.append(step)
        before = step
    return taken


def _says_the_same(first: PlannedStep, step: PlannedStep) -> bool:
    """One call has one text, one subject and one set of options, so they must be right for each of its steps."""
    return (first.text, first.template, first.subject, first.options) == (
        step.text,
        step.template,
        step.subject,
        step.options,
    )

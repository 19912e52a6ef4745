"""Somebody is verified through every provider on every channel: asked all at once, then each reads and types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.acceptance.harness import Simulator
from tests.acceptance.providers.cases import CASES, Case
from tests.acceptance.stranger import Stranger

ARRIVES_S = 40.0
"""Where a look-up tells of it, the first may come too early and the second after 15 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What became of one case."""

    case: Case
    verification_id: str
    person: str
    message: dict[str, Any]
    """As it stood in the inbox."""
    mistyped: dict[str, Any]
    """The reply to a wrong code."""
    typed: dict[str, Any]
    """The reply to the right one."""
    final: dict[str, Any]

    @property
    def attempt(self) -> dict[str, Any]:
        """The only one there may be."""
        [attempt] = self.final["attempts"]
        return dict(attempt)


def verify_all(
    client: Stranger, outside: Simulator, people: Iterator[str], mailboxes: Iterator[str]
) -> dict[str, Verified]:
    """By the case's name."""
    asked: dict[Case, tuple[str, str]] = {}
    for case in CASES:
        person = next(mailboxes if case.channel == "email" else people)
        asked[case] = client.request(recipient=person, **case.request), person
    return {
        str(case): _verify(client, outside, case, verification_id, person)
        for case, (verification_id, person) in asked.items()
    }


def _verify(client: Stranger, outside: Simulator, case: Case, verification_id: str, person: str) -> Verified:
    message = outside.message(person, within_s=ARRIVES_S)
    arrived = "sent" if case.heard == "never" else "delivered"
    # A report may overtake the answer, and only who is known to have taken a message can be asked for its code.
    client.outcome(
        verification_id,
        lambda outcome: outcome["state"] == arrived and outcome["attempts"][0]["result"] == "accepted",
        within_s=ARRIVES_S,
    )
    mistyped = client.reply(client.check(verification_id, wrong(message["code"])))
    typed = client.reply(client.check(verification_id, message["code"]))
    return Verified(
        case=case,
        verification_id=verification_id,
        person=person,
        message=message,
        mistyped=mistyped,
        typed=typed,
        final=client.outcome(verification_id),
    )


def wrong(code: str) -> str:
    """Another code that looks like it: its digits the other way round, or else one digit changed."""
    turned = code[::-1]
    return turned if turned != code and turned[0] != "0" else code[:-1] + str((int(code[-1]) + 1) % 10)

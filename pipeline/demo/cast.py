"""Making cases: names, recipients, and what most of them have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any, TypeVar

from pipeline.demo.case import Case, Expected, Person, Posting
from pipeline.demo.recipients import Recipients
from pipeline.errors import Refused
from pipeline.model.reasons import STATE, Reason
from pipeline.model.recipient import canonical
from pipeline.records.public import VerificationRequest
from pipeline.records.types import Channel, VerificationState

PARTITIONS = 4
"""Partitions of every stage topic of the demo."""

COUNTRIES = ("DE", "GB", "US", "FR", "BR", "IN", "NL", "AT", "MX", "ZA", "JP", "PL")
"""Where ordinary recipients live; each has numbers enough."""

T = TypeVar("T")


class Cast:
    """What the kinds of cases are made with; the same calls give the same cases."""

    def __init__(self, *, now_ms: int) -> None:
        """``now_ms`` is when the demo begins, for requests that name a time."""
        self.now_ms = now_ms
        self.recipients = Recipients()
        self._numbers = count(1)
        self._turns: Counter[int] = Counter()

    def next_of(self, choices: Sequence[T]) -> T:
        """One after the other, from the beginning again at the end."""
        self._turns[id(choices)] += 1
        return choices[(self._turns[id(choices)] - 1) % len(choices)]

    def mobile(self) -> str:
        """A mobile number of the next country."""
        return self.recipients.phone(self.next_of(COUNTRIES))

    def name(self) -> str:
        """A verification id of its own."""
        return f"demo-{next(self._numbers):03d}"

    def verified(
        self,
        kind: str,
        *,
        to: str | None,
        channel: Channel,
        provider: str = "ycloud",
        attempts: int = 1,
        calls: int | None = None,
        person: Person = Person.TYPES_IT,
        posting: Posting = Posting.CLIENT,
        after: tuple[str, ...] = (),
        slow: bool = False,
        read_on: Channel | None = None,
        shown_language: str | None = None,
        shown_code: str | None = None,
        **request: Any,
    ) -> Case:
        """Somebody who gets the message by this channel of this provider and ends it by typing the code."""
        expected = Expected(
            state=VerificationState.VERIFIED,
            channel=channel,
            provider=provider,
            attempts=attempts,
            calls=attempts if calls is None else calls,
            language=shown_language,
            code=shown_code,
        )
        return self.case(
            kind,
            to=to,
            expected=expected,
            person=person,
            posting=posting,
            after=after,
            slow=slow,
            read_on=read_on,
            **request,
        )

    def ended(
        self,
        kind: str,
        reason: Reason,
        *,
        to: str | None,
        channel: Channel,
        provider: str = "ycloud",
        attempts: int = 1,
        calls: int | None = None,
        person: Person = Person.ABSENT,
        **request: Any,
    ) -> Case:
        """A verification whose messages went out and that fails or expires for this reason."""
        expected = Expected(
            state=STATE[reason],
            reason=reason,
            channel=channel,
            provider=provider,
            attempts=attempts,
            calls=attempts if calls is None else calls,
        )
        return self.case(kind, to=to, expected=expected, person=person, **request)

    def refused(self, kind: str, reason: Reason, *, to: str | None, **request: Any) -> Case:
        """A request that never reaches a provider."""
        return self.case(kind, to=to, expected=Expected(state=STATE[reason], reason=reason), **request)

    def case(
        self,
        kind: str,
        *,
        to: str | None,
        expected: Expected,
        person: Person = Person.ABSENT,
        posting: Posting = Posting.CLIENT,
        after: tuple[str, ...] = (),
        slow: bool = False,
        read_on: Channel | None = None,
        **request: Any,
    ) -> Case:
        """A case of this request; ``to`` is its recipient as typed, its other fields go by their names."""
        name = self.name()
        made = VerificationRequest(
            **{"verification_id": name, "recipient": to, "external_id": f"order {name}", **request}
        )
        reached = _recipients(made)
        return Case(
            kind=kind,
            name=name,
            request=made,
            expected=expected,
            person=person,
            read_at=reached[-1] if reached else None,
            read_on=read_on,
            recipients=reached,
            posting=posting,
            after=after,
            slow=slow,
        )


def _recipients(request: VerificationRequest) -> tuple[str, ...]:
    """The canonical recipients in the order of the steps; what is invalid is left out, as nobody is reached there."""
    typed = [(step.recipient, step.country or request.country) for step in request.steps if step.recipient is not None]
    if request.recipient is not None:
        typed.append((request.recipient, request.country))
    found: dict[str, None] = {}
    for recipient, country in typed:
        try:
            found[canonical(recipient, country).canonical] = None
        except Refused:
            continue
    return tuple(found)

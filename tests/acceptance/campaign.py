"""Requests under load while processes die and are started again: what was done, and what came of it.

Who disturbs and who asks are two; nobody waits for the other. In the end nothing is disturbed any more, and the log has
to tell one whole story of each request (:mod:`tests.acceptance.promises`).
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.acceptance.harness import Deployment, eventually
from tests.acceptance.stranger import Stranger

IN_A_CALL_S = 10.0
"""How long a kill that should meet a running call waits for one."""
AHEAD = 60
"""By so many requests the load runs ahead of the newest one whose message has arrived. On a slow machine it so becomes
slower, instead of being a backlog in which codes run out before anybody has them."""
AHEAD_S = 90.0
"""How long it waits for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One request of the load."""

    recipient: str
    key: bytes | None = None
    bulk: bool = False
    types: bool = True
    """Whether the person types what arrives; then at once and twice."""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Blow:
    """Something done to a process, which is then started again at once."""

    process: str
    how: Literal["killed in a call", "killed", "ended"]
    """SIGKILL while a call of this sender runs, where one does within :data:`IN_A_CALL_S`; SIGKILL; SIGTERM."""


@dataclass(slots=True)
class Campaign:
    """Everything that happens to one deployment."""

    cluster: Deployment
    client: Stranger
    senders: Mapping[str, str]
    """The kind of provider that each process of a sender calls."""
    typing_s: float = 0.0
    """How long a person takes to type."""
    persons: dict[str, str] = field(default_factory=dict)
    """Recipients by verification id; each person is asked once."""
    checks: dict[str, str] = field(default_factory=dict)
    """Verification ids by check id."""
    blows: list[Blow] = field(default_factory=list)
    exit_codes: list[tuple[str, int]] = field(default_factory=list)
    interrupted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By process: the persons whose message its provider had not answered yet when it was dead."""
    final: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    inbox: list[dict[str, Any]] = field(default_factory=list)
    _silent: set[str] = field(default_factory=set)
    _since: int = 0
    _asked: dict[str, int] = field(default_factory=dict)
    """The how manyth request each person was, from 1."""
    _reached: int = 0
    """The newest of them whose message has arrived."""

    # The load ----------------------------------------------------------------------------------------------------

    def ask(self, wanted: Wanted) -> str:
        """Publish one request; returns its id."""
        verification_id = self.client.request(
            recipient=wanted.recipient, key=wanted.key, bulk=wanted.bulk, **wanted.fields
        )
        self.persons[verification_id] = wanted.recipient
        self._asked[wanted.recipient] = len(self.persons)
        if not wanted.types:
            self._silent.add(verification_id)
        return verification_id

    def load(
        self,
        wanted: Callable[[int], Wanted],
        *,
        requests: int,
        over_s: float,
        beside: threading.Thread | None = None,
    ) -> None:
        """Publish at an even pace while people type what they get; and go on as long as what is done beside it."""
        began, number = time.monotonic(), 0
        while number < requests or (beside is not None and beside.is_alive()):
            self.ask(wanted(number))
            if number % 10 == 0:
                self.type_codes()
                eventually(self._is_followed, AHEAD_S, lambda: f"nothing arrived after request {self._reached}")
            number += 1
            time.sleep(max(0.0, began + number * over_s / requests - time.monotonic()))

    def _is_followed(self) -> bool:
        if len(self.persons) - self._reached <= AHEAD:
            return True
        self.type_codes()
        return False

    def type_codes(self) -> None:
        """Each person types what has arrived, at once and twice."""
        typed = self._silent | set(self.checks.values())
        ids = {person: verification_id for verification_id, person in self.persons.items()}
        read_before = round((time.time() - self.typing_s) * 1_000)
        messages = self.cluster.simulator.everything(self._since)
        self._reached = max([self._reached, *(self._asked.get(each["recipient"], 0) for each in messages)])
        for message in messages:
            verification_id = ids.get(message["recipient"])
            if message["at"] > read_before:
                break
            self._since = message["at"]
            if verification_id is not None and verification_id not in typed:
                for _ in range(2):
                    self.checks[self.client.check(verification_id, message["code"])] = verification_id

    def finish(self, *, within_s: float) -> None:
        """Let everything come to its end."""
        for child in self.cluster.children.values():
            child.ready()
        deadline = time.monotonic() + 2 + self.typing_s
        while time.monotonic() < deadline:
            self.type_codes()
            time.sleep(0.25)
        self.final = self.client.final(self.persons, within_s=within_s)
        self.calls = self.cluster.simulator.calls()
        self.inbox = self.cluster.simulator.everything(0)

    # The disturbances --------------------------------------------------------------------------------------------

    def disturb(self, blows: Sequence[Blow], random_: random.Random, *, over_s: float) -> threading.Thread:
        """Deal these blows one after the other, each at a moment of its own, beside the load."""
        disturber = _Disturber(self, blows, random_, over_s)
        disturber.start()
        return disturber

    def deal(self, blow: Blow) -> None:
        """One of them, now."""
        child = self.cluster.children[blow.process]
        if blow.how == "ended":
            child.ready()
            self.exit_codes.append((blow.process, child.stop()))
        else:
            if blow.how == "killed in a call":
                self._wait_for_a_call(blow.process)
            child.kill()
            if blow.process in self.senders:
                self.interrupted[blow.process] |= self.running(blow.process)
        self.blows.append(blow)
        child.start()

    def running(self, process: str) -> set[str]:
        """The persons whose message has left while its provider has not answered the sender yet."""
        calls = self.cluster.simulator.calls(kind=self.senders[process])
        waiting = {call["recipient"] for call in calls if call["sent"] and not call["answered"]}
        # What is cut off while a provider still reads may never be answered.
        return waiting - self.interrupted[process]

    def _wait_for_a_call(self, process: str) -> None:
        deadline = time.monotonic() + IN_A_CALL_S
        while time.monotonic() < deadline and not self.running(process):
            time.sleep(0.05)


class _Disturber(threading.Thread):
    """Deals blows; what goes wrong is raised where it is joined."""

    def __init__(self, campaign: Campaign, blows: Sequence[Blow], random_: random.Random, over_s: float) -> None:
        super().__init__(name="disturber", daemon=True)
        self._campaign = campaign
        self._blows = blows
        self._random = random_
        self._over_s = over_s
        self._failure: BaseException | None = None

    def run(self) -> None:
        began = time.monotonic()
        try:
            for number, blow in enumerate(self._blows):
                at_s = (number + self._random.random()) * self._over_s / len(self._blows)
                time.sleep(max(0.0, began + at_s - time.monotonic()))
                self._campaign.deal(blow)
        except BaseException as failure:
            self._failure = failure

    def join(self, timeout: float | None = None) -> None:
        super().join(timeout)
        assert not self.is_alive(), "the disturber hangs"
        if self._failure is not None:
            raise self._failure

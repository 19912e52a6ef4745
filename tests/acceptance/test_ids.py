"""The verification id is the idempotency key: the same again changes nothing, anything else under it is a conflict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.runtime.partition import partition_for
from tests.acceptance.harness import PARTITIONS, Deployment, Simulator
from tests.acceptance.stranger import Stranger, assert_exact, new_id

pytestmark = pytest.mark.kafka


def counted(deployment: Deployment, decision: str) -> float:
    pattern = rf'^verification_requests_total{{decision="{decision}".*}} ([0-9.]+)$'
    return sum(map(float, re.findall(pattern, deployment.children["all"].metrics, re.MULTILINE)))


def pair(people: Iterator[str], *, same_partition: bool) -> tuple[str, str]:
    """Two people whose requests belong to one partition, or to two."""
    first = next(people)
    place = partition_for(first.encode(), PARTITIONS)
    return first, next(
        other for other in people if (partition_for(other.encode(), PARTITIONS) == place) == same_partition
    )


def test_the_same_request_again_is_one_verification_and_is_counted(
    deployment: Deployment, stranger: Stranger, simulator: Simulator, people: Iterator[str]
) -> None:
    """Any number of times, by any key, in either lane, at another time, into any partition."""
    before = counted(deployment, "duplicate")
    person, verification_id = next(people), new_id()
    same: dict[str, Any] = {"verification_id": verification_id, "recipient": person}
    for partition in range(PARTITIONS):
        stranger.request(**same, partition=partition)
    stranger.request(**same, key=b"anything")
    stranger.request(**same, bulk=True)
    code = simulator.code(person)
    stranger.request(**same, requested_at=1_700_000_000_000)
    assert stranger.reply(stranger.check(verification_id, code))["reason"] == "valid"
    stranger.request(**same)
    stranger.wait(
        lambda: counted(deployment, "duplicate") - before == PARTITIONS + 3, within_s=15, what="not all counted"
    )
    assert [message["code"] for message in simulator.inbox(person)] == [code]
    assert_exact(stranger.history(verification_id))
    assert stranger.letters_of(verification_id) == []


@pytest.mark.parametrize(
    "change", [{"code_length": 8}, {"metadata": {"a": "b"}}, {"mode": "reach"}, {"code": "481516"}]
)
def test_other_content_under_the_same_id_is_one_dead_letter(
    stranger: Stranger, simulator: Simulator, people: Iterator[str], change: dict[str, Any]
) -> None:
    person, verification_id = next(people), new_id()
    stranger.request(verification_id=verification_id, recipient=person)
    code = simulator.code(person)
    content = stranger.request_schema.write(
        {"verification_id": verification_id, "recipient": person, "expires_in_s": 30, **change}
    )
    # Once where it belongs and once where it has to be passed on: the letter names the record that was published.
    for partition in (0, 1):
        sent = stranger.produce("verification.requests", content, partition=partition)
        stranger.flush()
        letter = stranger.letter(sent)
        assert (letter.fields["reason"], letter.fields["stage"]) == ("id_conflict", "router")
        assert letter.record.key == verification_id.encode()
    assert stranger.reply(stranger.check(verification_id, code))["reason"] == "valid"
    assert len(simulator.inbox(person)) == 1
    assert_exact(stranger.history(verification_id))


@pytest.mark.parametrize("same_partition", [True, False])
def test_another_recipient_under_the_same_id_is_one_dead_letter_and_no_second_verification(
    stranger: Stranger, simulator: Simulator, people: Iterator[str], same_partition: bool
) -> None:
    first, second = pair(people, same_partition=same_partition)
    verification_id = new_id()
    for person in (first, second):
        stranger.request(verification_id=verification_id, recipient=person)
    stranger.wait(lambda: stranger.letters_of(verification_id), within_s=10, what="no dead letter")
    winner = stranger.outcome(verification_id, lambda outcome: bool(outcome["attempts"]))["recipient_masked"]
    person, other = (first, second) if first.endswith(winner[-3:]) else (second, first)
    # Where only the tracker can see it, one message may have gone out; its code is worth nothing.
    for message in simulator.inbox(other):
        assert stranger.reply(stranger.check(verification_id, message["code"]))["reason"] == "wrong_code"
    assert stranger.reply(stranger.check(verification_id, simulator.code(person)))["reason"] == "valid"
    (letter,) = stranger.letters_of(verification_id)
    assert (letter.fields["reason"], letter.fields["topic"]) == ("id_conflict", "verification.requests")
    assert len(simulator.inbox(person)) == 1
    assert len(simulator.inbox(other)) <= (0 if same_partition else 1)
    assert_exact(stranger.history(verification_id))

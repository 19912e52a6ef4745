"""Promises 1, 2 and 3 while processes die: nothing is lost, nobody is texted twice, outcomes are exact.

Router, tracker and both senders are killed with SIGKILL at random moments under load, some also ended with SIGTERM,
and started again at once. Then nothing is disturbed any more, and the log has to tell one whole story of each request.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.acceptance.harness import Deployment
from tests.acceptance.leaks import CLEAR, by_topic, leaks
from tests.acceptance.stranger import Stranger, assert_exact, shown

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = 20_261_122
REQUESTS = 480
LOAD_S = 32.0
KILLS = {"router": 3, "tracker": 3, "ycloud": 3, "neutrino": 2}
PROCESSES = {
    "gateway": ("run", "gateway"),
    "router": ("run", "router"),
    "tracker": ("run", "tracker"),
    "ycloud": ("run", "sender", "--provider", "ycloud"),
    "neutrino": ("run", "sender", "--provider", "neutrino"),
}
SMS, CALL = {"channel": "sms"}, {"channel": "voice", "provider": "neutrino"}
KINDS: tuple[dict[str, Any], ...] = (
    {"mode": "reach", "steps": [{**SMS, "provider": "ycloud"}]},
    {"steps": [SMS]},
    {"steps": [{**SMS, "provider": "ycloud", "wait_s": 5}, CALL]},
    {"steps": [{**SMS, "provider": "neutrino"}]},
)
"""Only a message; a message and a code; two steps; a provider that reports nothing."""


@dataclass(slots=True)
class Campaign:
    """What was done and what came of it."""

    persons: dict[str, str] = field(default_factory=dict)
    """By verification id."""
    checks: dict[str, str] = field(default_factory=dict)
    """Verification ids by check id."""
    disturbed: list[tuple[float, str, str]] = field(default_factory=list)
    exit_codes: list[tuple[str, int]] = field(default_factory=list)
    interrupted: int = 0
    """Calls that were running when their sender was killed."""
    final: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def cluster(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    running = Deployment(kafka=kafka, folder=tmp_path_factory.mktemp("cluster"), processes=PROCESSES)
    try:
        running.start()
        yield running
    finally:
        codes = running.stop()
        running.simulator.close()
    assert set(codes.values()) == {0}, codes


@pytest.fixture(scope="module")
def client(cluster: Deployment) -> Iterator[Stranger]:
    stranger = Stranger(cluster.kafka, cluster.prefix)
    yield stranger
    stranger.close()


@pytest.fixture(scope="module")
def campaign(cluster: Deployment, client: Stranger, people: Iterator[str]) -> Campaign:
    done = Campaign()
    random_ = random.Random(SEED)
    # Slow enough that calls are running whenever a sender dies; some refuse, some answers are lost.
    slow = {"delay_ms": {"kind": "uniform", "low_ms": 200, "high_ms": 1_500}}
    lost = {**slow, "fault": "close_after_reading", "share": 0.05}
    cluster.simulator.behave(
        "ycloud", default=slow, rules=[lost, {**slow, "refusal": "route", "share": 0.1}], seed=SEED
    )
    cluster.simulator.behave("neutrino", default=slow, rules=[lost], seed=SEED)
    disturber = threading.Thread(target=_disturb, args=(cluster, done, random_), name="disturber")
    disturber.start()
    _load(cluster, client, people, done)
    disturber.join(120)
    assert not disturber.is_alive()
    for child in cluster.children.values():
        child.ready()
    _answer_the_rest(cluster, client, done)
    done.final = client.final(done.persons, within_s=90)
    done.calls = cluster.simulator.calls()
    return done


def _load(cluster: Deployment, client: Stranger, people: Iterator[str], done: Campaign) -> None:
    began, since = time.monotonic(), 0
    for number in range(REQUESTS):
        person = next(people)
        key = (None, person.encode(), b"anything")[number % 3]
        kind = KINDS[number % len(KINDS)]
        done.persons[client.request(recipient=person, key=key, bulk=number % 10 == 9, **kind)] = person
        if number % 10 == 0:
            since = _type_codes(cluster, client, done, since)
        time.sleep(max(0.0, began + (number + 1) * LOAD_S / REQUESTS - time.monotonic()))


def _type_codes(cluster: Deployment, client: Stranger, done: Campaign, since: int) -> int:
    """Every third person types what has arrived, at once and twice."""
    typed = set(done.checks.values())
    ids = {person: verification_id for verification_id, person in done.persons.items()}
    messages = cluster.simulator.everything(since)
    for message in messages:
        verification_id = ids[message["recipient"]]
        if verification_id not in typed and int(message["recipient"][-2:]) % 3:
            for _ in range(2):
                done.checks[client.check(verification_id, message["code"])] = verification_id
    return max((message["at"] for message in messages), default=since)


def _answer_the_rest(cluster: Deployment, client: Stranger, done: Campaign) -> None:
    time.sleep(2)
    _type_codes(cluster, client, done, 0)


def _disturb(cluster: Deployment, done: Campaign, random_: random.Random) -> None:
    """Kill and start again; in the end each once with SIGTERM."""
    names = [name for name, kills in KILLS.items() for _ in range(kills)]
    random_.shuffle(names)
    plan = [(name, "SIGKILL") for name in names]
    for place, name in enumerate(KILLS):
        plan.insert(len(plan) - 2 * place, (name, "SIGTERM"))
    began = time.monotonic()
    for number, (name, signal) in enumerate(plan):
        at_s = (number + random_.random()) * LOAD_S / len(plan)
        time.sleep(max(0.0, began + at_s - time.monotonic()))
        child = cluster.children[name]
        done.disturbed.append((round(time.monotonic() - began, 3), name, signal))
        if signal == "SIGTERM":
            child.ready()
            done.exit_codes.append((name, child.stop()))
        else:
            done.interrupted += _running_calls(cluster, name)
            child.kill()
        child.start()


def _running_calls(cluster: Deployment, provider: str) -> int:
    """How many calls a provider has not answered yet; waits a little for one, as the worst moment is in a call."""
    for _ in range(20):
        calls = cluster.simulator.calls()
        running = sum(1 for call in calls if call["provider"] == provider and not call["answered"])
        if running or provider not in ("ycloud", "neutrino"):
            return running
        time.sleep(0.1)
    return 0


def test_every_request_ends_in_exactly_one_final_outcome(client: Stranger, campaign: Campaign) -> None:
    assert len(campaign.final) == REQUESTS
    for verification_id in campaign.persons:
        assert_exact(client.history(verification_id))
    assert client.found.letters == []
    # The load was real and most of it ended well; what dead processes delayed too long may have expired.
    states = Counter(outcome["state"] for outcome in campaign.final.values())
    assert states["verified"] + states["delivered"] > REQUESTS / 2, states
    assert states["rejected"] + states["blocked"] + states["canceled"] == 0, states


def test_no_attempt_is_sent_twice(campaign: Campaign) -> None:
    """As the providers saw it: one call per reference, and no provider is asked twice for one step of a person."""
    assert campaign.interrupted, "nobody was killed in a call: the campaign shows nothing"
    references = Counter(call["reference"] for call in campaign.calls if call["provider"] == "ycloud")
    assert [reference for reference, calls in references.items() if calls > 1] == []
    # Neutrino takes no reference, but nothing that is asked for here leads to it twice by the same channel.
    calls = Counter((call["provider"], call["channel"], call["recipient"]) for call in campaign.calls)
    assert [asked for asked, count in calls.items() if count > 1] == []


def test_what_was_accepted_was_called(campaign: Campaign) -> None:
    calls = Counter((call["provider"], call["recipient"]) for call in campaign.calls)
    for verification_id, person in campaign.persons.items():
        accepted = [a for a in campaign.final[verification_id]["attempts"] if a["result"] == "accepted"]
        for provider, count in Counter(attempt["provider"] for attempt in accepted).items():
            assert calls[provider, person] >= count, shown([campaign.final[verification_id]])


def test_attempts_are_numbered_without_gap_and_never_change_their_provider(
    client: Stranger, campaign: Campaign
) -> None:
    for verification_id in campaign.persons:
        history = client.history(verification_id)
        last = history[-1]["attempts"]
        assert [attempt["attempt_id"] for attempt in last] == [f"{verification_id}.{n + 1}" for n in range(len(last))]
        for outcome in history:
            for attempt, later in zip(outcome["attempts"], last, strict=False):
                assert (attempt["reference"], attempt["provider"]) == (later["reference"], later["provider"])


def test_states_never_move_back(client: Stranger, campaign: Campaign) -> None:
    rank = {"pending": 0, "sent": 1, "delivered": 2}
    for verification_id in campaign.persons:
        ranks = [rank.get(outcome["state"], 3) for outcome in client.history(verification_id)]
        assert ranks == sorted(ranks), shown(client.history(verification_id))


def test_attempts_in_doubt_are_resolved_by_their_receipt_or_by_the_end(campaign: Campaign) -> None:
    sent = {call["reference"] for call in campaign.calls if call["provider"] == "ycloud" and call["sent"]}
    doubtful = [
        (outcome, attempt)
        for outcome in campaign.final.values()
        for attempt in outcome["attempts"]
        if attempt["result"] == "in_doubt"
    ]
    assert doubtful, "no answer was lost: the campaign shows nothing"
    for outcome, attempt in doubtful:
        if attempt["reference"] in sent and outcome["state"] not in ("verified", "expired"):
            assert attempt["status"] == "delivered", shown([outcome])
        assert outcome["state"] in ("delivered", "verified", "expired"), shown([outcome])


def test_every_check_has_one_answer_and_of_two_right_ones_one_is_valid(client: Stranger, campaign: Campaign) -> None:
    assert len(campaign.checks) > REQUESTS / 4
    valid: Counter[str] = Counter()
    for check, verification_id in campaign.checks.items():
        replies = client.replies(check, 1)
        assert len(client.found.replies[check]) == 1
        valid[verification_id] += replies[0]["reason"] == "valid"
    for verification_id, count in valid.items():
        assert count == (campaign.final[verification_id]["state"] == "verified")


def test_nothing_leaks_through_crashes(cluster: Deployment, client: Stranger, campaign: Campaign) -> None:
    """Aborted transactions stay readable, and a dying process writes its last words."""
    people = [person[3:] for person in list(campaign.persons.values())[::20]]
    places = by_topic(client.read(*(topic for topic in client.topics() if topic not in CLEAR)))
    places |= {f"log of {name}": child.logged.encode() for name, child in cluster.children.items()}
    assert leaks(people, places) == []


def test_sigterm_under_load_ends_every_process_with_0(campaign: Campaign) -> None:
    assert sorted(campaign.exit_codes) == [(name, 0) for name in sorted(KILLS)]
    assert Counter(name for _, name, signal in campaign.disturbed if signal == "SIGKILL") == KILLS

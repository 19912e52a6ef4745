"""Promises 1, 2 and 3 while processes die: nothing is lost, nobody is texted twice, outcomes are exact.

Router, tracker and both senders are killed with SIGKILL at random moments under load, some also ended with SIGTERM,
and started again at once. Then nothing is disturbed any more, and the log has to tell one whole story of each request.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance import promises
from tests.acceptance.campaign import Blow, Campaign, Wanted
from tests.acceptance.harness import Deployment
from tests.acceptance.installed import each_alone, installed, visited
from tests.acceptance.stranger import Stranger, shown

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = 20_261_122
REQUESTS = 480
LOAD_S = 32.0
KILLS = {"router": 3, "tracker": 3, "ycloud": 3, "neutrino": 2}
SENDERS = {"ycloud": "ycloud", "neutrino": "neutrino"}
SMS, CALL = {"channel": "sms"}, {"channel": "voice", "provider": "neutrino"}
KINDS: tuple[dict[str, Any], ...] = (
    {"mode": "reach", "steps": [{**SMS, "provider": "ycloud"}]},
    {"steps": [SMS]},
    {"steps": [{**SMS, "provider": "ycloud", "wait_s": 5}, CALL]},
    {"steps": [{**SMS, "provider": "neutrino"}]},
)
"""Only a message; a message and a code; two steps; a provider that reports nothing."""


@pytest.fixture(scope="module")
def cluster(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("cluster")
    with installed(kafka=kafka, folder=folder, processes=each_alone(*SENDERS)) as running:
        yield running


@pytest.fixture(scope="module")
def client(cluster: Deployment) -> Iterator[Stranger]:
    with visited(cluster) as stranger:
        yield stranger


@pytest.fixture(scope="module")
def campaign(cluster: Deployment, client: Stranger, people: Iterator[str]) -> Campaign:
    done = Campaign(cluster, client, SENDERS)
    random_ = random.Random(SEED)
    # Slow enough that calls are running whenever a sender dies; some refuse, some answers are lost.
    slow = {"delay_ms": {"kind": "uniform", "low_ms": 200, "high_ms": 1_500}}
    lost = {**slow, "fault": "close_after_reading", "share": 0.05}
    cluster.simulator.behave(
        "ycloud", default=slow, rules=[lost, {**slow, "refusal": "route", "share": 0.1}], seed=SEED
    )
    cluster.simulator.behave("neutrino", default=slow, rules=[lost], seed=SEED)
    disturber = done.disturb(_blows(random_), random_, over_s=LOAD_S)
    done.load(lambda number: _wanted(number, next(people)), requests=REQUESTS, over_s=LOAD_S)
    disturber.join(120)
    done.finish(within_s=90)
    return done


def _wanted(number: int, person: str) -> Wanted:
    """Every third person types nothing."""
    return Wanted(
        recipient=person,
        key=(None, person.encode(), b"anything")[number % 3],
        bulk=number % 10 == 9,
        types=int(person[-2:]) % 3 != 0,
        fields=KINDS[number % len(KINDS)],
    )


def _blows(random_: random.Random) -> list[Blow]:
    """Kills in any order; in the end each once with SIGTERM."""
    blows = [
        Blow(name, "killed in a call" if name in SENDERS else "killed")
        for name, kills in KILLS.items()
        for _ in range(kills)
    ]
    random_.shuffle(blows)
    for place, name in enumerate(KILLS):
        blows.insert(len(blows) - 2 * place, Blow(name, "ended"))
    return blows


def test_every_request_ends_in_exactly_one_final_outcome(campaign: Campaign) -> None:
    assert len(campaign.final) == REQUESTS
    promises.assert_each_ends_once(campaign)


def test_no_attempt_is_sent_twice(campaign: Campaign) -> None:
    promises.assert_nobody_is_sent_twice(campaign)


def test_what_was_accepted_was_called(campaign: Campaign) -> None:
    promises.assert_what_was_accepted_was_called(campaign)


def test_attempts_are_numbered_without_gap_and_never_change_their_provider(campaign: Campaign) -> None:
    promises.assert_attempts_stay_what_they_are(campaign)


def test_states_never_move_back(campaign: Campaign) -> None:
    promises.assert_states_never_move_back(campaign)


def test_each_send_has_one_result_and_one_that_was_cut_off_is_in_doubt(campaign: Campaign) -> None:
    promises.assert_what_was_cut_off_is_in_doubt(campaign, promises.assert_each_send_has_one_result(campaign))


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


def test_every_check_has_one_answer_and_of_two_right_ones_one_is_valid(campaign: Campaign) -> None:
    promises.assert_each_check_has_one_answer(campaign)


def test_nothing_leaks_through_crashes(campaign: Campaign) -> None:
    promises.assert_nothing_leaks(campaign, [person[3:] for person in list(campaign.persons.values())[::20]])


def test_sigterm_under_load_ends_every_process_with_0(campaign: Campaign) -> None:
    assert sorted(campaign.exit_codes) == [(name, 0) for name in sorted(KILLS)]
    assert Counter(blow.process for blow in campaign.blows if blow.how != "ended") == KILLS

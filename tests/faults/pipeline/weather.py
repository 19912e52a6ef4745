"""Load on an installation while something happens to its brokers, and what must hold afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.acceptance import promises
from tests.acceptance.campaign import Campaign, Wanted
from tests.acceptance.harness import Deployment
from tests.acceptance.installed import each_alone, visited

PROCESSES: Final = each_alone("ycloud", "neutrino")
REQUESTS, LOAD_S = 200, 40.0
LIFE_S = 180
"""So long that nothing ends because of the broker: what is lost would be seen as a request that was not verified."""


def weathered(
    house: Deployment, people: Iterator[str], weather: Callable[[], object], *, within_s: float = 200
) -> None:
    """Nothing is lost or doubled, and no process is started again, while ``weather`` does its worst beside the load.

    The load goes on for as long as that takes, and :data:`LOAD_S` at least.
    """
    with visited(house) as client:
        processes = {name: child.pid for name, child in house.children.items()}
        campaign = Campaign(house, client, {})
        with ThreadPoolExecutor(1) as pool:
            over = pool.submit(weather)
            beside = threading.Thread(target=lambda: over.exception(within_s), daemon=True)
            beside.start()
            campaign.load(lambda number: _wanted(number, next(people)), requests=REQUESTS, over_s=LOAD_S, beside=beside)
            over.result(0)
        campaign.finish(within_s=LIFE_S + 60)
        _hold(campaign)
        assert {name: child.pid for name, child in house.children.items() if child.running} == processes


def _wanted(number: int, person: str) -> Wanted:
    steps = [[{"channel": "sms", "provider": "ycloud"}], [{"channel": "sms", "provider": "neutrino"}]]
    return Wanted(
        recipient=person,
        bulk=number % 10 == 9,
        fields={"steps": steps[number % 2], "expires_in_s": LIFE_S},
    )


def _hold(campaign: Campaign) -> None:
    promises.assert_each_ends_once(campaign)
    promises.assert_nobody_has_two_messages(campaign)
    promises.assert_each_send_has_one_result(campaign)
    promises.assert_states_never_move_back(campaign)
    promises.assert_attempts_stay_what_they_are(campaign)
    promises.assert_each_check_has_one_answer(campaign)

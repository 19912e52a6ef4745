"""Promise 5 with every provider, and while its sender dies: no code, recipient or key in anything we write."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping

import pytest

from tests.acceptance.harness import Deployment, Simulator
from tests.acceptance.leaks import CLEAR, by_topic, leaks
from tests.acceptance.providers.accounts import INSTANCES, KEYS, KINDS
from tests.acceptance.providers.cases import JUDGES
from tests.acceptance.providers.killing import Killed
from tests.acceptance.providers.verifying import Verified, wrong
from tests.acceptance.stranger import Stranger

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

LONG = 8
"""Codes of so many digits stand nowhere by chance."""
OF_EACH = 4
"""Persons of the load under which senders died, at each kind of provider."""

Places = Mapping[str, bytes]


@pytest.fixture(scope="module")
def persons(verified: dict[str, Verified], killed: Killed) -> list[str]:
    """Everybody of the quiet verifications, and some of the others: first those whose sender died in the call."""
    found = [one.person for one in verified.values()]
    asked: dict[str, list[str]] = defaultdict(list)
    for verification_id, person in killed.campaign.persons.items():
        asked[killed.campaign.final[verification_id]["provider"]].append(person)
    for kind in KINDS:
        cut_off = killed.campaign.interrupted[kind]
        found += sorted(asked[kind], key=lambda person: person not in cut_off)[:OF_EACH]
    return found


@pytest.fixture(scope="module")
def codes(outside: Simulator, persons: list[str], verified: dict[str, Verified]) -> list[str]:
    """All that these persons were sent, whoever made it, and what they typed that was wrong."""
    sent = [message["code"] for person in persons for message in outside.inbox(person)]
    return sent + [wrong(one.message["code"]) for one in verified.values()]


@pytest.fixture(scope="module")
def places(everything: Deployment, client: Stranger, verified: dict[str, Verified], killed: Killed) -> Places:
    """Every topic of ours with what aborted transactions left in it, every log, all metrics."""
    found = by_topic(client.read(*(topic for topic in client.topics() if topic not in CLEAR)))
    for name, child in everything.children.items():
        found[f"log of {name}"], found[f"metrics of {name}"] = child.logged.encode(), child.metrics.encode()
    for name in INSTANCES:
        assert len(found[f"verification.attempts.{name}"]) > 1_000
    assert all(len(text) > 100 for place, text in found.items() if place.startswith(("log", "metrics")))
    return found


def test_the_search_finds_what_other_software_wrote(
    client: Stranger, persons: list[str], verified: dict[str, Verified]
) -> None:
    """Else finding nothing would mean nothing."""
    typed = [one.message["code"] for one in verified.values()] + [
        wrong(one.message["code"]) for one in verified.values()
    ]
    secrets = [*persons, *typed]
    found = leaks(secrets, by_topic(client.read(*CLEAR)))
    assert {line.split()[1] for line in found} == {str(number) for number in range(len(secrets))}


def test_no_recipient_is_anywhere(persons: list[str], places: Places) -> None:
    assert leaks((person[3:] if person.startswith("+") else person for person in persons), places) == []


def test_no_code_is_anywhere(codes: list[str], places: Places) -> None:
    """Ours and the providers', typed rightly and wrongly, looked at by us or by a provider."""
    long = [code for code in codes if len(code) >= LONG]
    assert {len(code) for code in long} >= {8, 10, 12}
    assert leaks(long, places) == []


def test_no_code_of_seven_digits_is_anywhere_but_by_chance(
    killed: Killed, verified: dict[str, Verified], places: Places
) -> None:
    """One such code stands somewhere in so many bytes; if its maker's codes leaked, all of them would."""
    sent = [message["code"] for message in killed.campaign.inbox if message["provider"] == "telesign"]
    made = [code for code in sent if len(code) == 7]
    assert len(made) > 5
    for place, held in places.items():
        assert len({line.split()[1] for line in leaks(made, {place: held})}) < len(made) / 2, place


def test_what_providers_are_asked_about_codes_is_sealed(
    client: Stranger, outside: Simulator, codes: list[str], places: Places
) -> None:
    """Each check that a provider judged went through this topic, with the code that was typed."""
    orders = client.records("SendCommand", "verification.provider-checks")
    judged = [call for kind, name in JUDGES.items() for call in outside.calls(kind=kind) if call["operation"] == name]
    assert {order["provider"] for order in orders} == {name for name, kind in INSTANCES.items() if kind in JUDGES}
    assert len(orders) >= len([call for call in judged if call["code"] in codes]) > len(JUDGES)
    assert all(order["code_sealed"] for order in orders)


def test_no_key_of_a_provider_is_anywhere(places: Places) -> None:
    """Nor that which Telesign's stands for."""
    assert leaks([*KEYS.values(), base64.b64decode(KEYS["telesign_key"]).decode()], places) == []

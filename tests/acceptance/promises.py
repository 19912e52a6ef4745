"""What must hold of every request of a campaign, whatever died meanwhile (promises 1 to 4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.acceptance.campaign import Campaign
from tests.acceptance.leaks import CLEAR, by_topic, leaks
from tests.acceptance.stranger import assert_exact, shown

_RANK = {"pending": 0, "sent": 1, "delivered": 2}


def assert_each_ends_once(campaign: Campaign) -> None:
    """One final outcome each, no dead letter, and most of the load ended well: else it was none."""
    assert campaign.final.keys() == campaign.persons.keys()
    for verification_id in campaign.persons:
        assert_exact(campaign.client.history(verification_id))
    assert campaign.client.found.letters == []
    states = Counter(outcome["state"] for outcome in campaign.final.values())
    assert states["verified"] + states["delivered"] > len(campaign.persons) / 2, states
    assert states["rejected"] + states["blocked"] + states["canceled"] == 0, states


def assert_nobody_is_sent_twice(campaign: Campaign) -> None:
    """As the providers saw it, and the persons: one call and one message for each channel at each provider.

    Not every provider takes a reference. But nothing that is asked for here leads to one of them twice by the same
    channel for the same person.
    """
    assert any(campaign.interrupted.values()), "nobody was killed in a call: the campaign shows nothing"
    assert_nobody_has_two_messages(campaign)


def assert_nobody_has_two_messages(campaign: Campaign) -> None:
    """The same, where no sender was to be killed."""
    persons = set(campaign.persons.values())
    sending = {call["operation"] for call in campaign.calls if call["sent"]}
    sends = [call for call in campaign.calls if call["operation"] in sending and call["recipient"] in persons]
    messages = [message for message in campaign.inbox if message["recipient"] in persons]
    assert sends
    assert messages
    for found in (sends, messages):
        counts = Counter((one["provider"], one["channel"], one["recipient"]) for one in found)
        assert [one for one, count in counts.items() if count > 1] == []
    references = Counter((call["provider"], call["reference"]) for call in sends if call["reference"])
    assert [one for one, count in references.items() if count > 1] == []


def assert_what_was_accepted_was_called(campaign: Campaign) -> None:
    kinds = campaign.senders
    calls = Counter((call["provider"], call["recipient"]) for call in campaign.calls)
    for verification_id, person in campaign.persons.items():
        accepted = [a for a in campaign.final[verification_id]["attempts"] if a["result"] == "accepted"]
        for provider, count in Counter(kinds[attempt["provider"]] for attempt in accepted).items():
            assert calls[provider, person] >= count, shown([campaign.final[verification_id]])


def assert_attempts_stay_what_they_are(campaign: Campaign) -> None:
    """Numbered without gap, and never of another provider or reference."""
    for verification_id in campaign.persons:
        history = campaign.client.history(verification_id)
        last = history[-1]["attempts"]
        assert [attempt["attempt_id"] for attempt in last] == [f"{verification_id}.{n + 1}" for n in range(len(last))]
        for outcome in history:
            for attempt, later in zip(outcome["attempts"], last, strict=False):
                assert (attempt["reference"], attempt["provider"]) == (later["reference"], later["provider"])


def assert_states_never_move_back(campaign: Campaign) -> None:
    for verification_id in campaign.persons:
        ranks = [_RANK.get(outcome["state"], 3) for outcome in campaign.client.history(verification_id)]
        assert ranks == sorted(ranks), shown(campaign.client.history(verification_id))


def assert_each_send_has_one_result(campaign: Campaign) -> dict[str, str]:
    """One answer of the sender for each attempt, as it stands in the log; returns them by attempt id."""
    results: dict[str, list[str]] = defaultdict(list)
    for result in campaign.client.records("SendResult", "verification.results", "verification.results.bulk"):
        if result["kind"] == "send" and result["verification_id"] in campaign.persons:
            results[result["attempt_id"]].append(result["result"])
    assert {attempt: found for attempt, found in results.items() if len(found) > 1} == {}
    return {attempt: found[0] for attempt, found in results.items()}


def assert_what_was_cut_off_is_in_doubt(campaign: Campaign, results: dict[str, str]) -> None:
    """Every message whose sender died before its provider answered."""
    cut_off = [(process, person) for process, persons in campaign.interrupted.items() for person in persons]
    ids = {person: verification_id for verification_id, person in campaign.persons.items()}
    for process, person in cut_off:
        last = campaign.client.history(ids[person])[-1]
        mine = [attempt["attempt_id"] for attempt in last["attempts"] if attempt["provider"] == process]
        assert [results.get(attempt) for attempt in mine] == ["in_doubt"], shown([last])


def assert_each_check_has_one_answer(campaign: Campaign) -> None:
    """And of two right ones exactly one is valid."""
    assert len(campaign.checks) > len(campaign.persons) / 4
    valid: Counter[str] = Counter()
    for check, verification_id in campaign.checks.items():
        replies = campaign.client.replies(check, 1)
        assert len(campaign.client.found.replies[check]) == 1
        valid[verification_id] += replies[0]["reason"] == "valid"
    for verification_id, count in valid.items():
        assert count == (campaign.final[verification_id]["state"] == "verified")


def assert_nothing_leaks(campaign: Campaign, secrets: Iterable[str]) -> None:
    """Aborted transactions stay readable, and a dying process writes its last words."""
    client = campaign.client
    places = by_topic(client.read(*(topic for topic in client.topics() if topic not in CLEAR)))
    places |= {f"log of {name}": child.logged.encode() for name, child in campaign.cluster.children.items()}
    assert leaks(secrets, places) == []

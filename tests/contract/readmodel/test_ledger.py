"""What was asked of the gateways is recognised when it is asked again, by whichever gateway."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import ReadModelUnavailable
from pipeline.readmodel.ports import Begun, Known
from tests.contract.readmodel.support import HORIZON_MS, NOW, ReadModelUnderTest, final, outcome, shown, start


async def test_a_start_is_new_once_and_the_same_afterwards(model: ReadModelUnderTest) -> None:
    entry = start("v1")

    assert await model.ledger.start(entry) == (Known.NEW, 0, entry.view)
    assert await model.ledger.start(entry) == (Known.SAME, 0, entry.view)


async def test_a_verification_can_be_read_as_pending_as_soon_as_its_start_is_remembered(
    model: ReadModelUnderTest,
) -> None:
    entry = start("v1")
    await model.ledger.start(entry)

    assert await model.verifications.get("acme", "v1") == entry.view
    other_gateway = await model.another()
    assert await other_gateway.verifications.get("acme", "v1") == entry.view


async def test_the_same_id_with_another_content_or_tenant_is_a_conflict(model: ReadModelUnderTest) -> None:
    await model.ledger.start(start("v1"))

    assert (await model.ledger.start(start("v1", content_hash="other"))).known is Known.CONFLICT
    stolen = await model.ledger.start(start("v1", tenant="other"))
    assert (stolen.known, stolen.view) == (Known.CONFLICT, b"")
    assert await model.verifications.get("other", "v1") is None


async def test_a_start_that_is_known_is_answered_with_the_current_state(model: ReadModelUnderTest) -> None:
    await model.ledger.start(start("v1"))
    await model.fold(outcome("v1", 2))

    again = await model.ledger.start(start("v1"))

    assert (again.known, again.version) == (Known.SAME, 2)
    assert shown(again.view)["state"] == "sent"


async def test_the_same_idempotency_key_gets_its_first_answer_although_the_verification_has_moved_on(
    model: ReadModelUnderTest,
) -> None:
    first = await model.ledger.start(start("v1", key="k"))
    await model.fold(outcome("v1", 2))

    again = await model.ledger.start(start("v1", key="k"))

    assert first.known is Known.NEW
    assert again == (Known.SAME, 2, first.view)


async def test_an_idempotency_key_is_about_its_first_request_whatever_the_id(model: ReadModelUnderTest) -> None:
    first = await model.ledger.start(start("v1", key="k"))

    again = await model.ledger.start(start("v2", key="k"))

    assert (again.known, again.view) == (Known.SAME, first.view)
    assert await model.verifications.get("acme", "v2") is None
    assert (await model.ledger.start(start("v2"))).known is Known.NEW


async def test_an_idempotency_key_with_another_body_is_refused_and_starts_nothing(model: ReadModelUnderTest) -> None:
    await model.ledger.start(start("v1", key="k"))

    reused = await model.ledger.start(start("v2", key="k", body="other"))

    assert (reused.known, reused.view) == (Known.KEY_REUSED, b"")
    assert await model.verifications.get("acme", "v2") is None


async def test_a_new_idempotency_key_for_a_known_start_keeps_what_it_was_told(model: ReadModelUnderTest) -> None:
    await model.ledger.start(start("v1"))
    await model.fold(outcome("v1", 2))
    told = await model.ledger.start(start("v1", key="k"))
    await model.fold(final("v1", 3))

    assert told.known is Known.SAME
    assert await model.ledger.start(start("v1", key="k")) == (Known.SAME, 3, told.view)


async def test_a_conflict_leaves_its_idempotency_key_free(model: ReadModelUnderTest) -> None:
    await model.ledger.start(start("v1"))
    assert (await model.ledger.start(start("v1", key="k", content_hash="other"))).known is Known.CONFLICT

    assert (await model.ledger.start(start("v2", key="k", body="mended"))).known is Known.NEW


async def test_an_id_that_was_published_on_kafka_with_what_can_be_seen_the_same_is_the_same(
    model: ReadModelUnderTest,
) -> None:
    await model.fold(outcome("v1", 2))

    again = await model.ledger.start(start("v1"))

    assert (again.known, again.version) == (Known.SAME, 2)
    assert shown(again.view)["state"] == "sent"


async def test_an_id_that_was_published_on_kafka_for_another_recipient_or_tenant_is_a_conflict(
    model: ReadModelUnderTest,
) -> None:
    await model.fold(outcome("v1", 2, recipient_hash="cd" * 16), outcome("v2", 2, tenant="other"))

    assert (await model.ledger.start(start("v1"))).known is Known.CONFLICT
    assert (await model.ledger.start(start("v2"))).known is Known.CONFLICT
    # Nothing of them was remembered.
    assert (await model.ledger.start(start("v1"))).known is Known.CONFLICT


async def test_an_id_may_be_used_again_after_the_id_horizon_and_is_pending_again(model: ReadModelUnderTest) -> None:
    await model.fold(final("v1", 5, created_at=NOW - HORIZON_MS - 1))

    entry = start("v1")
    assert await model.ledger.start(entry) == (Known.NEW, 0, entry.view)
    assert await model.verifications.get("acme", "v1") == entry.view
    await model.fold(outcome("v1", 1))
    assert shown(await model.verifications.get("acme", "v1"))["version"] == 1


async def test_starts_at_the_same_time_at_one_gateway_are_told_apart(model: ReadModelUnderTest) -> None:
    entries = [start(f"v{n % 20}") for n in range(100)]

    told = await asyncio.gather(*map(model.ledger.start, entries))

    assert [one.known for one in told].count(Known.NEW) == 20
    assert [one.known for one in told].count(Known.SAME) == 80


async def test_starts_at_the_same_time_at_two_gateways_are_new_at_one_of_them(model: ReadModelUnderTest) -> None:
    gateways = [model, await model.another()]
    # In opposite orders, as two databases' locks would be taken.
    orders = [range(100), reversed(range(100))]

    told = await asyncio.gather(
        *(
            gateway.ledger.start(start(f"v{n:03}", key=f"k{n:03}"))
            for gateway, order in zip(gateways, orders, strict=True)
            for n in order
        )
    )

    assert [one.known for one in told].count(Known.NEW) == 100
    assert [one.known for one in told].count(Known.SAME) == 100


async def test_a_check_or_command_is_carried_out_again_until_its_answer_is_kept(model: ReadModelUnderTest) -> None:
    begun = Begun("k", "body")

    assert await model.ledger.begin(begun, created_at=NOW) == (Known.NEW, None, b"")
    assert await model.ledger.begin(begun, created_at=NOW) == (Known.SAME, None, b"")


async def test_the_first_answer_of_a_check_or_command_counts(model: ReadModelUnderTest) -> None:
    begun = Begun("k", "body")
    await model.ledger.begin(begun, created_at=NOW)

    await model.ledger.answered(begun, status=200, answer=b"first")
    await model.ledger.answered(begun, status=409, answer=b"second")

    assert await model.ledger.begin(begun, created_at=NOW) == (Known.SAME, 200, b"first")


async def test_a_key_of_a_check_or_command_with_another_body_is_refused(model: ReadModelUnderTest) -> None:
    await model.ledger.begin(Begun("k", "body"), created_at=NOW)
    await model.ledger.answered(Begun("k", "other"), status=200, answer=b"not its own")

    assert await model.ledger.begin(Begun("k", "other"), created_at=NOW) == (Known.KEY_REUSED, None, b"")
    assert await model.ledger.begin(Begun("k", "body"), created_at=NOW) == (Known.SAME, None, b"")


async def test_two_gateways_begin_one_key_once(model: ReadModelUnderTest) -> None:
    gateways = [model, await model.another()]

    told = await asyncio.gather(*(gateway.ledger.begin(Begun("k", "body"), created_at=NOW) for gateway in gateways))

    assert sorted(one.known.name for one in told) == ["NEW", "SAME"]


async def test_a_database_that_is_away_is_told_as_such(model: ReadModelUnderTest) -> None:
    await model.away()

    with pytest.raises(ReadModelUnavailable):
        await model.ledger.start(start("v1"))
    with pytest.raises(ReadModelUnavailable):
        await model.ledger.begin(Begun("k", "body"), created_at=NOW)
    with pytest.raises(ReadModelUnavailable):
        await model.ledger.answered(Begun("k", "body"), status=200, answer=b"")

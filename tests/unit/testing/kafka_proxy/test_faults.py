"""A fault hits exactly what it names, as often as it says, and tells what it hit."""

from __future__ import annotations

import pytest

from pipeline.testing.kafka_proxy import Api, Direction, Drop, Fault
from pipeline.testing.kafka_proxy.framing import Request

REQUEST, RESPONSE = Direction.REQUEST, Direction.RESPONSE


def request(api: Api, client: str = "count.0") -> Request:
    return Request(api, 0, 1, client)


def test_it_hits_the_named_requests_of_the_named_client_in_its_direction_only() -> None:
    fault = Fault(Drop(), "END_TXN", "PRODUCE", client=r"count\.\d", direction=RESPONSE, times=None)
    assert fault.befalls(RESPONSE, request(Api.END_TXN))
    assert fault.befalls(RESPONSE, request(Api.PRODUCE, "count.3"))
    assert not fault.befalls(REQUEST, request(Api.END_TXN))
    assert not fault.befalls(RESPONSE, request(Api.FETCH))
    assert not fault.befalls(RESPONSE, request(Api.END_TXN, "other"))
    assert not fault.befalls(RESPONSE, request(Api.END_TXN, "count.0-and-more"))
    assert (fault.matched, fault.hit) == (2, 2)


def test_it_hits_the_kth_and_those_behind_it_as_often_as_it_says() -> None:
    fault = Fault(Drop(), "PRODUCE", first=3, times=2)
    assert [fault.befalls(REQUEST, request(Api.PRODUCE)) for _ in range(6)] == [False, False, True, True, False, False]
    assert (fault.matched, fault.hit) == (6, 2)


def test_without_a_name_it_hits_all_that_goes_either_way() -> None:
    fault = Fault(Drop(), times=None)
    assert all(fault.befalls(way, Request(api, 0, 1, "anybody")) for way in Direction for api in (0, 3, 99))
    assert fault.total


async def test_who_waits_is_told_when_it_has_hit_and_fails_when_it_has_not() -> None:
    fault = Fault(Drop(), "PRODUCE")
    with pytest.raises(AssertionError, match="PRODUCE"):
        await fault.has_hit(within_s=0.01)
    fault.befalls(REQUEST, request(Api.PRODUCE))
    await fault.has_hit(within_s=0.01)


@pytest.mark.parametrize(("apis", "first", "times"), [(["ENDTXN"], 1, 1), ([], 0, 1), ([], 1, 0)])
def test_one_that_can_never_hit_is_refused(apis: list[str], first: int, times: int) -> None:
    with pytest.raises(ValueError, match=r"ENDTXN|counted"):
        Fault(Drop(), *apis, first=first, times=times)

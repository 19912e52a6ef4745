"""Several gateways side by side, restarted and killed: whoever asks again with the same key is recognised by all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from pipeline.dev.broker import DevBroker
from tests.acceptance.api import Api, new_key
from tests.acceptance.harness import Deployment, Simulator, eventually
from tests.acceptance.installed import ALL, installed
from tests.kafka_fixtures import scratch

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def house(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A whole installation, and two gateways more."""
    more = {f"gateway-{number}": ("run", "gateway") for number in (1, 2)}
    with installed(kafka=kafka, folder=tmp_path_factory.mktemp("gateways"), processes=ALL | more) as running:
        yield running


@pytest.fixture
def world(house: Deployment) -> Simulator:
    return house.simulator


@pytest.fixture
def doors(house: Deployment) -> Iterator[list[Api]]:
    """One client at each gateway."""
    clients = [Api(child.api_url, "acceptance-shop") for child in house.children.values()]
    yield clients
    for client in clients:
        client.close()


def test_the_same_key_at_every_gateway_at_once_is_one_verification(
    doors: list[Api], world: Simulator, people: Iterator[str]
) -> None:
    for _ in range(10):
        person, key = next(people), new_key()
        with ThreadPoolExecutor(9) as pool:
            answers = list(
                pool.map(lambda n: doors[n % 3].post("", {"recipient": person}, key=key), range(9))  # noqa: B023
            )
        assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
        assert len({answer.text for answer in answers}) == 1
        world.message(person)
    time.sleep(1)
    assert len(world.inbox(person)) == 1


def test_a_verification_started_at_one_gateway_is_there_and_checked_at_another(
    doors: list[Api], world: Simulator, people: Iterator[str]
) -> None:
    for n in range(6):
        person = next(people)
        verification_id = doors[n % 3].start(recipient=person)
        assert doors[(n + 1) % 3].get(verification_id).status_code == 200
        assert doors[(n + 2) % 3].check(verification_id, world.code(person))["valid"]


def test_each_gateway_gets_its_own_replies(doors: list[Api], world: Simulator, people: Iterator[str]) -> None:
    persons = [next(people) for _ in range(30)]
    started = [doors[0].start(recipient=person) for person in persons]
    codes = [world.code(person) for person in persons]
    with ThreadPoolExecutor(15) as pool:
        right = list(pool.map(lambda n: doors[n % 3].check(started[n], codes[n]), range(30)))
    assert [answer["reason"] for answer in right] == ["valid"] * 30


def test_a_gateway_that_was_killed_answers_the_same_when_it_is_back(
    house: Deployment, doors: list[Api], world: Simulator, people: Iterator[str]
) -> None:
    person, key, check = next(people), new_key(), new_key()
    first = doors[1].post("", {"recipient": person}, key=key)
    verification_id = first.json()["verification_id"]
    code = world.code(person)
    judged = doors[1].post(f"/{verification_id}/check", {"code": code}, key=check)
    assert judged.json()["valid"] is True
    gateway = house.children["gateway-1"]
    gateway.kill()
    gateway.start().ready()
    again = doors[1].post("", {"recipient": person}, key=key)
    assert (again.status_code, again.text) == (202, first.text)
    repeated = doors[1].post(f"/{verification_id}/check", {"code": code}, key=check)
    assert (repeated.status_code, repeated.text) == (200, judged.text)
    other = doors[2].post(f"/{verification_id}/check", {"code": "000000"}, key=check)
    assert (other.status_code, other.json()["reason"]) == (422, "idempotency_key_reused")
    assert doors[2].final(verification_id)["failed_checks"] == 0


def test_without_its_broker_it_says_503_and_nothing_is_lost_or_doubled_when_asked_again(
    kafka_jars: str, tmp_path_factory: pytest.TempPathFactory, people: Iterator[str]
) -> None:
    folder = tmp_path_factory.mktemp("away")
    with DevBroker(kafka_version=kafka_jars, scratch=scratch()) as broker:
        house = Deployment(kafka=broker.bootstrap_servers, folder=folder, processes=ALL)
        door = Api(house.api_url, "acceptance-shop")
        persons = [next(people) for _ in range(12)]
        keys = [new_key() for _ in persons]
        try:
            house.start()
            os.kill(broker.pid, signal.SIGSTOP)
            thawing = threading.Timer(12, os.kill, (broker.pid, signal.SIGCONT))
            thawing.start()
            with ThreadPoolExecutor(len(persons)) as pool:
                away = list(
                    pool.map(lambda n: door.post("", {"recipient": persons[n]}, key=keys[n]), range(len(persons)))
                )
            assert {answer.status_code for answer in away} == {503}
            assert {answer.json()["reason"] for answer in away} == {"log_unavailable"}
            assert all(int(answer.headers["Retry-After"]) >= 1 for answer in away)
            eventually(lambda: _readiness(door)[0] == 503, 5, lambda: "ready although Kafka is away")
            assert any("Kafka" in what for what in _readiness(door)[1]["missing"])
            # Out of the balancer, but whoever asks is still told what is known and when to come again.
            assert door.http.get("/v1/verifications").status_code == 200
            assert door.http.get("/healthz").status_code == 200
            assert not house.children["all"].is_ready
            thawing.join()
            eventually(lambda: _readiness(door)[0] == 200, 15, lambda: f"{_readiness(door)}")
            started = [_insist(door, person, key) for person, key in zip(persons, keys, strict=True)]
            assert len(set(started)) == len(persons)
            for person, verification_id in zip(persons, started, strict=True):
                assert door.check(verification_id, house.simulator.code(person, within_s=60))["valid"]
            time.sleep(2)
            assert [len(house.simulator.inbox(person)) for person in persons] == [1] * len(persons)
            assert {door.final(verification_id, within_s=60)["state"] for verification_id in started} == {"verified"}
        finally:
            door.close()
            house.stop()
            house.simulator.close()


def _readiness(door: Api) -> tuple[int, dict[str, Any]]:
    """What a load balancer is told."""
    answer = door.http.get("/readyz")
    return answer.status_code, dict(answer.json())


def _insist(door: Api, person: str, key: str) -> str:
    """Ask again with the same key until it is taken, as a caller is told to."""
    for _ in range(30):
        answer: httpx.Response = door.post("", {"recipient": person}, key=key)
        if answer.status_code == 202:
            return str(answer.json()["verification_id"])
        assert answer.status_code == 503, answer.text
        time.sleep(min(2, int(answer.headers["Retry-After"])))
    raise AssertionError("never taken")

"""Every fault as a client on a real connection meets it, and whether the person got the message."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from pipeline.settings import SimulatorSettings
from pipeline.simulator.server import Simulator
from tests.integration.simulator.raw import exchange

TO = "+16315550100"


async def behave(http: httpx.AsyncClient, **behaviour: Any) -> None:
    (await http.put("/behaviour/ycloud", json=behaviour)).raise_for_status()


async def received(http: httpx.AsyncClient) -> int:
    return len((await http.get("/inbox", params={"recipient": TO})).json())


@pytest.mark.parametrize(
    ("fault", "ending", "messages"),
    [
        ("close_after_reading", "fin", 1),
        ("reset_after_reading", "rst", 1),
        ("close_before_reading", "rst", 0),
    ],
)
async def test_a_broken_connection_brings_no_byte_of_an_answer(
    http: httpx.AsyncClient, simulator: Simulator, fault: str, ending: str, messages: int
) -> None:
    await behave(http, rules=[{"fault": fault}])
    assert await exchange(simulator.url, TO) == (b"", ending)
    assert await received(http) == messages
    (call,) = (orjson.loads(line) for line in (await http.get("/calls")).text.splitlines())
    assert (call["answered"], call["sent"]) == (fault, messages == 1)


async def test_a_rule_that_names_the_recipient_resets_without_handling(
    http: httpx.AsyncClient, simulator: Simulator
) -> None:
    await behave(http, rules=[{"when": {"recipient": "+1631*"}, "fault": "close_before_reading"}])
    assert await exchange(simulator.url, TO) == (b"", "rst")
    assert await received(http) == 0


async def test_a_lost_answer_may_also_mean_that_nothing_was_sent(http: httpx.AsyncClient, simulator: Simulator) -> None:
    await behave(http, default={"fault": "close_after_reading", "sends": False})
    assert await exchange(simulator.url, TO) == (b"", "fin")
    assert await received(http) == 0


async def test_no_answer_comes_while_the_message_is_there(http: httpx.AsyncClient, simulator: Simulator) -> None:
    await behave(http, default={"fault": "no_answer"})
    assert await exchange(simulator.url, TO, wait_s=0.3) == (b"", "silent")
    assert await received(http) == 1


async def test_garbage_has_a_good_status_and_no_json(http: httpx.AsyncClient, simulator: Simulator) -> None:
    await behave(http, default={"fault": "garbage"})
    answer, ending = await exchange(simulator.url, TO)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert ending == "open"
    assert head.startswith(b"HTTP/1.1 200")
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)


async def test_a_truncated_answer_ends_in_the_middle(http: httpx.AsyncClient, simulator: Simulator) -> None:
    await behave(http, default={"fault": "truncated"})
    answer, ending = await exchange(simulator.url, TO)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert ending == "fin"
    assert len(body) > 0
    assert f"content-length: {len(body)}".encode() not in head
    assert await received(http) == 1


async def test_a_dripping_answer_is_slower_than_a_patient_client(http: httpx.AsyncClient, simulator: Simulator) -> None:
    await behave(http, default={"fault": "drip"})
    answer, ending = await exchange(simulator.url, TO, wait_s=0.6)
    body = answer.partition(b"\r\n\r\n")[2]
    assert ending == "silent"
    assert 1 <= len(body) <= 7


async def test_the_next_connections_can_be_refused_before_a_byte_is_read(
    http: httpx.AsyncClient, simulator: Simulator
) -> None:
    for fault, ending in (("reset", "rst"), ("close", None), ("hang", "silent")):
        (await http.put("/behaviour/connections", json={"fault": fault, "next": 1})).raise_for_status()
        answer, ended = await exchange(simulator.url, TO, wait_s=0.3)
        assert answer == b""
        # Closing while the client's bytes are on their way is FIN or RST, as the kernel's timing has it.
        assert ended == ending or (ending is None and ended in ("fin", "rst"))
    assert (await exchange(simulator.url, TO))[0].startswith(b"HTTP/1.1 200")
    assert (await http.get("/calls")).text.count("\n") == 1


async def test_delays_run_side_by_side(http: httpx.AsyncClient, simulator: Simulator) -> None:
    await behave(http, default={"delay_ms": 300})
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(exchange(simulator.url, TO) for _ in range(20)))
    elapsed_s = asyncio.get_running_loop().time() - began
    assert all(answer.startswith(b"HTTP/1.1 200") for answer, _ in answers)
    assert 0.3 <= elapsed_s < 2


async def test_the_simulator_stops_at_once_while_requests_hang() -> None:
    running = Simulator(SimulatorSettings(port=0, smtp_port=0))
    await running.start()
    hung = [asyncio.create_task(exchange(running.url, f"+491512390{suffix}")) for suffix in ("0032", "0041")]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(1.5):
        await running.stop()
    answers = await asyncio.gather(*hung)
    assert answers[0] == (b"", "rst")


async def test_a_client_that_leaves_still_sent_its_message(http: httpx.AsyncClient, simulator: Simulator) -> None:
    await behave(http, default={"delay_ms": 400})
    assert await exchange(simulator.url, TO, wait_s=0.1) == (b"", "silent")
    assert await received(http) == 1


@pytest.mark.parametrize(
    ("digits", "ending", "messages"),
    [
        ("32", "silent", 1),
        ("33", "silent", 0),
        ("34", "rst", 0),
        ("35", "fin", 1),
        ("36", "fin", 0),
        ("38", "fin", 1),
        ("39", "rst", 1),
        ("41", "silent", 1),
        ("42", "silent", 1),
    ],
)
async def test_magic_recipients_break_connections_as_their_table_says(
    http: httpx.AsyncClient, simulator: Simulator, digits: str, ending: str, messages: int
) -> None:
    to = f"+49151239000{digits}"
    assert (await exchange(simulator.url, to, wait_s=0.4))[1] == ending
    assert len((await http.get("/inbox", params={"recipient": to})).json()) == messages

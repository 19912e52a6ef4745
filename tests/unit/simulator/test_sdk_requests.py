"""What a provider's own SDK sends, our sender sends, but for what the HTTP library adds; and the simulator takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from pipeline.model.messages import Message
from pipeline.records.internal import WalkStep
from pipeline.records.types import Channel, CommandKind
from pipeline.senders.provider import Opened, Provider
from pipeline.senders.providers.neutrino import Neutrino
from pipeline.senders.providers.telesign import CAPABILITIES, Telesign, able
from pipeline.settings import NeutrinoSettings, TelesignSettings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.world import World
from pipeline.testing.clock import ManualClock
from tests.unit.senders.doubles import PHONE, command
from tests.unit.simulator.recording import MESSAGE_ID, Recorded, recorded

TELESIGN, NEUTRINO = recorded("telesign"), recorded("neutrino")
ASKED = {"provider_message_id": MESSAGE_ID}
PAYMENT = Message(
    template="{amount} an {payee}: {code}\n@acme.example #{code}",
    values={"amount": "12.50", "payee": "Jo & Söhne ~*(x)"},
    wished=True,
)
SPOKEN = Message(template="{brand}: {code}", values={"brand": "Äcme"}, language="de", wished=True)

QUESTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sms": (
        {"use_case": "ATCK", "language": "pt-BR", "sender": "ACME", "options": {"is_primary": "false"}},
        {"code": "048291", "end_user_ip": "2001:db8::1"},
    ),
    "status": (ASKED | {"kind": CommandKind.LOOKUP}, {}),
    "check": (ASKED | {"kind": CommandKind.CHECK}, {"code": "048291"}),
    "completion": (ASKED | {"kind": CommandKind.REPORT}, {}),
}
TELESIGN_COMMANDS = {
    **{f"digest {name}": question for name, question in QUESTIONS.items()},
    "digest sms of our words": (
        {"amount": "12.50"},
        {"code": "048291", "payee": "Jo & Söhne ~*(x)", "message": PAYMENT},
    ),
    "digest call": (
        {"channel": Channel.VOICE, "use_case": "TRVF", "language": "de-AT", "sender": "+15550100000"},
        {"code": "48291", "message": SPOKEN},
    ),
    "digest smart": (
        {
            "use_case": "PWRT",
            "options": {"ignore_risk": "true"},
            "walk": [WalkStep(index=1, channel=Channel.VOICE)],
            "prefer_channel": Channel.VOICE,
        },
        {},
    ),
    **{f"basic {name}": question for name, question in QUESTIONS.items()},
}
NEUTRINO_COMMANDS = {
    "sms": (
        {"language": "pt-BR", "brand": "Äc & Me ~*(x)", "options": {"limit_ttl": "2", "limit": "5"}},
        {"code": "482913"},
    ),
    "sms with a code it makes": ({"code_length": 12, "language": "en"}, {}),
    "call": (
        {"channel": Channel.VOICE, "language": "en-US", "options": {"playback_delay": "1200"}},
        {"code": "482913"},
    ),
    "probe": None,
}


def telesign(of: Recorded) -> Telesign:
    settings = TelesignSettings.model_validate(
        {
            **DEVELOPMENT_CREDENTIALS["telesign"],
            "base_url": "http://simulator/telesign",
            "auth": of.name.partition(" ")[0],
            "smart_verify": True,
            "smart_preference": True,
        }
    )
    return Telesign(
        instance="telesign",
        settings=settings,
        capabilities=able(settings, CAPABILITIES),
        new_nonce=lambda: of.headers["x-ts-nonce"],
    )


def neutrino() -> Neutrino:
    settings = {**DEVELOPMENT_CREDENTIALS["neutrino"], "base_url": "http://simulator/neutrino"}
    return Neutrino(instance="neutrino", settings=NeutrinoSettings.model_validate(settings))


def ours(provider: Provider, asked: tuple[Mapping[str, Any], Mapping[str, Any]] | None, at_ms: int) -> httpx.Request:
    if asked is None:
        request = provider.probe(at_ms)
    else:
        wishes, opened = asked
        request = provider.build(command(**wishes), Opened(**({"recipient": PHONE} | dict(opened))), at_ms)
    assert isinstance(request, httpx.Request)
    return request


def assert_is_what_the_sdk_sends(request: httpx.Request, sdk: Recorded) -> None:
    assert (request.method, request.url.raw_path.decode(), request.content) == (sdk.method, sdk.target, sdk.body)
    said = {
        name: value
        for name, value in request.headers.items()
        if name not in ("host", "user-agent", "accept", "accept-encoding")
    }
    assert said == sdk.own_headers


def test_nothing_recorded_is_left_out() -> None:
    assert TELESIGN_COMMANDS.keys() == TELESIGN.keys()
    assert NEUTRINO_COMMANDS.keys() == NEUTRINO.keys()


@pytest.mark.parametrize("name", TELESIGN)
def test_our_requests_to_telesign_are_those_of_its_sdk(name: str) -> None:
    sdk = TELESIGN[name]
    assert_is_what_the_sdk_sends(ours(telesign(sdk), TELESIGN_COMMANDS[name], sdk.at_ms), sdk)


@pytest.mark.parametrize("name", NEUTRINO)
def test_our_requests_to_neutrino_are_those_of_its_sdk(name: str) -> None:
    assert_is_what_the_sdk_sends(ours(neutrino(), NEUTRINO_COMMANDS[name], 0), NEUTRINO[name])


async def replayed(http: httpx.AsyncClient, sdk: Recorded) -> httpx.Response:
    url = http.base_url.copy_with(raw_path=sdk.target.encode())
    return await http.request(sdk.method, url, headers=sdk.headers, content=sdk.body)


async def test_the_simulator_takes_what_telesigns_sdk_sends(
    http: httpx.AsyncClient, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "token", lambda self, characters=24: MESSAGE_ID[:characters])
    for name, sdk in TELESIGN.items():
        clock.advance(sdk.at_ms - clock.now_ms())
        answer = await replayed(http, sdk)
        assert (name, answer.status_code, answer.json()["errors"]) == (name, 200, [])
        assert answer.json()["reference_id"] == MESSAGE_ID
        if name.endswith("check"):
            assert answer.json()["verify"] == {"code_state": "VALID", "code_entered": "048291"}
        if name.endswith("completion"):
            assert answer.json()["status"]["code"] == "1900"
    codes = [message["code"] for message in (await http.get("/inbox")).json()]
    assert codes[0] == codes[1] == codes[4] == "048291"
    assert [len(code) for code in codes] == [6, 6, 5, 5, 6]


async def test_the_simulator_takes_what_neutrinos_sdk_sends(http: httpx.AsyncClient) -> None:
    (await http.put("/behaviour/neutrino", json={"limits": {}})).raise_for_status()
    answers = {name: (await replayed(http, sdk)).json() for name, sdk in NEUTRINO.items()}
    assert [answers[name]["security-code"] for name in ("sms", "call")] == ["482913", "482913"]
    assert len(answers["sms with a code it makes"]["security-code"]) == 12
    assert [answers["sms"]["sent"], answers["call"]["calling"], answers["probe"]["valid"]] == [True] * 3
    texts = [message["text"] for message in (await http.get("/inbox")).json()]
    assert any("Äc & Me ~*(x)" in text for text in texts)

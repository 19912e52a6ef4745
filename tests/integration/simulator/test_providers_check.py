"""``pipeline providers check`` against the simulator, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.cli import main
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.server import Simulator
from tests.integration.senders.kinds import KINDS, settings


def section(kind: str, simulator: Simulator, **changes: str) -> str:
    """The settings of one enabled provider, as a file holds them."""
    values = settings(kind, simulator).providers[kind].model_dump(mode="json", exclude_unset=True)
    # The dump shows stars for secrets; a name with a dot is an entry of a table, here as in TOML.
    shown = {**dict(entries(values)), **DEVELOPMENT_CREDENTIALS[kind], **changes}
    return f"[providers.{kind}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in shown.items())


def entries(table: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a table and of the tables in it, by their dotted names."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from entries(value, f"{place}{name}.")
        else:
            yield place + name, value


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def check(*names: str) -> int:
    """In a thread, as the command has an event loop of its own."""
    return await asyncio.to_thread(main, ["providers", "check", *names, "--json"])


async def test_every_kind_takes_the_right_credentials_and_sends_nothing(
    simulator: Simulator, http: httpx.AsyncClient, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pipeline.toml").write_text("".join(section(kind, simulator) for kind in KINDS))
    assert await check() == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == set(KINDS)
    assert [(row["name"], row["detail"]) for row in rows if row["ok"] is False] == []
    assert (await http.get("/inbox")).json() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_credential_is_found_out(
    kind: str, simulator: Simulator, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = ("key", "token", "password")
    wrong = {name: "d3Jvbmctc2VjcmV0" for name in DEVELOPMENT_CREDENTIALS[kind] if any(map(name.__contains__, secrets))}
    (folder / "pipeline.toml").write_text(section(kind, simulator, **wrong))
    code = await check(kind)
    [row] = json.loads(capsys.readouterr().out)
    # A kind without a harmless probe finds out with its first message.
    assert (code, row["ok"]) in ((1, False), (0, None))
    assert "d3Jvbmc" not in row["detail"]


async def test_a_provider_that_is_away_fails_with_its_cause(
    simulator: Simulator, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pipeline.toml").write_text(section("ycloud", simulator))
    await simulator.stop()
    assert await check() == 1
    [row] = json.loads(capsys.readouterr().out)
    assert row["detail"] == "no answer (unreachable)"

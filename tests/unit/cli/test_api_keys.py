"""``pipeline api-keys`` against a real SQLite file, as an operator types it."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline.cli import main
from pipeline.cli.api_keys import ScopeName, stored_keys
from pipeline.gateway.caller import Scope
from pipeline.settings import load
from tests.unit.gateway.bench import assert_problem
from tests.unit.gateway.entrance import Entrance

SETTINGS = """
[readmodel]
url = "sqlite:///{file}"
[tenants.default]
[tenants.acme]
[gateway.api_keys.old]
key_sha256 = "{digest}"
scopes = ["read"]
"""


class Operator:
    """Somebody at a terminal, with a settings file."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.file = folder / "readmodel.sqlite"
        self.settings = folder / "pipeline.toml"
        self.settings.write_text(SETTINGS.format(file=self.file, digest="0" * 64))
        self._capsys = capsys

    def types(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["--config", str(self.settings), "api-keys", *arguments])
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err

    def gets(self, *arguments: str) -> Any:
        code, out, err = self.types(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(tmp_path, capsys)


def test_the_scopes_to_choose_from_are_those_of_the_api() -> None:
    assert tuple(scope.value for scope in ScopeName) == get_args(Scope)


def test_a_key_is_shown_once_and_only_its_hash_is_stored(operator: Operator) -> None:
    code, out, err = operator.types("new", "shop", "--tenant", "acme", "--scope", "manage", "--scope", "start")
    assert code == 0
    key = out.strip()
    assert re.fullmatch(r"vk_shop_[A-Za-z0-9_-]{43}", key)
    assert key not in err
    [row] = sqlite3.connect(operator.file).execute("select name, key_sha256, tenant, scopes from api_keys").fetchall()
    assert row[:3] == ("shop", sha256(key.encode()).hexdigest(), "acme")
    assert set(row[3].split()) == {"start", "manage"}
    secret = key.removeprefix("vk_shop_").encode()
    assert not [path for path in operator.folder.iterdir() if secret in path.read_bytes()]


def test_no_two_keys_are_alike(operator: Operator) -> None:
    assert operator.gets("new", "one")["key"][-43:] != operator.gets("new", "two")["key"][-43:]


def test_without_options_it_is_for_the_default_tenant_and_may_not_manage(operator: Operator) -> None:
    made = operator.gets("new", "shop")
    assert (made["tenant"], made["scopes"], made["source"]) == ("default", ["start", "check", "read"], "database")
    assert sha256(made["key"].encode()).hexdigest() == made["key_sha256"]


def test_keys_of_both_places_are_listed_without_anything_that_opens(operator: Operator) -> None:
    made = operator.gets("new", "shop", "--scope", "check")
    operator.gets("new", "gone")
    operator.gets("revoke", "gone")
    listed = {row["name"]: row for row in operator.gets("list")}
    assert {(row["name"], row["state"], row["source"]) for row in listed.values()} == {
        ("shop", "active", "database"),
        ("gone", "revoked", "database"),
        ("old", "active", "settings"),
    }
    assert (listed["shop"]["scopes"], listed["old"]["scopes"]) == (["check"], ["read"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", listed["shop"]["created_at"])
    code, out, _ = operator.types("list")
    assert code == 0
    for shown in (out, json.dumps(listed)):
        assert made["key"] not in shown
        assert made["key_sha256"] not in shown
    assert re.search(r"shop +default +check +\S+Z +active +database", out)


def test_a_tenant_that_was_taken_out_of_the_settings_is_seen_in_the_list(operator: Operator) -> None:
    operator.gets("new", "shop", "--tenant", "acme")
    operator.settings.write_text(operator.settings.read_text().replace("[tenants.acme]", ""))
    assert {row["name"]: row["state"] for row in operator.gets("list")}["shop"] == "tenant unknown"


def test_a_section_for_the_settings_is_printed_and_nothing_stored(operator: Operator) -> None:
    code, out, err = operator.types("new", "shop", "--tenant", "acme", "--scope", "read", "--print-config")
    assert code == 0
    assert not operator.file.exists()
    section = tomllib.loads(out)["gateway"]["api_keys"]["shop"]
    assert (section["tenant"], section["scopes"]) == ("acme", ["read"])
    [key] = re.findall(r"vk_shop_[A-Za-z0-9_-]{43}", err)
    assert section["key_sha256"] == sha256(key.encode()).hexdigest()
    operator.settings.write_text(operator.settings.read_text() + out)
    assert load(operator.settings).gateway.api_keys["shop"].tenant == "acme"
    made = operator.gets("new", "desk", "--print-config")
    assert tomllib.loads(made["config"])["gateway"]["api_keys"]["desk"]["key_sha256"] == made["key_sha256"]


async def test_a_key_opens_a_gateway_until_it_is_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    operator = Operator(tmp_path, capsys)
    made = await asyncio.to_thread(operator.gets, "new", "shop")
    entrance = Entrance()
    async with stored_keys(load(operator.settings).readmodel) as keys:
        entrance.keys._source = keys
        await entrance.keys.refresh()
        assert (await entrance.get(key=made["key"])).status_code == 200
        await asyncio.to_thread(operator.gets, "revoke", "shop")
        await entrance.keys.refresh()
        assert_problem(await entrance.get(key=made["key"]), 401, "unauthenticated")


def test_a_revoked_key_stays_revoked_and_says_since_when(operator: Operator) -> None:
    operator.gets("new", "shop")
    first = operator.gets("revoke", "shop")
    assert operator.gets("revoke", "shop") == first
    code, out, _ = operator.types("revoke", "shop")
    assert code == 0
    assert first["revoked_at"] in out


def refused(operator: Operator, *arguments: str) -> str:
    code, out, err = operator.types(*arguments)
    assert (code, out) == (2, "")
    return err


def test_a_tenant_that_is_not_configured_is_refused_with_those_that_are(operator: Operator) -> None:
    err = refused(operator, "new", "shop", "--tenant", "acmee")
    assert "'acmee'" in err
    assert "default, acme" in err
    assert not operator.file.exists()


@pytest.mark.parametrize("revoked", [False, True])
def test_a_name_is_given_once(operator: Operator, revoked: bool) -> None:
    operator.gets("new", "shop")
    if revoked:
        operator.gets("revoke", "shop")
    assert "'shop-2'" in refused(operator, "new", "shop")


def test_nor_is_one_of_the_settings_given_again(operator: Operator) -> None:
    assert "settings" in refused(operator, "new", "old")


@pytest.mark.parametrize("name", ["Shop", "two words", "schlüssel", "-x", "a" * 41, "a.b", "../x", ""])
def test_a_name_is_short_and_plain(operator: Operator, name: str) -> None:
    assert "lower-case letter" in refused(operator, "new", "--", name)
    assert not operator.file.exists()


def test_a_scope_there_is_none_of_is_refused_with_those_there_are(operator: Operator) -> None:
    assert "manage" in refused(operator, "new", "shop", "--scope", "admin")


def test_a_key_of_the_settings_is_revoked_there(operator: Operator) -> None:
    err = refused(operator, "revoke", "old")
    assert "[gateway.api_keys.old]" in err


def test_a_folder_of_the_database_that_cannot_be_made_is_told_without_a_traceback(operator: Operator) -> None:
    (operator.folder / "taken").write_text("a file where the folder would be")
    operator.settings.write_text(
        operator.settings.read_text().replace(str(operator.file), f"{operator.folder}/taken/x/y")
    )
    err = refused(operator, "new", "shop")
    assert "readmodel.url: its folder" in err
    assert "Traceback" not in err


def test_a_misspelt_name_is_told_what_it_may_mean(operator: Operator) -> None:
    operator.gets("new", "shop")
    assert "'shop'" in refused(operator, "revoke", "shopp")
    assert "api-keys list" in refused(operator, "revoke", "zzz")


def test_without_a_database_the_way_out_is_told(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no database")
    settings = operator.settings.read_text().replace(str(operator.file), str(tmp_path / "taken"))
    operator.settings.write_text(settings)
    code, out, err = operator.types("new", "shop")
    assert (code, out) == (1, "")
    assert "readmodel.url" in err
    assert "--print-config" in err
    assert "vk_" not in err

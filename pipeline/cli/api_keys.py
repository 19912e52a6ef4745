"""``pipeline api-keys``: the keys with which programs use the gateway's API."""

from __future__ import annotations

import asyncio
import difflib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final, TypeVar, get_args

import typer
from pydantic import TypeAdapter, ValidationError

from pipeline.cli.context import settings
from pipeline.cli.output import Json, message, print_json, show
from pipeline.clock import SystemClock
from pipeline.errors import ReadModelUnavailable, UsageError
from pipeline.gateway.caller import Scope
from pipeline.readmodel.ports import ApiKeys, StoredKey
from pipeline.readmodel.view import rfc3339
from pipeline.settings import ReadModelSettings, Settings
from pipeline.settings.base import Name

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

T = TypeVar("T")
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
COLUMNS: Final = ("name", "tenant", "scopes", "created_at", "state", "source")


class ScopeName(StrEnum):
    """What an API key may do."""

    START = "start"
    CHECK = "check"
    READ = "read"
    MANAGE = "manage"


DEFAULT_SCOPES: Final = [ScopeName.START, ScopeName.CHECK, ScopeName.READ]

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called: its holder, such as `shop`.")]


@app.callback()
def api_keys() -> None:
    """Make, list and revoke the keys with which programs use the gateway's API.

    Example: `pipeline api-keys new shop --scope start --scope check`
    """


@app.command()
def new(
    ctx: typer.Context,
    name: KeyName,
    tenant: Annotated[str, typer.Option(help="Whose verifications it starts and sees.")] = "default",
    scope: Annotated[list[ScopeName], typer.Option(help="What it may do; once for each.")] = DEFAULT_SCOPES,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Store nothing; print a section for the settings file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once: only its hash is kept, in the read model's database.

    Running gateways know it within `gateway.keys_refresh_s`. The key goes to standard output, all else to standard
    error; with `--print-config` the section does, and the key goes to standard error.

    Example: `pipeline api-keys new shop --tenant default --scope start --scope check`
    """
    loaded = settings(ctx)
    _named(name)
    if tenant not in loaded.tenants:
        raise UsageError(f"tenant: {tenant!r} is no section of [tenants]; known: {', '.join(loaded.tenants)}")
    if name in loaded.gateway.api_keys:
        raise UsageError(f"name: the settings have a key {name!r}; take another name, or remove it there first")
    scopes = [each for each in SCOPES if each in scope]
    key = f"vk_{name}_{secrets.token_urlsafe(32)}"
    digest = sha256(key.encode()).hexdigest()
    made = {"name": name, "tenant": tenant, "scopes": scopes, "key": key, "key_sha256": digest}
    if print_config:
        section = _section(name, digest, tenant, scopes)
        if as_json:
            print_json({**made, "source": "settings", "config": section})
            return
        message(f"The key, shown this once: {key}")
        typer.echo(section, nl=False)
        message("Put the section into the settings of every gateway and restart them.")
        return
    stored = StoredKey(
        name=name, key_sha256=digest, tenant=tenant, scopes=frozenset(scopes), created_at=SystemClock().now_ms()
    )
    if not _with_keys(loaded, lambda keys: keys.add(stored)):
        raise UsageError(
            f"name: a key {name!r} was made before, and a name is given once, also after it was revoked; "
            f"take another, such as {name + '-2'!r}"
        )
    if as_json:
        print_json({**made, "source": "database"})
    else:
        message(f"Made {name} for tenant {tenant} ({' '.join(scopes)}). The key, shown this once:")
        typer.echo(key)


@app.command("list")
def list_keys(ctx: typer.Context, as_json: Json = False) -> None:
    """Show the keys of the database and of the settings, never the keys themselves.

    Example: `pipeline api-keys list --json`
    """
    loaded = settings(ctx)
    stored = _with_keys(loaded, lambda keys: keys.all())
    rows = [_row(loaded, key.name, key.tenant, key.scopes, key) for key in stored]
    rows += [_row(loaded, name, key.tenant, key.scopes) for name, key in loaded.gateway.api_keys.items()]
    if not as_json:
        rows = [{**row, "scopes": " ".join(row["scopes"])} for row in rows]
    show(COLUMNS, rows, as_json=as_json, empty="There are no keys. Make one: pipeline api-keys new NAME")


@app.command()
def revoke(ctx: typer.Context, name: KeyName, as_json: Json = False) -> None:
    """End a key: no gateway takes it any more within `gateway.keys_refresh_s`.

    Example: `pipeline api-keys revoke shop`
    """
    loaded = settings(ctx)
    at_ms = SystemClock().now_ms()

    async def work(keys: ApiKeys) -> tuple[bool, dict[str, StoredKey]]:
        return await keys.revoke(name, at_ms=at_ms), {key.name: key for key in await keys.all()}

    ended, known = _with_keys(loaded, work)
    if not ended and name in loaded.gateway.api_keys:
        raise UsageError(
            f"name: {name!r} is a key of the settings; remove [gateway.api_keys.{name}] from them, restart the gateways"
        )
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see: pipeline api-keys list"
        raise UsageError(f"name: there is no key {name!r}; {hint}")
    revoked_at = rfc3339(known[name].revoked_at or at_ms)
    if as_json:
        print_json({"name": name, "state": "revoked", "revoked_at": revoked_at})
    elif ended:
        refresh_s = loaded.gateway.keys_refresh_s
        typer.echo(f"Revoked {name}. Gateways that reach the database refuse it within {refresh_s:g} s.")
    else:
        typer.echo(f"{name} was revoked before, at {revoked_at}.")
    if name in loaded.gateway.api_keys:
        message(f"A key of the same name in the settings goes on: remove [gateway.api_keys.{name}] there.")


def _named(name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        rule = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"name: {rule}") from None


def _section(name: str, digest: str, tenant: str, scopes: list[Scope]) -> str:
    return (
        f"[gateway.api_keys.{name}]\n"
        f"key_sha256 = {json.dumps(digest)}\n"
        f"tenant = {json.dumps(tenant)}\n"
        f"scopes = {json.dumps(scopes)}\n"
    )


def _row(loaded: Settings, name: str, tenant: str, scopes: Any, stored: StoredKey | None = None) -> dict[str, Any]:
    revoked_at = stored.revoked_at if stored is not None else None
    state = "active" if tenant in loaded.tenants else "tenant unknown"
    return {
        "name": name,
        "tenant": tenant,
        "scopes": [each for each in SCOPES if each in scopes],
        "created_at": None if stored is None else rfc3339(stored.created_at),
        "state": state if revoked_at is None else "revoked",
        "revoked_at": None if revoked_at is None else rfc3339(revoked_at),
        "source": "settings" if stored is None else "database",
    }


def _with_keys(loaded: Settings, work: Callable[[ApiKeys], Awaitable[T]]) -> T:
    async def inside() -> T:
        async with stored_keys(loaded.readmodel) as keys:
            return await work(keys)

    try:
        return asyncio.run(inside())
    except ReadModelUnavailable as error:
        raise ReadModelUnavailable(
            f"{error}; see readmodel.url, or make a key for the settings: pipeline api-keys new NAME --print-config"
        ) from error


@asynccontextmanager
async def stored_keys(readmodel: ReadModelSettings) -> AsyncIterator[ApiKeys]:
    """The keys in the database, for one command."""
    from pipeline.readmodel.api_keys import SqlApiKeys  # not at the top: nothing else here needs SQLAlchemy
    from pipeline.readmodel.opening import opened

    async with opened(readmodel) as database:
        yield SqlApiKeys(database)

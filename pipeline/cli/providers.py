"""``pipeline providers``: what is configured and what it can do, and whether its credentials are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from pipeline.cli.context import settings
from pipeline.cli.lazy import FAILED
from pipeline.cli.output import Json, message, print_json, print_table
from pipeline.clock import SystemClock
from pipeline.errors import UsageError
from pipeline.model.capabilities import ChannelCapabilities
from pipeline.records.types import Channel
from pipeline.senders import registry
from pipeline.senders.probing import Finding, probe
from pipeline.senders.provider import Provider
from pipeline.senders.shown import ABILITIES, NOTHING, made_code, own_code
from pipeline.settings import WEBHOOK_SECRETS, Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Channels = Mapping[Channel, ChannelCapabilities]
_TAKEN: Final[Mapping[object, str]] = {True: "taken", False: "FAILED", None: "not asked"}
_ALSO: Final[Mapping[str, Callable[[ChannelCapabilities], bool]]] = {
    "look-up": lambda able: bool(able.lookups_s or able.finds_lost_s),
    "check": lambda able: able.check,
    "report": lambda able: able.report,
    "cancel": lambda able: able.cancel,
    "walk": lambda able: able.walk is not None,
    "resend": lambda able: able.resends,
    "failover": lambda able: bool(able.goes_on),
}
"""What a provider can do beside sending."""


@app.callback()
def providers() -> None:
    """Show the configured providers, and check their credentials.

    Example: `pipeline providers list`
    """


@app.command("list")
def list_providers(
    ctx: typer.Context,
    kinds: Annotated[
        bool, typer.Option("--kinds", help="Every kind there is and all that it can do, whatever is configured.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the configured providers and what each can do with its settings.

    Example: `pipeline providers list --kinds`
    """
    if kinds:
        _list_kinds(as_json)
        return
    found = settings(ctx)
    rows = [_configured(found, name) for name in found.providers]
    if as_json:
        print_json(rows)
    elif not rows:
        message("No provider is configured; write a section such as [providers.ycloud].")
    else:
        columns = ["name", "kind", "enabled", "channels", "code", "receipts", "also"]
        paces = [f"{row['rate_per_s']:g}/s, {row['max_concurrency']} at once" for row in rows]
        cells = [[*(_cell(row[column]) for column in columns), pace] for row, pace in zip(rows, paces, strict=True)]
        print_table([*columns, "pace"], cells)


@app.command()
def check(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; default all enabled.")] = None,
    as_json: Json = False,
) -> None:
    """Ask each enabled provider whether it takes our credentials; exit code 1 if one does not, or none is enabled.

    The question sends nothing and changes nothing; a kind that has none is not asked. What is missing for delivery
    reports is told, too.

    Example: `pipeline providers check ycloud`
    """
    found = settings(ctx)
    enabled = registry.load(found)
    for name in names or ():
        if name not in enabled:
            raise UsageError(
                f"{name}: no provider of this name is enabled; enabled are: {', '.join(enabled) or 'none'}"
            )
    told = asyncio.run(_probe(found, [enabled[name] for name in names or enabled]))
    rows = [
        {
            "name": each.provider,
            "kind": found.providers[each.provider].kind,
            "ok": each.ok,
            "detail": each.detail,
            "missing": list(_missing(found, enabled[each.provider])),
            "webhook_url": registry.webhook_url(found, each.provider),
        }
        for each in told
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        message("No provider is enabled: set enabled = true under [providers.<name>].")
    else:
        print_table(
            ["name", "kind", "credentials", "detail", "missing for delivery reports"],
            [[row["name"], row["kind"], _TAKEN[row["ok"]], row["detail"], _cell(row["missing"])] for row in rows],
        )
    if not told or any(each.ok is False for each in told):
        raise typer.Exit(FAILED)


async def _probe(found: Settings, asked: Sequence[Provider]) -> list[Finding]:
    """All at once: each has its own deadline."""
    clock = SystemClock()
    return await asyncio.gather(
        *(
            probe(
                provider,
                registry.exchange(found, provider.instance),
                clock=clock,
                timeout_s=found.providers[provider.instance].timeout_s,
            )
            for provider in asked
        )
    )


def _missing(found: Settings, provider: Provider) -> Iterator[str]:
    """The settings without which delivery reports, which are waited for, do not arrive."""
    section = found.providers[provider.instance]
    if not any(able.receipts for able in provider.capabilities.channels.values()):
        return
    if not provider.webhooks_enabled:
        secrets = [field for field in WEBHOOK_SECRETS if field in type(section).model_fields]
        yield from (f"providers.{provider.instance}.{field}" for field in secrets)
    if registry.KINDS[section.kind].names_callback and not found.gateway.public_url:
        yield "gateway.public_url"


# --- what there is and what it can do -------------------------------------------------------------------------------


def _list_kinds(as_json: bool) -> None:
    tables = {kind: _abilities(known.capabilities.channels) for kind, known in registry.KINDS.items()}
    if as_json:
        print_json([{"kind": kind, "channels": abilities} for kind, abilities in tables.items()])
        return
    for kind, abilities in tables.items():
        named = [name for name, _ in ABILITIES if any(name in can for can in abilities.values())]
        rows = [[name, *(can.get(name, NOTHING) for can in abilities.values())] for name in named]
        print_table(["", *abilities], rows, title=kind)


def _configured(found: Settings, name: str) -> dict[str, Any]:
    section = found.providers[name]
    known = section.kind in registry.KINDS
    channels: Channels = registry.configured(found, name).channels if known else {}
    also = {what: [channel.value for channel, able in channels.items() if can(able)] for what, can in _ALSO.items()}
    return {
        "name": name,
        "kind": section.kind,
        "enabled": section.enabled,
        "channels": [channel.value for channel in channels],
        "code": _by_channel(channels, _code),
        "receipts": _receipts(found, name, channels),
        "also": also,
        "rate_per_s": section.rate_per_s,
        "max_concurrency": section.max_concurrency,
        "timeout_s": section.timeout_s,
        "webhook_url": registry.webhook_url(found, name),
        "abilities": _abilities(channels),
    }


def _receipts(found: Settings, name: str, channels: Channels) -> str:
    """Whether delivery reports can come, and what is missing if not; said of enabled providers only."""
    if not any(able.receipts for able in channels.values()):
        if any(able.lookups_s for able in channels.values()):
            return "asked for"
        known = registry.KINDS.get(found.providers[name].kind)
        would = known is not None and any(able.receipts for able in known.capabilities.channels.values())
        return "switched off" if would else "none"
    if not found.providers[name].enabled:
        return "webhooks"
    missing = list(_missing(found, registry.load_one(found, name)))
    return f"missing: {', '.join(missing)}" if missing else "webhooks, ready"


def _code(able: ChannelCapabilities) -> str:
    own, made = own_code(able), made_code(able)
    return (
        " or ".join([*([own] if own != NOTHING else []), *([f"its own {made}"] if made != NOTHING else [])]) or NOTHING
    )


def _by_channel(channels: Channels, tell: Callable[[ChannelCapabilities], str]) -> str:
    """What is said of each channel, said once where it is the same."""
    told: dict[str, list[str]] = {}
    for channel, able in channels.items():
        told.setdefault(tell(able), []).append(channel.value)
    if len(told) <= 1:
        return next(iter(told), NOTHING)
    return "; ".join(f"{', '.join(which)}: {words}" for words, which in told.items())


def _abilities(channels: Channels) -> dict[str, dict[str, str]]:
    """By channel, the names and words of what it can do."""
    return {
        channel.value: {name: words.replace("`", "") for name, tell in ABILITIES if (words := tell(able)) != NOTHING}
        for channel, able in channels.items()
    }


def _cell(value: object) -> object:
    """As a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{what} ({', '.join(channels)})" for what, channels in value.items() if channels]
    return ", ".join(value) or NOTHING if isinstance(value, list) else value

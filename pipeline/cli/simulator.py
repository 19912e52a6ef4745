"""``pipeline simulator``: the providers' APIs on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer
from pydantic import ValidationError

from pipeline.cli.context import settings as load_settings
from pipeline.errors import UsageError
from pipeline.settings import Settings, SimulatorSettings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.providers import PROVIDERS
from pipeline.simulator.server import Simulator, accounts_of


def simulator(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port; 0 picks a free one.")] = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Gateway that gets the receipts, such as http://127.0.0.1:8080/v1/webhooks.")
    ] = None,
    smtp_port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port for mail; 0 picks a free one.")] = None,
    time_factor: Annotated[
        float | None, typer.Option(min=0.001, max=100_000, help="Divides the retry schedule of receipts.")
    ] = None,
) -> None:
    """Run the simulated providers until interrupted.

    Example: `pipeline simulator --port 8090 --webhook-url http://127.0.0.1:8080/v1/webhooks`
    """
    settings = load_settings(ctx)
    changed = {
        "host": host,
        "port": port,
        "smtp_port": smtp_port,
        "webhook_url": webhook_url,
        "time_factor": time_factor,
    }
    chosen = _chosen(settings.simulator, {name: value for name, value in changed.items() if value is not None})
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(chosen, settings))


def _chosen(simulator: SimulatorSettings, changed: Mapping[str, object]) -> SimulatorSettings:
    """The settings with what the options say. Raises UsageError naming each option that the setting refuses."""
    told = []
    try:
        return SimulatorSettings.model_validate({**simulator.model_dump(), **changed})
    except ValidationError as error:
        for each in error.errors():
            option = str(each["loc"][0]).replace("_", "-")
            told.append(f"--{option}: {each['msg'].removeprefix('Value error, ')}")
    raise UsageError("\n".join(told))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: it answers a quarter more requests per second."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


async def _run(chosen: SimulatorSettings, settings: Settings) -> None:
    running = Simulator(chosen, accounts=accounts_of(settings.providers))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await running.start()
    try:
        typer.echo(introduction(running, settings))
        await stop.wait()
    finally:
        await running.stop()


def introduction(running: Simulator, settings: Settings) -> str:
    """Where everything is, with commands to copy; configured credentials are never shown."""
    configured = {account.kind for account in accounts_of(settings.providers)}
    key = "$YCLOUD_API_KEY" if "ycloud" in configured else DEVELOPMENT_CREDENTIALS["ycloud"]["api_key"]
    neutrino = DEVELOPMENT_CREDENTIALS["neutrino"]
    user, secret = neutrino["user_id"], neutrino["api_key"]
    if "neutrino" in configured:
        user, secret = "$NEUTRINO_USER_ID", "$NEUTRINO_API_KEY"
    addresses = {kind: running.base_url(kind) for kind in PROVIDERS} | {"smtp": running.mail_address}
    providers = "\n".join(f"  {kind:10}  {address}" for kind, address in addresses.items())
    return f"""\
Providers
{providers}
Receipts go to {running.world.webhooks.url or "nobody (set --webhook-url)"}

Send a message
  curl -sH "X-API-Key: {key}" -H 'Content-Type: application/json' \\
    -d '{{"channel":"sms","to":"+16315550100","code":"482913"}}' {running.base_url("ycloud")}/verify/verifications
  curl -sH "User-ID: {user}" -H "API-Key: {secret}" \\
    -d number=%2B4915123456789 {running.base_url("neutrino")}/sms-verify
Read it as the person would
  curl -s '{running.url}/inbox?recipient=%2B16315550100'
See every request
  curl -s {running.url}/calls
Misbehave (and the table of magic recipients)
  curl -sX PUT -d '{{"default":{{"error":"INTERNAL_SERVER_ERROR","sends":true}}}}' {running.url}/behaviour/ycloud
  curl -s {running.url}/behaviour
"""

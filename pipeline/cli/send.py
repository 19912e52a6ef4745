"""``pipeline send``, ``check``, ``show`` and ``watch``: what any service does, from a shell."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.context import settings
from pipeline.cli.output import Json, print_json, print_table
from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from pipeline.client import VerificationClient
    from pipeline.records.codec import Codec
    from pipeline.records.public import VerificationOutcome
    from pipeline.runtime.kafka import KafkaLog
    from pipeline.settings import Settings

Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait at most.")]


def send(
    ctx: typer.Context,
    recipient: Annotated[str, typer.Argument(help="Phone number as typed, or e-mail address.")],
    channel: Annotated[
        list[str] | None, typer.Option("--channel", help="A step with this channel; repeat for more; else automatic.")
    ] = None,
    country: Annotated[str | None, typer.Option(help="Read the number as national of this country (ISO-2).")] = None,
    code: Annotated[
        str | None, typer.Option(help="Your own code, letters or digits; 6-12 unless the tenant wants others.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="BCP-47, such as de or pt-BR.")] = None,
    tenant: Annotated[str, typer.Option(help="Tenant.")] = "default",
    verification_id: Annotated[str | None, typer.Option("--id", help="Verification id; else a new UUID.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until a provider took it or it ended.")] = False,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Ask for one verification; prints its id, with --wait also its outcome.

    Example: `pipeline send +4915112345678 --channel sms --wait`
    """
    from pipeline.cli.asked import Asked
    from pipeline.client import VerificationClient
    from pipeline.process import run_loop
    from pipeline.records.public import Step, VerificationRequest
    from pipeline.records.types import Channel, VerificationState

    known = [each.value for each in Channel if each is not Channel.UNKNOWN]
    for name in channel or ():
        if name not in known:
            raise UsageError(f"--channel: there is no channel {name!r}; use one of {', '.join(known)}")
    if verification_id is not None:
        check_id_of(verification_id, "--id")
    request = VerificationRequest(
        verification_id=verification_id or str(uuid.uuid4()),
        tenant=tenant,
        recipient=recipient,
        country=country,
        steps=[Step(channel=Channel(name)) for name in channel or ()],
        code=code,
        language=language,
    )

    async def work() -> None:
        async with _connected(settings(ctx)) as (log, codec), VerificationClient(log=log, codec=codec) as client:
            if not wait:
                await client.start(request)
                print_id(request.verification_id, as_json=as_json)
                return
            # Only an id that was given can have been used before.
            asked = await Asked.begin(
                log, codec, client, request.verification_id, look_back=verification_id is not None
            )
            await client.start(request)
            outcome = await asked.outcome(timeout)
            print_outcome(outcome, as_json=as_json)
            if outcome.state in (VerificationState.REJECTED, VerificationState.BLOCKED, VerificationState.FAILED):
                raise typer.Exit(1)

    run_loop(work())


def check(
    ctx: typer.Context,
    verification_id: Annotated[str, typer.Argument(help="Verification id.")],
    code: Annotated[str, typer.Argument(help="The code as typed.")],
    check_id: Annotated[str | None, typer.Option("--check-id", help="The same id gets the same reply.")] = None,
    timeout: Timeout = 5.0,
    as_json: Json = False,
) -> None:
    """Check a code; exit code 0 when it is right, 1 when not.

    Example: `pipeline check 5f0c0b5e-2f0e-4f43-9b4e-0d6c3f0a7d11 493817`
    """
    from pipeline.process import run_loop

    check_id_of(verification_id, "verification id")

    async def work() -> bool:
        async with _client(settings(ctx)) as client:
            reply = await client.check(verification_id, code, check_id=check_id, timeout_s=timeout)
        if as_json:
            print_json(plain(reply))
        else:
            row = [
                reply.verification_id,
                "yes" if reply.ok else "no",
                reply.reason,
                str(reply.checks_left),
                reply.state,
            ]
            print_table(["verification", "valid", "reason", "checks left", "state"], [row])
        return reply.ok

    if not run_loop(work()):
        raise typer.Exit(1)


def show(
    ctx: typer.Context,
    verification_id: Annotated[str, typer.Argument(help="Verification id.")],
    as_json: Json = False,
) -> None:
    """Show every outcome record of one verification, as long as the topic keeps them.

    Example: `pipeline show 5f0c0b5e-2f0e-4f43-9b4e-0d6c3f0a7d11`
    """
    from pipeline.cli.asked import history
    from pipeline.process import run_loop

    async def work() -> list[VerificationOutcome]:
        async with _connected(settings(ctx)) as (log, codec):
            return await history(log, codec, verification_id)

    outcomes = run_loop(work())
    if not outcomes:
        raise PipelineError(f"no outcome of {verification_id} is kept; is the id right, and has the router run?")
    for outcome in outcomes:
        print_outcome(outcome, as_json=as_json)


def watch(
    ctx: typer.Context,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the first record kept.")] = False,
    final: Annotated[bool, typer.Option("--final", help="Only final outcomes.")] = False,
    as_json: Json = False,
) -> None:
    """Follow outcomes as they are written, until Ctrl-C.

    Example: `pipeline watch --final`
    """
    from pipeline.following import follow
    from pipeline.process import run_loop
    from pipeline.records.public import VerificationOutcome
    from pipeline.topics import OUTCOMES

    async def work() -> None:
        async with _connected(settings(ctx)) as (log, codec):
            async for outcome in follow(log, codec, OUTCOMES, VerificationOutcome, from_start=from_start):
                if outcome.is_final or not final:
                    print_outcome(outcome, as_json=as_json)

    with contextlib.suppress(asyncio.CancelledError):
        run_loop(work())


def check_id_of(verification_id: str, what: str) -> None:
    """Raises UsageError for what can be no verification id, before anything is published."""
    from pipeline.model.fields import VERIFICATION_ID

    if not VERIFICATION_ID.fullmatch(verification_id):
        raise UsageError(f"{what}: {verification_id!r} is no verification id; use 1 to 48 of letters, digits, _ and -")


@asynccontextmanager
async def _connected(loaded: Settings) -> AsyncIterator[tuple[KafkaLog, Codec]]:
    from pipeline.logs import configure
    from pipeline.process import connected

    configure(loaded.logging.model_copy(update={"level": "error"}))
    async with connected(loaded, client_id="cli", wait_for_broker=False) as (log, codec):
        yield log, codec


@asynccontextmanager
async def _client(loaded: Settings) -> AsyncIterator[VerificationClient]:
    from pipeline.client import VerificationClient

    async with _connected(loaded) as (log, codec), VerificationClient(log=log, codec=codec) as client:
        yield client


def plain(record: object) -> object:
    """A record as JSON-able values."""
    import msgspec

    return msgspec.to_builtins(record)


def print_id(verification_id: str, *, as_json: bool) -> None:
    """What ``send`` without ``--wait`` has to tell."""
    if as_json:
        print_json({"verification_id": verification_id})
    else:
        typer.echo(verification_id)


def print_outcome(outcome: VerificationOutcome, *, as_json: bool) -> None:
    """One line: the fields a person looks for, or all of them as JSON."""
    if as_json:
        print_json(plain(outcome))
        return
    parts = [
        f"{outcome.verification_id}",
        f"v{outcome.version}",
        f"{outcome.state:<9}",
        outcome.recipient_masked,
        outcome.channel or "-",
        outcome.provider or "-",
        outcome.reason or "",
        outcome.detail or "",
    ]
    typer.echo("  ".join(parts).rstrip())

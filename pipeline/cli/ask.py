"""``pipeline check``, ``resend``, ``failover``, ``cancel``: asking a running verification something, from a shell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.context import settings
from pipeline.cli.output import Json, message, print_json, print_table
from pipeline.cli.send import Timeout, check_id_of, connected_to, plain
from pipeline.errors import DeadlinePassed

if TYPE_CHECKING:
    from pipeline.client import VerificationClient
    from pipeline.records.public import Reply
    from pipeline.settings import Settings

VerificationId = Annotated[str, typer.Argument(help="Verification id.")]
Step = Annotated[int | None, typer.Option("--step", min=0, help="Index of the step, from 0.")]
Tenant = Annotated[str | None, typer.Option(help="Only if the verification is this tenant's; else any.")]
CommandId = Annotated[
    str | None, typer.Option("--command-id", help="The same id gets the same reply, and is carried out once.")
]


def check(
    ctx: typer.Context,
    verification_id: VerificationId,
    code: Annotated[str, typer.Argument(help="The code as typed.")],
    check_id: Annotated[str | None, typer.Option("--check-id", help="The same id gets the same reply.")] = None,
    tenant: Tenant = None,
    timeout: Timeout = 5.0,
    as_json: Json = False,
) -> None:
    """Check a code; exit code 0 when it is right, 1 when not.

    Example: `pipeline check 5f0c0b5e-2f0e-4f43-9b4e-0d6c3f0a7d11 493817`
    """

    def ask(client: VerificationClient, request_id: str) -> Awaitable[Reply]:
        return client.check(verification_id, code, check_id=request_id, tenant=tenant, timeout_s=timeout)

    reply = _asked(ctx, verification_id, ask, check_id, "--check-id")
    if as_json:
        print_json(plain(reply))
    else:
        row = [verification_id, "yes" if reply.ok else "no", reply.reason, str(reply.checks_left), reply.state]
        print_table(["verification", "valid", "reason", "checks left", "state"], [row])
    _end(reply)


def resend(
    ctx: typer.Context,
    verification_id: VerificationId,
    step: Step = None,
    tenant: Tenant = None,
    command_id: CommandId = None,
    timeout: Timeout = 5.0,
    as_json: Json = False,
) -> None:
    """Send a step once more, without --step the active one; exit code 0 when it is begun, 1 when it is refused.

    Example: `pipeline resend 5f0c0b5e-2f0e-4f43-9b4e-0d6c3f0a7d11`
    """

    def ask(client: VerificationClient, request_id: str) -> Awaitable[Reply]:
        return client.resend(verification_id, step_index=step, command_id=request_id, tenant=tenant, timeout_s=timeout)

    _told(_asked(ctx, verification_id, ask, command_id, "--command-id"), as_json=as_json)


def failover(
    ctx: typer.Context,
    verification_id: VerificationId,
    step: Step = None,
    tenant: Tenant = None,
    command_id: CommandId = None,
    timeout: Timeout = 5.0,
    as_json: Json = False,
) -> None:
    """Begin a step at once, without --step the next one; exit code 0 when it is begun, 1 when it is refused.

    Example: `pipeline failover 5f0c0b5e-2f0e-4f43-9b4e-0d6c3f0a7d11 --step 1`
    """

    def ask(client: VerificationClient, request_id: str) -> Awaitable[Reply]:
        return client.failover(
            verification_id, step_index=step, command_id=request_id, tenant=tenant, timeout_s=timeout
        )

    _told(_asked(ctx, verification_id, ask, command_id, "--command-id"), as_json=as_json)


def cancel(
    ctx: typer.Context,
    verification_id: VerificationId,
    tenant: Tenant = None,
    command_id: CommandId = None,
    timeout: Timeout = 5.0,
    as_json: Json = False,
) -> None:
    """End a verification; exit code 0 when it is canceled, 1 when it had ended before.

    Example: `pipeline cancel 5f0c0b5e-2f0e-4f43-9b4e-0d6c3f0a7d11`
    """

    def ask(client: VerificationClient, request_id: str) -> Awaitable[Reply]:
        return client.cancel(verification_id, command_id=request_id, tenant=tenant, timeout_s=timeout)

    _told(_asked(ctx, verification_id, ask, command_id, "--command-id"), as_json=as_json)


def _asked(
    ctx: typer.Context,
    verification_id: str,
    ask: Callable[[VerificationClient, str], Awaitable[Reply]],
    given_id: str | None,
    option: str,
) -> Reply:
    """The reply; whoever got none is told how to ask the same once more."""
    import uuid

    from pipeline.process import run_loop

    check_id_of(verification_id, "verification id")
    request_id = given_id or str(uuid.uuid4())

    async def work() -> Reply:
        async with _client(settings(ctx)) as client:
            try:
                return await ask(client, request_id)
            except DeadlinePassed as error:
                raise DeadlinePassed(
                    f"{error}; does the pipeline run? The same once more, counted once: {option} {request_id}"
                ) from error

    return run_loop(work())


def _told(reply: Reply, *, as_json: bool) -> None:
    """What became of a command, and the exit code."""
    if as_json:
        print_json(plain(reply))
    else:
        step = None if reply.step_index is None else str(reply.step_index)
        again = "" if reply.retry_at is None else local_time(reply.retry_at)
        row = [reply.verification_id, "yes" if reply.ok else "no", reply.reason, step, reply.state, again]
        print_table(["verification", "accepted", "reason", "step", "state", "again at"], [row])
        message(sentence(reply.reason))
    _end(reply)


def _end(reply: Reply) -> None:
    if not reply.ok:
        raise typer.Exit(1)


def local_time(at_ms: int) -> str:
    """Epoch milliseconds as a person here reads them, rounded up to the second."""
    return f"{datetime.fromtimestamp(-(-at_ms // 1_000)).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def sentence(reason: str) -> str:
    """A reply's reason for people; the word itself where a later release has one that is not known here."""
    from pipeline.model.reasons import REPLY_SENTENCE, ReplyReason

    return REPLY_SENTENCE[ReplyReason(reason)] if reason in set(ReplyReason) else reason


@asynccontextmanager
async def _client(loaded: Settings) -> AsyncIterator[VerificationClient]:
    from pipeline.client import VerificationClient

    async with connected_to(loaded) as (log, codec), VerificationClient(log=log, codec=codec) as client:
        yield client

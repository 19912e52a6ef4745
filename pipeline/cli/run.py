"""``pipeline run``: one stage, the gateway, or all of them in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.context import settings

if TYPE_CHECKING:
    from pipeline.process import Parts, Service
    from pipeline.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Run one stage, the gateway, or all of them in one process.\n\nExample: `pipeline run all`",
)

Instance = Annotated[
    int | None,
    typer.Option(
        "--instance",
        min=0,
        max=9_999,
        help="Ordinal of this process within its stage; else PIPELINE_INSTANCE, else the number at the end of the "
        "host name. Two processes of a stage must not share one.",
    ),
]


@app.command()
def router(ctx: typer.Context, instance: Instance = None) -> None:
    """Pick channel and provider for each request.

    Example: `pipeline run router --instance 0`
    """
    from pipeline import services

    _run(settings(ctx), "router", instance, lambda parts: [services.router(parts)])


@app.command()
def tracker(ctx: typer.Context, instance: Instance = None) -> None:
    """Join results, receipts and checks into outcomes.

    Example: `pipeline run tracker --instance 0`
    """
    from pipeline import services

    _run(settings(ctx), "tracker", instance, lambda parts: [services.tracker(parts)])


@app.command()
def correlator(ctx: typer.Context, instance: Instance = None) -> None:
    """Find the attempts of receipts that name none.

    Example: `pipeline run correlator --instance 0`
    """
    from pipeline import services

    _run(settings(ctx), "correlator", instance, lambda parts: [services.correlator(parts)])


@app.command()
def projector(ctx: typer.Context, instance: Instance = None) -> None:
    """Fold outcomes and receipts into the database of verifications.

    Example: `pipeline run projector --instance 0`
    """
    from pipeline import services

    _run(settings(ctx), "projector", instance, lambda parts: [services.projector(parts)])


@app.command()
def sender(
    ctx: typer.Context,
    provider: Annotated[str, typer.Option("--provider", help="Name of the provider in the settings.")],
    instance: Instance = None,
) -> None:
    """Call one provider.

    Example: `pipeline run sender --provider ycloud --instance 0`
    """
    from pipeline import services
    from pipeline.senders import registry

    loaded = settings(ctx)
    registry.load_one(loaded, provider)  # a wrong name shall not wait for Kafka, nor be taken for its fault
    _run(loaded, f"sender.{provider}", instance, lambda parts: [services.SenderRunner(parts, provider)])


@app.command()
def gateway(ctx: typer.Context, instance: Instance = None) -> None:
    """Serve the REST API, and take the providers' webhooks.

    Example: `pipeline run gateway`
    """
    from pipeline import services

    _run(settings(ctx), "gateway", instance, lambda parts: [services.gateway(parts)])


@app.command(name="all")
def everything(ctx: typer.Context, instance: Instance = None) -> None:
    """Run every stage and the gateway in one process, for small installations.

    Example: `pipeline run all`
    """
    from pipeline import services

    _run(settings(ctx), "all", instance, services.everything)


def _run(loaded: Settings, name: str, instance: int | None, make: Callable[[Parts], Sequence[Service]]) -> None:
    from pipeline.logs import configure
    from pipeline.process import Process, opened, run_loop, spare_collections

    configure(loaded.logging)

    async def work() -> None:
        async with opened(loaded, client_id=name, instance=instance) as parts:
            process = Process(parts, make(parts))
            spare_collections()
            await process.run()

    run_loop(work())

"""The stages and edges as services of a process, built from settings."""

from __future__ import annotations

from typing import Any

from pipeline.correlator.stage import CorrelatorStage
from pipeline.gateway.service import GatewayService
from pipeline.model.messages import Catalogue
from pipeline.process import Parts, Service
from pipeline.readmodel.decoding import Decoder
from pipeline.readmodel.projector import Projector
from pipeline.records.journal import JournalEntry
from pipeline.router.stage import RouterStage
from pipeline.runtime.api import Stage
from pipeline.runtime.runner import StageRunner
from pipeline.senders import registry
from pipeline.senders.engine import SenderEngine
from pipeline.senders.stage import INPUTS
from pipeline.topics import CORRELATOR_STATE, ROUTER_STATE, TRACKER_STATE, attempts
from pipeline.tracker.stage import TrackerStage


def router(parts: Parts) -> StageRunner[Any]:
    """The stage that picks channel and provider."""
    capabilities = registry.capabilities(parts.settings)

    def make(partition: int, partitions: int) -> RouterStage:
        return RouterStage(
            codec=parts.codec,
            key_ring=parts.key_ring,
            settings=parts.settings,
            providers=capabilities,
            partitions=partitions,
        )

    return StageRunner(
        **_arguments(parts), name="router", inputs=RouterStage.inputs, changelog=ROUTER_STATE, make_stage=make
    )


def tracker(parts: Parts) -> StageRunner[Any]:
    """The stage that joins everything into outcomes."""

    def make(partition: int, partitions: int) -> TrackerStage:
        return TrackerStage(
            codec=parts.codec, key_ring=parts.key_ring, settings=parts.settings.policy, partitions=partitions
        )

    return StageRunner(
        **_arguments(parts), name="tracker", inputs=TrackerStage.inputs, changelog=TRACKER_STATE, make_stage=make
    )


def correlator(parts: Parts) -> StageRunner[Any]:
    """The stage that finds the attempts of receipts which name none."""

    def make(partition: int, partitions: int) -> CorrelatorStage:
        return CorrelatorStage(codec=parts.codec)

    return StageRunner(
        **_arguments(parts),
        name="correlator",
        inputs=CorrelatorStage.inputs,
        changelog=CORRELATOR_STATE,
        make_stage=make,
    )


class SenderRunner(StageRunner[JournalEntry]):
    """A sender's stage with the client, permits and running calls that outlive its tasks."""

    def __init__(self, parts: Parts, name: str) -> None:
        self._parts = parts
        self._provider = registry.load_one(parts.settings, name)
        self._engine: SenderEngine | None = None
        super().__init__(
            **_arguments(parts) | {"tables": [parts.schemas, parts.health]},
            name=f"sender.{name}",
            inputs=INPUTS,
            changelog=attempts(name),
            make_stage=self._make,
        )

    def _make(self, partition: int, partitions: int) -> Stage[JournalEntry]:
        if self._engine is None:
            self._engine = SenderEngine(
                provider=self._provider,
                limits=registry.limits(self._parts.settings, self._provider.instance),
                codec=self._parts.codec,
                key_ring=self._parts.key_ring,
                clock=self._parts.clock,
                partitions=partitions,
                min_time_left_s=self._parts.settings.policy.min_time_left_s,
                catalogue=Catalogue(tenants=self._parts.settings.tenants, templates=self._parts.settings.templates),
                exchange=registry.exchange(self._parts.settings, self._provider.instance),
            )
            self._parts.pauses.listen(self._provider.instance, self._engine.permits.pause)
        return self._engine.stage(partition)

    async def run(self) -> None:
        """Work until :meth:`stop`, then close the connections to the provider."""
        try:
            await super().run()
        finally:
            if self._engine is not None:
                await self._engine.close()


def gateway(parts: Parts) -> GatewayService:
    """The HTTP edge."""
    return GatewayService(parts)


def projector(parts: Parts) -> Projector:
    """What fills the database of verifications."""
    return Projector(
        log=parts.log,
        settings=parts.settings.readmodel,
        clock=parts.clock,
        decoder=Decoder(codec=parts.codec, clock=parts.clock, refresh=parts.schemas.caught_up),
        measures=parts.metrics,
        instance=parts.instance,
    )


def everything(parts: Parts) -> list[Service]:
    """All stages, the projector and the gateway, for small installations and the demo."""
    return [
        router(parts),
        tracker(parts),
        correlator(parts),
        projector(parts),
        *(SenderRunner(parts, name) for name in registry.load(parts.settings)),
        gateway(parts),
    ]


def _arguments(parts: Parts) -> dict[str, Any]:
    """What every stage runner takes from its process."""
    return {
        "log": parts.log,
        "clock": parts.clock,
        "settings": parts.settings.runtime,
        "metrics": parts.metrics,
        "dead_letters": parts.dead_letters,
        "instance": parts.instance,
        "tables": [parts.schemas],
        "rebalance_timeout_s": parts.settings.kafka.rebalance_timeout_ms / 1000,
    }

"""The stages and edges as services of a process, built from settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pipeline.errors import SettingsError
from pipeline.gateway.service import GatewayService
from pipeline.process import Parts, Service
from pipeline.router.stage import RouterStage
from pipeline.runtime.api import Input, Stage
from pipeline.runtime.runner import StageRunner
from pipeline.senders import registry
from pipeline.senders.engine import SenderEngine
from pipeline.senders.stage import INPUTS as SENDER_INPUTS
from pipeline.topics import ROUTER_STATE, TRACKER_STATE, attempts
from pipeline.tracker.stage import TrackerStage

S = TypeVar("S")


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

    return _runner(parts, "router", RouterStage.inputs, ROUTER_STATE, make)


def tracker(parts: Parts) -> StageRunner[Any]:
    """The stage that joins everything into outcomes."""

    def make(partition: int, partitions: int) -> TrackerStage:
        return TrackerStage(
            codec=parts.codec, key_ring=parts.key_ring, settings=parts.settings.policy, partitions=partitions
        )

    return _runner(parts, "tracker", TrackerStage.inputs, TRACKER_STATE, make)


def sender(parts: Parts, name: str) -> StageRunner[Any]:
    """The stage that calls one provider; raises SettingsError when it is not configured and enabled."""
    providers = registry.load(parts.settings)
    if name not in providers:
        known = ", ".join(sorted(providers)) or "none"
        raise SettingsError(f"providers.{name}: is not configured and enabled; enabled are: {known}")
    engines: dict[int, SenderEngine] = {}

    def make(partition: int, partitions: int) -> Stage[Any]:
        # One engine for all tasks of the process: client, permits and running calls outlive a task.
        if partitions not in engines:
            engines[partitions] = SenderEngine(
                provider=providers[name],
                limits=registry.limits(parts.settings, name),
                codec=parts.codec,
                key_ring=parts.key_ring,
                clock=parts.clock,
                partitions=partitions,
                min_time_left_s=parts.settings.policy.min_time_left_s,
            )
        return engines[partitions].stage(partition)

    return _runner(parts, f"sender.{name}", SENDER_INPUTS, attempts(name), make)


def gateway(parts: Parts) -> GatewayService:
    """The HTTP edge."""
    return GatewayService(parts)


def everything(parts: Parts) -> list[Service]:
    """All stages and the gateway, for small installations and the demo."""
    return [
        router(parts),
        tracker(parts),
        *(sender(parts, name) for name in registry.load(parts.settings)),
        gateway(parts),
    ]


def _runner(
    parts: Parts,
    name: str,
    inputs: Sequence[Input],
    changelog: str,
    make: Callable[[int, int], Stage[S]],
) -> StageRunner[S]:
    return StageRunner(
        name=name,
        inputs=inputs,
        changelog=changelog,
        make_stage=make,
        log=parts.log,
        clock=parts.clock,
        settings=parts.settings.runtime,
        metrics=parts.metrics,
        dead_letters=parts.dead_letters,
        instance=parts.instance,
    )

"""The deployment of one run: processes with clocks of their own, a gateway that can die, a log with moods."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pipeline import topics
from pipeline.clock import Clock
from pipeline.records.codec import Codec
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Emit, Stage
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.partition import partition_for
from pipeline.testing.clock import ManualClock
from pipeline.testing.deployment import NOW, Process
from pipeline.testing.simulation.broker import Broker, Moods, SlowMoods
from pipeline.testing.simulation.machine import Machine
from pipeline.testing.simulation.steps import Steps
from pipeline.testing.simulation.swarm import Swarm
from pipeline.testing.simulation.world import ENDS, GOING_ON, PHONES, World

PARTITIONS: Final = 2
SKEW_MS: Final = 2_000
"""No clock is ever wrong by more."""
SETTINGS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "bird": (dict(PHONES), {**PHONES, "list_path": "/verify", "get_path": "/verify/{id}"}, {**PHONES, **GOING_ON}),
    "telesign": ({}, {"smart_verify": True}),
    "thundersms": ({}, {"walk_channels": True, "requires_receipts": True}),
}
POLICY: Final[dict[str, Any]] = {
    "provider_check_s": 6, "max_attempts_total": 5, "no_receipt_wait_s": 8, "min_time_left_s": 3, "max_resends": 2,
}  # fmt: skip
RESENDS: Final[tuple[dict[str, Any], ...]] = (
    {"resend_code": "same", "resend_cooldown_s": [2], "max_resends": 1},
    {"resend_code": "new", "resend_cooldown_s": [1, 4]},
)
TENANTS: Final = {"default": {"code_length": 8, "min_code_length": 4}, "long": {"code_length": 12}}
PATIENCE_S: Final = 3.0
POISON_RUN: Final = 6
"""So many bad records in a row stop their stage, in runs that have as many."""
HASTY_END_S: Final = 2.0
"""What a process then has to end in: less than a call takes whose answer is slow."""
BREAKS: Final = (
    ("router", topics.REQUESTS), ("router", topics.ROUTER_INBOX), ("tracker", topics.DECISIONS),
    ("tracker", topics.RESULTS), ("sender", topics.send(topics.CHANNELS[0])), ("tracker", "timer"),
)  # fmt: skip


@cache
def _codec() -> Codec:
    """It learns nothing from what it writes and reads, and is costly to make."""
    return Codec()


class Deployed(World):
    """What is deployed in the run of one seed."""

    def __init__(self, swarm: Swarm, chance: random.Random, steps: Steps) -> None:
        names = chance.sample(sorted(ENDS), 2)
        chosen: dict[str, Any] = {name: dict(chance.choice(SETTINGS.get(name, ({},)))) for name in names}
        moods = (SlowMoods if "slow_markers" in swarm else Moods)(swarm, chance, steps)

        def broker(clock: Clock) -> Broker:
            made = Broker(
                clock,
                faults=moods,
                session_timeout_ms=6_000,
                rebalance_timeout_ms=8_000,
                transaction_timeout_ms=2_000,
            )
            made.steps = steps
            return made

        policy = dict(POLICY | chance.choice(RESENDS))
        if chance.random() < 0.3:
            policy["max_failures_per_recipient"] = 5
        runtime: dict[str, Any] = {}
        if "poison_runs" in swarm:
            runtime["max_poison_run"] = POISON_RUN
        if "hasty_ends" in swarm:
            runtime["shutdown_s"] = HASTY_END_S
        super().__init__(
            tenants=TENANTS,
            runtime=runtime,
            policy=policy,
            deployed={
                "partitions": PARTITIONS,
                "codec": _codec(),
                "cluster": broker,
                "max_message_bytes": {topics.DECISIONS: 3_000},
            },
            **chosen,
        )
        self.moods = moods
        self.swarm = swarm
        self.timeout_s = 5.0
        self.fetch_ms, self.ends_every_s = 1_000, 0.1
        self.clocks: dict[Machine, ManualClock] = {}
        self.hosts: dict[str, ManualClock] = {}
        self.broken: set[str] = set()
        """Ids on whose records a stage breaks."""
        stage, what = chance.choice(BREAKS)
        self._breaks = (f"sender.{names[0]}" if stage == "sender" else stage, what)
        self._chance = chance
        self._gateway: tuple[Machine, Any] | None = None
        self.machines: list[Machine] = []

    def host_clock(self, name: str) -> ManualClock:
        """The clock of the host where that process runs, each time it is started."""
        if name not in self.hosts:
            off_ms = self._chance.randint(-SKEW_MS, SKEW_MS) if "clocks" in self.swarm else 0
            clock = ManualClock(now_ms=NOW + off_ms)
            loop = asyncio.get_running_loop()
            clock.bind(loop.time)
            clock.jump(round(loop.time() * 1_000))
            self.hosts[name] = clock
        return self.hosts[name]

    def jump(self, name: str) -> None:
        """Set that host's clock, within what clocks may be wrong."""
        off_ms = self.hosts[name].now_ms() - self.clock.now_ms()
        self.hosts[name].jump(self._chance.randint(-SKEW_MS, SKEW_MS) - off_ms)

    def machine(self, name: str, process: Process) -> Machine:
        """A process of that name, about to start."""
        machine = Machine(name, process.crash)
        self.clocks[machine] = process.clock
        self.machines.append(machine)
        return machine

    async def write(
        self,
        topic: str,
        value: AvroRecord | bytes | None,
        *,
        key: bytes,
        partition: int | None = None,
        surely: bool = False,
    ) -> tuple[int, int]:
        """One record as a producer writes it; where it went. ``surely``: whatever mood the log is in."""
        data = self.codec.encode(value) if isinstance(value, AvroRecord) else value
        if surely:
            place = partition_for(key, self.partitions) if partition is None else partition
            where = TopicPartition(topic, place)
            return place, self.cluster.append(where, Emit(topic, key, data), writer_time_ms=self.clock.now_ms())
        return await (await self.log.producer()).send(Emit(topic, key, data, partition))

    async def webhook(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """To a gateway that may die; raises TimeoutError when it says nothing."""
        if self._gateway is None or self._gateway[0].dead:
            clock = self.host_clock("gateway")
            process = Process(self.cluster, 0, clock)
            machine = self.machine("gateway", process)
            self._gateway = machine, await self.gateway(process.log, clock)
            if "kills" in self.swarm and self.moods.rages() and self._chance.random() < 0.3:
                machine.dies_after_steps(self._chance.randint(1, 120))
        machine, client = self._gateway
        posting = machine.start(client.post(f"/v1/webhooks/{path}", content=body, headers=dict(headers)))
        await asyncio.wait({posting}, timeout=PATIENCE_S)
        if not posting.done():
            raise TimeoutError
        status: int = posting.result().status_code
        return status

    def prepared(self, stage: Stage[Any]) -> Stage[Any]:
        """A stage that breaks on some verifications, where that is on."""
        name, what = self._breaks
        if "bug" not in self.swarm or stage.name != name:
            return stage
        handle, fire = stage.handle, stage.fire

        def breaking(record: Any, *rest: Any) -> Any:
            if record.topic in (what, topics.bulk(what)) and self._is_broken(record.key, record.value):
                raise RuntimeError("simulated bug")
            return handle(record, *rest)

        def firing(key: bytes, *rest: Any) -> Any:
            if what == "timer" and key.decode(errors="replace") in self.broken:
                raise RuntimeError("simulated bug")
            return fire(key, *rest)

        stage.handle, stage.fire = breaking, firing  # type: ignore[method-assign,assignment]
        return stage

    def _is_broken(self, key: bytes | None, value: bytes | None) -> bool:
        return any(each.encode() == key or (value and each.encode() in value[:14]) for each in self.broken)

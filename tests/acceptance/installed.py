"""An installation for as long as somebody needs it, and what tests of processes of their own have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from tests.acceptance.harness import PARTITIONS, TWO_KINDS, Deployment
from tests.acceptance.stranger import Stranger

ALL: Final = {"all": ("run", "all")}
"""Everything in one process."""


def each_alone(*providers: str) -> dict[str, tuple[str, ...]]:
    """Every stage a process of its own, and a sender for each of these providers."""
    stages = {name: ("run", name) for name in ("gateway", "router", "tracker")}
    return stages | {name: ("run", "sender", "--provider", name) for name in providers}


@contextmanager
def installed(
    *,
    kafka: str,
    folder: Path,
    processes: Mapping[str, tuple[str, ...]],
    providers: str = TWO_KINDS,
    partitions: int = PARTITIONS,
    replicas: int = 1,
) -> Iterator[Deployment]:
    """A deployment that is ready; in the end SIGTERM must end every process cleanly."""
    house = Deployment(
        kafka=kafka, folder=folder, processes=processes, providers=providers, partitions=partitions, replicas=replicas
    )
    try:
        house.start()
        yield house
    finally:
        codes = house.stop()
        house.simulator.close()
    assert set(codes.values()) == {0}, codes


@contextmanager
def visited(house: Deployment) -> Iterator[Stranger]:
    """A service that publishes to this deployment and reads from it; in the end it tells what went wrong in reading."""
    stranger = Stranger(house.kafka, house.prefix)
    try:
        yield stranger
    finally:
        stranger.close()


def numbers(first: int) -> Iterator[str]:
    """German mobile numbers that nobody had before; none of them means anything to the simulator."""
    return (f"+49151{first + step:08d}" for step in count(37, 37) if step % 1_000_000 // 100 != 9_000)

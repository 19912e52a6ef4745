"""Many seeds over several processes: what each broke and reached."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.testing.simulation import invariants, sometimes
from pipeline.testing.simulation.run import simulate

PAST_SEEDS: Final = Path(__file__).with_name("past_seeds.txt")


class Verdict(NamedTuple):
    """On one seed."""

    seed: int
    broken: list[str]
    """The promises that did not hold, each with how."""
    reached: set[str]
    """Of :data:`pipeline.testing.simulation.sometimes.POINTS`."""
    digest: str
    """Of all bytes in all topics at the end."""


def judge(seed: int) -> Verdict:
    """Run one seed and hold the promises against it; a run that breaks off is a broken promise too."""
    try:
        seen = simulate(seed)
        return Verdict(seed, invariants.broken(seen), sometimes.reached(seen), seen.digest)
    except Exception as error:
        where = " < ".join(f"{each.name}:{each.lineno}" for each in reversed(traceback.extract_tb(error.__traceback__)))
        return Verdict(seed, [f"the run broke off: {type(error).__name__}: {error} at {where}"], set(), "")


def judge_all(seeds: Sequence[int], jobs: int) -> Iterator[Verdict]:
    """All of them, each as soon as it is there."""
    if jobs <= 1:
        yield from map(judge, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(judge, seeds, chunksize=4)


def past_seeds(file: Path = PAST_SEEDS) -> dict[int, str]:
    """Seeds that once failed, and what they found."""
    lines = [line.partition(" ") for line in file.read_text(encoding="utf-8").splitlines()]
    return {int(seed): found.strip() for seed, _, found in lines if seed and not seed.startswith("#")}

"""All benchmarks one after the other, each in a process of its own."""

# Not in ``__main__``: a spawned interpreter does not import a package's ``__main__`` again, and would not find ``run``.

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from pipeline.process import spare_collections
from tests.benchmarks.arguments import names
from tests.benchmarks.figures import Figures, shown, write
from tests.benchmarks.kafka import broker

PURE = ("router", "tracker", "senders", "providers", "readmodel", "gateway", "door")
ON_KAFKA = ("framework", "restore", "start_to_call", "bare_hops", "checks", "http")
RESULT = Path("build/bench.json")


def run(name: str, bootstrap: str | None) -> Figures:
    """One benchmark, here and now."""
    module = importlib.import_module(f"tests.benchmarks.{name}")
    spare_collections()  # as each process of ours does
    found: Figures = module.measure() if bootstrap is None else module.measure(bootstrap)
    return found


def fresh(name: str, bootstrap: str | None) -> Figures:
    """One benchmark in a new interpreter, so that none inherits another's heap."""
    print(f"{name} ... (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, name, bootstrap).result()


def main() -> None:
    wanted = names(__doc__, (*PURE, *ON_KAFKA))
    figures: Figures = {}
    for name in PURE:
        if name in wanted:
            figures |= fresh(name, None)
    if wanted & set(ON_KAFKA):
        with broker() as bootstrap:
            for name in ON_KAFKA:
                if name in wanted:
                    figures |= fresh(name, bootstrap)
    print(shown(figures))
    write(figures, RESULT)
    print(f"written to {RESULT}")

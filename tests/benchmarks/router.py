"""CPU per request of the router's pure part: decode, decide, encode outputs and state.

With each library that reads phone numbers, in turns, and beside them the library alone: reading numbers is the one
large cost that is not ours, and a busy machine makes it dearer by as much as the rest.
"""

from __future__ import annotations

import time
from importlib.util import find_spec

import phonenumbers

from pipeline.model import numbering_python  # noqa: F401  (it has phonenumbers keep its expressions)
from pipeline.model.numbering import Library
from pipeline.model.recipient import read_numbers_with
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figures, best, shown
from tests.benchmarks.flow import MIX_OF_REQUESTS, Driven, inputs_of_router, numbers, router

WARM_UP, RUN, RUNS = 2_000, 4_000, 5
NAMES: dict[Library, str] = {"phonenumbers": "router_us", "rphonenumbers": "router_rust_us"}


def yardstick(typed: list[str]) -> float:
    """Microseconds for parse, validate, type and format of one number by ``phonenumbers``, written plainly."""
    began = time.process_time()
    for text in typed:
        number = phonenumbers.parse(text)
        phonenumbers.is_valid_number(number)
        phonenumbers.number_type(number)
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return (time.process_time() - began) / len(typed) * 1e6


def measure() -> Figures:
    """``router_us`` and, where the extra is installed, ``router_rust_us``."""
    libraries: list[Library] = ["phonenumbers"]
    if find_spec("rphonenumbers") is not None:
        libraries.append("rphonenumbers")
    records = inputs_of_router(WARM_UP + RUN * RUNS)
    typed = numbers(RUN)
    driven = {library: Driven(router()) for library in libraries}
    runs: dict[Library, list[float]] = {library: [] for library in libraries}
    alone: list[float] = []
    for at in (0, *range(WARM_UP, len(records), RUN)):
        part = records[:WARM_UP] if at == 0 else records[at : at + RUN]
        alone.append(yardstick(typed))
        for library in libraries:
            read_numbers_with(library)
            runs[library].append(driven[library].run(part))
    read_numbers_with("phonenumbers")
    assert all(len(each.emits) > len(records) for each in driven.values()), (
        "most requests give a decision and a command"
    )
    figures: Figures = {}
    for library in libraries:
        measured = runs[library][1:]
        ratio = min(run / one for run, one in zip(measured, alone[1:], strict=True))
        note = f"per request, {ratio:.2f} x parse + validate + type + format by phonenumbers ({min(alone):.0f} us)"
        figures[NAMES[library]] = best(measured, "us", f"{note}; {MIX_OF_REQUESTS}")
    return figures


if __name__ == "__main__":
    expect_none(__doc__)
    print(shown(measure()))

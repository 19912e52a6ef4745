"""The table of ``make bench``."""

from __future__ import annotations

import re

from tests.benchmarks.figures import Figure, shown


def test_columns_never_run_together_however_long_a_cell_is() -> None:
    figures = {
        "start_to_call_200_p50_ms_of_everything": Figure(1.5, "ms", "one"),
        "flow": Figure(1234567.0, "records/s", "two", [123456.7 * n for n in range(9)]),
    }
    lines = shown(figures).splitlines()
    rows = [re.split(r" {2,}", line.strip()) for line in lines]
    assert rows[0] == ["name", "value", "unit", "all runs", "measured"]
    assert rows[1] == ["start_to_call_200_p50_ms_of_everything", "1.5", "ms", "one"]
    assert (rows[2][0], rows[2][2], rows[2][4]) == ("flow", "records/s", "two")
    assert len({line.index(note) for line, note in zip(lines, ("measured", "one", "two"), strict=True)}) == 1

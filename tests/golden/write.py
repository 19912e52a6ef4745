"""Writes the golden files of a release: ``python -m tests.golden.write 1``.

For each record released as that version: ``<Record>.v<N>.bin``, its framed bytes as every later release must read them,
and ``.json``, what they say. A file that exists is left alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from pipeline.records.catalogue import RECORDS
from pipeline.records.codec import Codec
from pipeline.records.released import released
from tests.unit.records.strategies import filled

FOLDER = Path(__file__).parent


def main(version: int) -> None:
    codec = Codec(write_version=version)
    for kind in RECORDS:
        path = FOLDER / f"{kind.__name__}.v{version}.bin"
        if version not in released().get(kind.__name__, {}) or path.exists():
            continue
        record = filled(kind, seed=version)
        path.write_bytes(codec.encode(record))
        text = msgspec.json.format(msgspec.json.encode(record), indent=2)
        path.with_suffix(".json").write_bytes(text + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))

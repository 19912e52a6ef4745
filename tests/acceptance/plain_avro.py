"""Avro by fastavro and the published schemas alone: single-object framing is ten bytes, written by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

SCHEMAS = Path(__file__).parents[2] / "schemas"
MAGIC = b"\xc3\x01"

Fields = Mapping[str, Any]


class Schema:
    """A writer schema of one's own, and the bytes it gives."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parsed = parse_schema(json.loads(text))
        # fastavro writes the fingerprint's bytes in the order in which the framing has them: little-endian.
        self._crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(self.parsed), "CRC-64-AVRO"))

    @classmethod
    def of(cls, record: str) -> Schema:
        """The published schema of one record."""
        return cls((SCHEMAS / f"{record}.avsc").read_text(encoding="utf-8"))

    @property
    def frame(self) -> bytes:
        """The ten bytes before each record."""
        return MAGIC + self._crc

    @property
    def key(self) -> str:
        """The key on ``verification.schemas``: 16 hex digits, most significant first."""
        return self._crc[::-1].hex()

    def write(self, fields: Fields) -> bytes:
        """One framed record; what is left out gets the schema's default."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.parsed, fields)
        return self.frame + out.getvalue()

    def read(self, value: bytes, reader: Schema) -> dict[str, Any]:
        """A framed record written with this schema, as ``reader`` has it."""
        decoded = fastavro.schemaless_reader(io.BytesIO(value[len(self.frame) :]), self.parsed, reader.parsed)
        assert isinstance(decoded, dict)
        return decoded

"""Which writer schemas may be read with, and the readers made for them.

A schema gets in only when its full name is a record of ours and every record written with it can be read as ours. They
come from our own types, their released versions, a folder, the topic ``verification.schemas`` and a registry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pipeline.errors import SettingsError
from pipeline.records.binary_read import Read, Unresolvable, compile_reader
from pipeline.records.catalogue import RECORDS
from pipeline.records.released import released
from pipeline.records.schema_of import named_types, schema_of
from pipeline.records.schemas import InvalidSchema, Schema, fingerprint_key, parse
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Record

MAX_FOREIGN: Final = 1_000
"""Schemas that are not ours: whoever may write to the topic must not be able to fill the memory with readers."""
_MAX_WHY: Final = 300
"""Characters remembered of why a schema was refused: it may hold a name, and that may be as long as the schema."""
_FINGERPRINT: Final = re.compile(rb"[0-9a-f]{16}")
"""A key of ``verification.schemas``, see :func:`fingerprint_key`."""


class SchemaRefused(ValueError):
    """A writer schema that is not read with; the message says why and holds nothing of any record."""


@dataclass(frozen=True, slots=True)
class Readable:
    """A writer schema that was let in."""

    schema: Schema
    record: type[AvroRecord]
    read: Read


@cache
def current(record: type[AvroRecord]) -> Readable:
    """Our own schema of a record, and the reader that goes with it."""
    schema = parse(json.dumps(schema_of(record), separators=(",", ":")))
    return Readable(schema, record, compile_reader(schema.linked, schema.linked, named_types(record)))


class SchemaStore:
    """Writer schemas by fingerprint. Without arguments it knows our current and all released ones."""

    def __init__(self, records: Iterable[type[AvroRecord]] = RECORDS, *, schemas_dir: Path | None = None) -> None:
        """``schemas_dir`` holds further schemas (``*.avsc``). Raises SettingsError when one of them is refused."""
        self._known: dict[int, Readable] = {}
        self._records: dict[str, type[AvroRecord]] = {}
        self._foreign = 0
        self._refusals: dict[int, str] = {}
        self._published: set[int] = set()
        for record in records:
            self.register(record)
        for versions in released().values():
            for schema in versions.values():
                if schema.name in self._records:
                    self._admit(schema)
        if schemas_dir is not None:
            self._add_folder(schemas_dir)

    def register(self, record: type[AvroRecord]) -> Readable:
        """Make a record of ours readable; returns its current schema and reader."""
        own = current(record)
        self._records[own.schema.name] = record
        self._known.setdefault(own.schema.fingerprint, own)
        return own

    def find(self, fingerprint: int) -> Readable | None:
        """The reader for a writer schema, or None when it is unknown or was refused."""
        return self._known.get(fingerprint)

    def refusal(self, fingerprint: int) -> str | None:
        """Why a schema of this fingerprint was refused, when one was offered."""
        return self._refusals.get(fingerprint)

    @property
    def published(self) -> frozenset[int]:
        """Fingerprints seen on ``verification.schemas``."""
        return frozenset(self._published)

    def add(self, text: str) -> int:
        """Let in a writer schema given as JSON; returns its fingerprint. Adding one twice changes nothing.

        Raises SchemaRefused: not Avro, too large or too deep, unsafe to read, not a record of ours, not readable as it.
        """
        try:
            schema = parse(text)
        except InvalidSchema as error:
            raise SchemaRefused(str(error)) from None
        if schema.fingerprint in self._known:
            return schema.fingerprint
        if self._foreign >= MAX_FOREIGN:
            raise self._refuse(schema, f"there are {MAX_FOREIGN} foreign schemas already")
        self._admit(schema)
        self._foreign += 1
        return schema.fingerprint

    def apply(self, record: Record) -> str | None:
        """Take in one record of ``verification.schemas``.

        Returns None, or why it was refused, for the log: nothing on that topic may stop its readers. A tombstone
        changes nothing, as records of that schema may still come.
        """
        if record.value is None:
            return None
        try:
            fingerprint = self.add(record.value.decode())
        except (UnicodeDecodeError, SchemaRefused) as error:
            why = str(error) if isinstance(error, SchemaRefused) else "the schema is not UTF-8"
            # What is no schema has no fingerprint of its own; records written with it name the one in the key.
            if (named := _FINGERPRINT.fullmatch(record.key or b"")) is not None:
                self._remember(int(named[0], 16), why)
            return why
        self._published.add(fingerprint)
        if record.key != fingerprint_key(fingerprint).encode():
            return f"the key is not {fingerprint_key(fingerprint)}, the fingerprint of the schema"
        return None

    def _admit(self, schema: Schema) -> None:
        record = self._records.get(schema.name)
        if record is None:
            raise self._refuse(schema, f"{schema.name} is no record of ours")
        if schema.fingerprint in self._known:
            return
        ours = current(record).schema.linked
        try:
            read = compile_reader(schema.linked, ours, named_types(record))
        except Unresolvable as error:
            raise self._refuse(schema, str(error)) from None
        self._known[schema.fingerprint] = Readable(schema, record, read)

    def _refuse(self, schema: Schema, why: str) -> SchemaRefused:
        self._remember(schema.fingerprint, why)
        return SchemaRefused(why)

    def _remember(self, fingerprint: int, why: str) -> None:
        """The newest reasons are kept, as the topic keeps the newest schema of a key."""
        self._refusals.pop(fingerprint, None)
        if len(self._refusals) >= MAX_FOREIGN:
            self._refusals.pop(next(iter(self._refusals)))
        self._refusals[fingerprint] = why[:_MAX_WHY]

    def _add_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SettingsError(f"records.schemas_dir: {folder} is no folder; create it or remove the setting")
        for path in sorted(folder.glob("*.avsc")):
            try:
                self.add(path.read_text(encoding="utf-8"))
            except (SchemaRefused, UnicodeDecodeError, OSError) as error:
                raise SettingsError(
                    f"records.schemas_dir: {path.name} cannot be read with: {error}; mend or remove the file"
                ) from None

"""Records to bytes and back, framed: the only way a value gets onto or off a topic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from pipeline.errors import DeadLetterReason, Poison, UnknownSchema, UnpublishedSchema
from pipeline.records import framing
from pipeline.records.binary_numbers import Malformed
from pipeline.records.binary_read import Read
from pipeline.records.binary_write import Write, compile_writer
from pipeline.records.framing import Registry, UnknownFraming
from pipeline.records.released import released
from pipeline.records.schemas import Schema, fingerprint_key
from pipeline.records.store import Readable, SchemaRefused, SchemaStore
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Headers

R = TypeVar("R", bound=AvroRecord)

MAX_RECORD_BYTES: Final = 1_048_576
"""The broker's own default limit; nobody reads more, whatever a topic is configured to take."""


@dataclass(frozen=True, slots=True)
class _Writing:
    prefix: bytes
    write: Write
    headers: Headers


class Codec:
    """Encodes with our schemas, decodes with every schema its store knows. One per process, for one thread."""

    def __init__(
        self, store: SchemaStore | None = None, *, registry: Registry | None = None, write_version: int | None = None
    ) -> None:
        """``registry`` switches writing to Confluent's framing (both framings are always read).

        ``write_version`` keeps writers on the schemas of that release, until every reader has the newer ones; None
        writes the current ones.
        """
        self.store = store if store is not None else SchemaStore()
        self._registry = registry
        self._write_version = write_version
        self._own: dict[type[AvroRecord], tuple[bytes, Read]] = {}
        self._writing: dict[type[AvroRecord], _Writing] = {}
        self._by_id: dict[int, Readable] = {}

    def encode(self, record: AvroRecord) -> bytes:
        """The record's bytes with their framing.

        Raises Infrastructure while a registry does not have our schema yet; OverflowError, TypeError, AttributeError or
        UnicodeEncodeError for a record whose fields are not what its type says (a bug of the caller).
        """
        writing = self._writing.get(type(record))
        if writing is None:
            writing = self._prepare(type(record))
        return writing.prefix + writing.write(record)

    def headers(self, record: AvroRecord) -> Headers:
        """The headers every record of ours carries: ``schema``, the record's name."""
        writing = self._writing.get(type(record))
        return writing.headers if writing is not None else (("schema", type(record).__name__.encode()),)

    def decode(self, kind: type[R], data: bytes | None, *, public: bool) -> R:
        """Read a record of type ``kind``.

        Raises Poison: ``unknown_framing``, ``unknown_schema`` (only for ``public`` topics), ``undecodable``,
        ``too_large``. Raises UnpublishedSchema for an unknown schema on an internal topic (a rolling upgrade is under
        way: wait), and whatever Infrastructure the registry raises. Hostile bytes cost time and memory in proportion
        to their length, and end in Poison whatever they are; its detail quotes none of them.
        """
        if data is None:
            raise Poison(DeadLetterReason.UNDECODABLE, f"the value is null where a {kind.__name__} belongs")
        if len(data) > MAX_RECORD_BYTES:
            raise Poison(
                DeadLetterReason.TOO_LARGE, f"the value has {len(data)} bytes, more than the {MAX_RECORD_BYTES} allowed"
            )
        own = self._own.get(kind)
        if own is None:
            own = self._register(kind)
        if data.startswith(own[0]):
            read, at = own[1], len(own[0])
        else:
            read, at = self._find(kind, data, public)
        try:
            record, end = read(data, at)
        except Malformed as error:
            raise Poison(DeadLetterReason.UNDECODABLE, f"the value is no {kind.__name__}: {error}") from None
        except IndexError:
            raise Poison(
                DeadLetterReason.UNDECODABLE, f"the value is no {kind.__name__}: cut short, or an index too large"
            ) from None
        except Exception as error:
            # The boundary to strangers' bytes. What may come is UnicodeDecodeError and struct.error; whatever else
            # bytes can provoke must not take the task down with it, and its text may quote them.
            raise Poison(
                DeadLetterReason.UNDECODABLE, f"the value is no {kind.__name__} ({type(error).__name__})"
            ) from None
        if end != len(data):
            flaw = "cut short" if end > len(data) else f"{len(data) - end} bytes are left over"
            raise Poison(DeadLetterReason.UNDECODABLE, f"the value is no {kind.__name__}: {flaw}")
        return cast(R, record)

    def writer_schema(self, kind: type[AvroRecord]) -> Schema:
        """The schema that records of this type are written with."""
        own = self.store.register(kind).schema
        if self._write_version is None:
            return own
        versions = released().get(kind.__name__, {})
        usable = [version for version in versions if version <= self._write_version]
        # A record that came later than write_version has no reader that would not know its first version.
        return versions[max(usable)] if usable else versions[min(versions)] if versions else own

    def writer_schemas(self, kinds: Iterable[type[AvroRecord]]) -> list[Schema]:
        """The schemas to publish before anything of these types is written."""
        return [self.writer_schema(kind) for kind in kinds]

    def _prepare(self, kind: type[AvroRecord]) -> _Writing:
        schema = self.writer_schema(kind)
        if self._registry is not None:
            prefix = framing.confluent(self._registry.schema_id(schema.fingerprint))
        else:
            prefix = framing.single_object(schema.fingerprint)
        writing = _Writing(prefix, compile_writer(schema.linked), (("schema", kind.__name__.encode()),))
        self._writing[kind] = writing
        return writing

    def _register(self, kind: type[AvroRecord]) -> tuple[bytes, Read]:
        readable = self.store.register(kind)
        self._own[kind] = framing.single_object(readable.schema.fingerprint), readable.read
        return self._own[kind]

    def _find(self, kind: type[AvroRecord], data: bytes, public: bool) -> tuple[Read, int]:
        """The reader for what is not framed as our own current schema, and where the body begins."""
        try:
            frame = framing.split(data)
        except UnknownFraming as error:
            raise Poison(DeadLetterReason.UNKNOWN_FRAMING, str(error)) from None
        if frame.fingerprint is not None:
            readable = self.store.find(frame.fingerprint)
            if readable is None:
                why = self.store.refusal(frame.fingerprint) or "none was taken from verification.schemas"
                raise _unknown(f"writer schema {fingerprint_key(frame.fingerprint)}: {why}", public)
        else:
            assert frame.schema_id is not None
            readable = self._registered(frame.schema_id, public)
        if readable.record is not kind:
            raise Poison(
                DeadLetterReason.UNDECODABLE,
                f"the value is a {readable.record.__name__} where a {kind.__name__} belongs",
            )
        return readable.read, frame.body

    def _registered(self, schema_id: int, public: bool) -> Readable:
        readable = self._by_id.get(schema_id)
        if readable is not None:
            return readable
        if self._registry is None:
            raise _unknown(f"registry schema id {schema_id}: no registry is configured ([registry] url)", public)
        text = self._registry.schema(schema_id)
        if text is None:
            raise _unknown(f"registry schema id {schema_id}: the registry has no such id", public)
        try:
            readable = self.store.find(self.store.add(text))
        except SchemaRefused as refusal:
            raise _unknown(f"registry schema id {schema_id}: {refusal}", public) from None
        assert readable is not None
        self._by_id[schema_id] = readable
        return readable


def _unknown(detail: str, public: bool) -> UnknownSchema | UnpublishedSchema:
    return UnknownSchema(DeadLetterReason.UNKNOWN_SCHEMA, detail) if public else UnpublishedSchema(detail)

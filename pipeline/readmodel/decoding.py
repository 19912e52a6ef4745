"""Records of the public topics for the fold; what cannot be read is passed over, as anybody may write there."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from pipeline import topics
from pipeline.clock import Clock, Seldom
from pipeline.errors import DeadLetterReason, Infrastructure, Poison, UnknownSchema
from pipeline.model.reference import REFERENCE_HEADER, told_reference
from pipeline.readmodel.fold import Folding
from pipeline.records.codec import Codec
from pipeline.records.public import DeliveryStatus, VerificationOutcome
from pipeline.runtime.api import Record

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
"""Shortest pause between two looks for a schema that is not known."""

_TYPES: Final[dict[str, type[VerificationOutcome] | type[DeliveryStatus]]] = {
    topics.OUTCOMES: VerificationOutcome,
    topics.STATUSES: DeliveryStatus,
    topics.bulk(topics.STATUSES): DeliveryStatus,
}


class Decoder:
    """Folds records into a batch; ``refresh`` reads the schemas published until now.

    ``skipped`` counts what was passed over, by topic.
    """

    def __init__(self, *, codec: Codec, clock: Clock, refresh: Callable[[], Awaitable[None]]) -> None:
        self._codec = codec
        self._clock = clock
        self._refresh = refresh
        self._seldom = Seldom()
        self._looked_s = -math.inf
        self.skipped: dict[str, int] = {}

    async def folded(self, records: Iterable[Record]) -> Folding:
        """The batch of these records, in their order."""
        folding = Folding()
        for record in records:
            try:
                try:
                    self._fold(folding, record)
                except UnknownSchema:
                    # It may have been published a moment before the record was.
                    await self._look_again()
                    self._fold(folding, record)
            except Poison as poison:
                self.skip(record, poison.reason)
            except (ValueError, OverflowError, OSError):
                # A value no field of ours can have, such as a time after the year 9999.
                self.skip(record, DeadLetterReason.UNDECODABLE)
        return folding

    def _fold(self, folding: Folding, record: Record) -> None:
        told: VerificationOutcome | DeliveryStatus
        told = self._codec.decode(_TYPES[record.topic], record.value, public=True)
        reference = told_reference(record.header(REFERENCE_HEADER))
        folding.add(told, recorded_at=record.timestamp_ms, reference=reference)

    async def _look_again(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return  # many records of one stranger are not worth a question each
        self._looked_s = now_s
        try:
            await self._refresh()
        except Infrastructure as error:
            log.warning("schemas not read", action="schemas_not_read", cause=str(error))

    def skip(self, record: Record, reason: str) -> None:
        """Count a record that is passed over, and tell of it, of many alike seldom."""
        self.skipped[record.topic] = self.skipped.get(record.topic, 0) + 1
        left_out = self._seldom.passes(self._clock.monotonic_s(), record.topic, reason)
        if left_out is not None:
            log.warning(
                "record skipped",
                action="projector_record_skipped",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                reason=reason,
                skipped=self.skipped[record.topic],
                not_told=left_out,
            )

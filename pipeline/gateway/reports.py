"""From what a provider reported to the record that is written for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from pipeline import topics
from pipeline.model.receipt_key import by_message_id, by_recipient
from pipeline.model.reference import REFERENCE_HEADER
from pipeline.records.types import AvroRecord, Channel
from pipeline.runtime.api import Emit, Headers
from pipeline.senders.provider import Report, Unplaced


class Encoder(Protocol):
    """How records are written (``pipeline.records.codec.Codec``)."""

    def encode(self, record: AvroRecord) -> bytes:
        """The framed record."""

    def headers(self, record: AvroRecord) -> Headers:
        """The headers every record of ours carries."""


class Reports:
    """Makes the records of one gateway."""

    def __init__(self, *, encoder: Encoder, recipient_key: Callable[[str], str]) -> None:
        """``recipient_key`` hashes a canonical recipient as the router does, over all tenants."""
        self._encoder = encoder
        self._recipient_key = recipient_key

    def emit(self, provider: str, report: Report | Unplaced, trace: Headers) -> Emit | None:
        """The record for one report to this instance; None for one that names neither message nor recipient."""
        if isinstance(report, Report):
            return self._status(provider, report, trace)
        return self._receipt(provider, report, trace)

    def _status(self, provider: str, report: Report, trace: Headers) -> Emit:
        """One record for the plain topic, whatever lane the verification travels in.

        A webhook does not tell the lane, and guessing wrong in one direction costs people: an interactive delivery
        behind a bulk backlog would be read after its step's deadline, and the person would be called or texted
        again. In the other direction it costs the tracker some reading ahead of its interactive work. The header
        ``reference`` tells the tracker which message it was, as the record has no field for the decision.
        """
        status = replace(report.status, provider=provider)
        headers = ((REFERENCE_HEADER, report.reference.encode()), *trace)
        return self._written(topics.STATUSES, status.verification_id, status, headers)

    def _receipt(self, provider: str, report: Unplaced, trace: Headers) -> Emit | None:
        """One record for the correlator, keyed as the sender keyed its ref; the recipient goes no further."""
        if report.recipient is not None:
            recipient_key = self._recipient_key(report.recipient)
            receipt = replace(report.receipt, provider=provider, recipient_key=recipient_key)
            key = by_recipient(provider, recipient_key, receipt.channel or Channel.UNKNOWN)
        elif report.receipt.provider_message_id:
            receipt = replace(report.receipt, provider=provider, recipient_key="")
            key = by_message_id(provider, report.receipt.provider_message_id)
        else:
            return None
        return self._written(topics.RECEIPTS, key, receipt, trace)

    def _written(self, topic: str, key: str, record: AvroRecord, headers: Headers) -> Emit:
        headers = (*self._encoder.headers(record), *headers)
        return Emit(topic=topic, key=key.encode(), value=self._encoder.encode(record), headers=headers)

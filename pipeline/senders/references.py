"""Telling the correlator which attempt a provider's message is, where the provider's reports do not."""

from __future__ import annotations

from pipeline import topics
from pipeline.model.capabilities import Correlation, ProviderCapabilities
from pipeline.model.receipt_key import by_message_id, by_recipient
from pipeline.model.reference import reference
from pipeline.records.codec import Codec
from pipeline.records.internal import MessageRef, SendCommand, SendResult
from pipeline.records.types import AttemptResult, Channel, CommandKind
from pipeline.runtime.api import Emit


class References:
    """Writes the references of one provider's messages."""

    def __init__(self, *, codec: Codec, capabilities: ProviderCapabilities, webhooks: bool) -> None:
        """``webhooks``: whether any are taken from this provider; else no reference would ever be asked for."""
        self._codec = codec
        self._capabilities = capabilities
        self._webhooks = webhooks

    def started(self, command: SendCommand, now_ms: int) -> list[Emit]:
        """Before the call: a report may come before the answer, and names nothing that the answer would tell."""
        if command.kind is not CommandKind.SEND or self._by(command.channel) is not Correlation.RECIPIENT:
            return []
        ref = MessageRef(
            verification_id=command.verification_id,
            attempt_id=command.attempt_id,
            decision_id=command.decision_id,
            bulk=command.bulk,
            provider=command.provider,
            channel=command.channel,
            reference=command.reference,
            recipient_key=command.recipient_key,
            written_at=now_ms,
        )
        return [self._emit(by_recipient(command.provider, command.recipient_key, command.channel), ref)]

    def accepted(self, result: SendResult, *, bulk: bool) -> list[Emit]:
        """When the provider has named the message, in its answer or to a look-up."""
        message_id = result.provider_message_id
        if message_id is None or result.result is not AttemptResult.ACCEPTED or result.kind is CommandKind.CHECK:
            return []
        if self._by(result.channel) is not Correlation.MESSAGE_ID:
            return []
        ref = MessageRef(
            verification_id=result.verification_id,
            attempt_id=result.attempt_id,
            decision_id=result.decision_id,
            bulk=bulk,
            provider=result.provider,
            channel=result.channel,
            provider_message_id=message_id,
            reference=reference(result.verification_id, result.n, result.decision_id),
            written_at=result.finished_at,
        )
        return [self._emit(by_message_id(result.provider, message_id), ref)]

    def _by(self, channel: Channel) -> Correlation:
        able = self._capabilities.channels.get(channel) if self._webhooks else None
        return Correlation.REFERENCE if able is None else able.correlation

    def _emit(self, key: str, ref: MessageRef) -> Emit:
        return Emit(topics.MESSAGE_REFS, key.encode(), self._codec.encode(ref), headers=self._codec.headers(ref))

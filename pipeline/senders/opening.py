"""Opening what a command holds sealed. Only here do a code and a recipient exist in clear, and only in memory."""

from __future__ import annotations

from pipeline.errors import DeadLetterReason, Poison
from pipeline.model.keys import KeyRing
from pipeline.records.internal import SendCommand
from pipeline.records.types import CodeHolder, CommandKind
from pipeline.senders.provider import Opened


def open_command(command: SendCommand, key_ring: KeyRing) -> Opened:
    """Raises UnknownWriter for a key id not known yet, Poison for what was changed or lacks its code."""

    def text(sealed: bytes, field: str) -> str:
        return key_ring.open(sealed, verification_id=command.verification_id, field=field).decode()

    payee = text(command.payee_sealed, "payee") if command.payee_sealed else None
    return Opened(
        # A report or a cancel names a message, not a person.
        recipient=text(command.recipient_sealed, "recipient") if command.recipient_sealed else "",
        code=_code(command, key_ring, payee),
        payee=payee,
        end_user_ip=text(command.end_user_ip_sealed, "end_user_ip") if command.end_user_ip_sealed else None,
        walk=tuple(text(step.recipient_sealed, "recipient") for step in command.walk),
    )


def seal_made(command_verification_id: str, code: str | None, key_ring: KeyRing) -> bytes | None:
    """A code that a provider made and told, for the one record that tells the tracker."""
    if code is None:
        return None
    return key_ring.seal(code.encode(), verification_id=command_verification_id, field="code", record="SendResult")


def _code(command: SendCommand, key_ring: KeyRing, payee: str | None) -> str | None:
    if command.kind in (CommandKind.LOOKUP, CommandKind.CANCEL):
        return None
    if command.kind is CommandKind.CHECK:
        return key_ring.open(
            command.code_sealed or b"", verification_id=command.verification_id, field="code", record="CodeCheck"
        ).decode()
    if command.code_holder is CodeHolder.OURS:
        return key_ring.code(
            command.kid,
            verification_id=command.verification_id,
            recipient_hash=command.key_recipient_hash,
            generation=command.generation,
            amount=command.amount,
            payee=payee,
            length=command.code_length,
        )
    if command.code_holder is CodeHolder.CALLER and command.code_sealed is not None:
        return key_ring.open(command.code_sealed, verification_id=command.verification_id, field="code").decode()
    if command.code_holder is CodeHolder.PROVIDER:
        return None
    raise Poison(DeadLetterReason.UNDECODABLE, "code_holder: says nobody who has a code", command.verification_id)

"""The key ring: deriving codes, sealing fields and hashing recipients.

Every key is used for one purpose only; HKDF-SHA256 with the labels ``derive``, ``seal`` and ``hash`` makes the purpose
keys from the ring's. The hash key stands outside the ring and does not rotate, as hashes are state keys.

**Codes** are derived, never stored: ``HMAC-SHA256(derive[kid], verification id, recipient hash, generation, amount,
payee, counter)``, all length-prefixed. Each digest holds four 64-bit numbers; one at or above the largest multiple of
``9 * 10**(n-1)`` is thrown away (taking it modulo would favour small codes) and the counter moves on when all four
are, so the stream never runs out. Codes never start with 0: three of five providers cannot carry that.

**Sealing** is AES-256-GCM-SIV with the nonce ``HMAC(nonce key, associated data | plaintext)[:12]``. It must be
deterministic, because a handler that runs again after an aborted transaction has to write the same bytes, and it must
survive a repeated nonce, because the aborted record stays readable next to what replaced it: so neither random nonces
nor ones from positions will do. GCM-SIV with a constant nonce would be both as well, but derives its message keys from
the nonce and so would put all messages of a ring key under one; the synthetic nonce spreads them and costs 2 µs.
Layout::

    0x01 | length of kid (1 byte) | kid (ASCII) | nonce (12 bytes) | ciphertext and tag

Associated data: length-prefixed record name, verification id, field name, so a sealed value moved to another place
does not open there.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import DeadLetterReason, Poison, UnknownWriter, UsageError
from pipeline.model.public_seal import PublicKey, open_with, prefixed, public_kid, seal_public

__all__ = ["KID", "KeyRing", "PublicKey", "seal_public"]

KID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""What a key id looks like; no dot, as the public key's text form uses it as separator."""

KEY_BYTES: Final = 32
_LAYOUT: Final = 1
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_SHORTEST_CODE: Final = 4
_LONGEST_CODE: Final = 12


class _RingKey:
    """The purpose keys made from one key of the ring."""

    __slots__ = ("aead", "derive", "head", "nonce", "public", "x25519")

    def __init__(self, kid: str, secret: bytes) -> None:
        self.derive = _expand(secret, b"derive")
        seal = _expand(secret, b"seal")
        self.aead = AESGCMSIV(_expand(seal, b"aead"))
        self.nonce = _expand(seal, b"nonce")
        self.head = bytes((_LAYOUT, len(kid))) + kid.encode("ascii")
        self.x25519 = X25519PrivateKey.from_private_bytes(_expand(seal, b"hpke-x25519"))
        self.public = PublicKey(kid, self.x25519.public_key().public_bytes_raw())


def _expand(secret: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=label).derive(secret)


@lru_cache(maxsize=256)
def _name(text: str) -> bytes:
    return prefixed(text.encode())


def _associated(record: str, verification_id: str, field: str) -> bytes:
    """What a sealed value is bound to; length-prefixed, so nothing appended to it can be taken for a part."""
    return _name(record) + prefixed(verification_id.encode()) + _name(field)


class KeyRing:
    """All keys of a deployment. Immutable; safe to share between tasks.

    ``keys`` maps key ids to 32 secret bytes in the order they were added, ``current`` is the one used for what is new,
    ``hash_key`` is 32 secret bytes that never change.
    """

    def __init__(self, *, keys: Mapping[str, bytes], current: str, hash_key: bytes) -> None:
        """Raises UsageError for a key id or key of the wrong form, or a ``current`` that is not in the ring."""
        for kid, secret in keys.items():
            if not KID.fullmatch(kid):
                raise UsageError("keys: a key id must be 1-32 letters, digits, '_' or '-'; rename its file")
            if len(secret) != KEY_BYTES:
                raise UsageError(f"keys: key {kid} has {len(secret)} bytes instead of 32; run pipeline keys new")
        if current not in keys:
            raise UsageError("keys: the current key is not in the ring; add its file or promote another key")
        if len(hash_key) != KEY_BYTES:
            raise UsageError(f"keys: the hash key has {len(hash_key)} bytes instead of 32; restore it from a backup")
        self._ring = {kid: _RingKey(kid, secret) for kid, secret in keys.items()}
        self._hash = _expand(hash_key, b"hash")
        self.current = current

    @classmethod
    def for_tests(cls, current: str = "t2") -> KeyRing:
        """A ring of two fixed keys that are public knowledge; for tests and simulations only."""
        return cls(
            keys={"t1": bytes(range(32)), "t2": bytes(range(32, 64))}, current=current, hash_key=bytes(range(64, 96))
        )

    @property
    def kids(self) -> tuple[str, ...]:
        """All key ids, oldest first."""
        return tuple(self._ring)

    def __repr__(self) -> str:
        return f"KeyRing(kids={self.kids!r}, current={self.current!r})"

    def seal(self, plaintext: bytes, *, verification_id: str, field: str, record: str = "Plan") -> bytes:
        """Seal a value for one field of one verification; the same input always gives the same bytes."""
        key = self._ring[self.current]
        associated = _associated(record, verification_id, field)
        nonce = hmac.digest(key.nonce, associated + plaintext, "sha256")[:_NONCE_BYTES]
        return key.head + nonce + key.aead.encrypt(nonce, plaintext, associated)

    def open(self, sealed: bytes, *, verification_id: str, field: str, record: str = "Plan") -> bytes:
        """The inverse of :meth:`seal`.

        Raises UnknownWriter for a layout or key id this process does not know yet (a rotation or upgrade is under way),
        and Poison ``undecodable`` for a value that was changed or stands in another place than it was sealed for.
        """
        start = 2 + sealed[1] if len(sealed) > 1 else 2
        if len(sealed) < start + _NONCE_BYTES + _TAG_BYTES:
            raise Poison(DeadLetterReason.UNDECODABLE, f"{field}: the sealed value is cut short", verification_id)
        if sealed[0] != _LAYOUT:
            raise UnknownWriter(f"{field}: sealed with layout {sealed[0]}, which this release cannot read; upgrade it")
        try:
            kid = sealed[2:start].decode("ascii")
        except UnicodeDecodeError as error:
            raise Poison(DeadLetterReason.UNDECODABLE, f"{field}: the key id is damaged", verification_id) from error
        key = self._key(kid)
        nonce = sealed[start : start + _NONCE_BYTES]
        associated = _associated(record, verification_id, field)
        try:
            return key.aead.decrypt(nonce, sealed[start + _NONCE_BYTES :], associated)
        except InvalidTag as error:
            raise Poison(
                DeadLetterReason.UNDECODABLE, f"{field}: was changed, or sealed for another place", verification_id
            ) from error

    def recipient_hash(self, tenant: str, canonical: str) -> str:
        """32 hex digits that name a recipient within one tenant; shown in outcomes."""
        return self.fingerprint("tenant-recipient", tenant.encode(), canonical.encode())

    def recipient_key(self, canonical: str) -> str:
        """32 hex digits that name a recipient over all tenants; the router's state key, never published."""
        return self.fingerprint("recipient", canonical.encode())

    def fingerprint(self, purpose: str, *parts: bytes | None) -> str:
        """32 hex digits of a keyed hash (BLAKE2b); other purposes give unrelated values."""
        return blake2b(prefixed(purpose.encode(), *parts), key=self._hash, digest_size=16).hexdigest()

    def code(
        self,
        kid: str,
        *,
        verification_id: str,
        recipient_hash: str,
        generation: int,
        amount: str | None,
        payee: str | None,
        length: int,
    ) -> str:
        """The code of a verification: ``length`` (4-12) digits, the first not 0.

        ``kid`` and ``recipient_hash`` are the pinned ones, ``generation`` counts new codes from 0. Raises UnknownWriter
        for a key id not known here, ValueError for a length outside 4-12.
        """
        if not _SHORTEST_CODE <= length <= _LONGEST_CODE:
            raise ValueError(f"code length {length} is outside {_SHORTEST_CODE}-{_LONGEST_CODE}")
        derive = self._key(kid).derive
        message = prefixed(
            verification_id.encode(),
            recipient_hash.encode(),
            str(generation).encode(),
            None if amount is None else amount.encode(),
            None if payee is None else payee.encode(),
        )
        lowest = 10 ** (length - 1)
        choices = 9 * lowest
        fair = (1 << 64) // choices * choices
        counter = 0
        while True:
            block = hmac.digest(derive, message + counter.to_bytes(4, "big"), "sha256")
            for start in (0, 8, 16, 24):
                number = int.from_bytes(block[start : start + 8], "big")
                if number < fair:
                    return str(lowest + number % choices)
            counter += 1

    def public_key(self, kid: str | None = None) -> PublicKey:
        """The public half producers seal to; of the current key when no other is named."""
        return self._key(self.current if kid is None else kid).public

    def open_public(
        self, sealed: bytes, *, verification_id: str, field: str, record: str = "VerificationRequest"
    ) -> str:
        """Open what a producer sealed with :func:`seal_public`.

        Raises Poison ``undecodable`` for everything that does not open, an unknown key id included: waiting for a key,
        as :meth:`open` does, would let any producer stop a partition.
        """
        kid = public_kid(sealed)
        key = None if kid is None else self._ring.get(kid)
        if key is None:
            raise Poison(
                DeadLetterReason.UNDECODABLE,
                f"{field}_sealed: not sealed with a key of this deployment; fetch the current public key",
                verification_id,
            )
        return open_with(key.x25519, sealed, verification_id=verification_id, field=field, record=record)

    def _key(self, kid: str) -> _RingKey:
        key = self._ring.get(kid)
        if key is None:
            raise UnknownWriter("a key id is used that is not in this process's ring; add the key file and restart")
        return key

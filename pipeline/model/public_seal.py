"""Sealing a code to the pipeline, for producers that must not hold a secret key (HPKE, RFC 9180, base mode).

Suite: DHKEM(X25519, HKDF-SHA256) ``0x0020``, HKDF-SHA256 ``0x0001``, AES-128-GCM ``0x0001``: the one every HPKE library
has. Layout of a sealed value::

    0x01 | length of kid (1 byte) | kid (ASCII) | enc (32 bytes) | ciphertext and tag

``info`` of the HPKE context binds the value to its place, so that a sealed code copied into another verification, or
from a request into a check, opens nowhere. It is the length-prefixed (4 bytes, big-endian) strings ``verification.v1``,
record name, verification id, field name; the AEAD's own associated data is empty. Text is UTF-8. The public key is
handed out as ``<kid>.<base64url of 32 bytes without padding>``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from pipeline.errors import DeadLetterReason, Poison, UsageError

LAYOUT: Final = 1
NAMESPACE: Final = b"verification.v1"
_SUITE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
_ENC_BYTES: Final = 32
_TAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of one key of the ring."""

    kid: str
    raw: bytes
    """32 bytes of X25519."""

    def text(self) -> str:
        """The form in which it is handed out; :meth:`parse` is the inverse."""
        return f"{self.kid}.{base64.urlsafe_b64encode(self.raw).rstrip(b'=').decode()}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read the handed-out form; raises UsageError for anything else."""
        kid, dot, encoded = text.strip().rpartition(".")
        try:
            raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not dot or not kid or len(raw) != _ENC_BYTES:
            raise UsageError("public key: not of the form <key id>.<base64url of 32 bytes>; ask GET /v1/keys/seal")
        return cls(kid, raw)


_SIZES: Final = tuple(size.to_bytes(4, "big") for size in range(256))


def prefixed(*parts: bytes | None) -> bytes:
    """Join parts so that no two different lists give the same bytes; None differs from empty."""
    joined = b""
    for part in parts:
        # A few short parts, hundreds of thousands of times a second: adding is quicker than a list that is joined.
        joined += b"\xff\xff\xff\xff" if part is None else _length(part) + part
    return joined


def _length(part: bytes) -> bytes:
    size = len(part)
    return _SIZES[size] if size < len(_SIZES) else size.to_bytes(4, "big")


def _info(record: str, verification_id: str, field: str) -> bytes:
    return prefixed(NAMESPACE, record.encode(), verification_id.encode(), field.encode())


def seal_public(
    public_key: PublicKey, text: str, *, verification_id: str, field: str, record: str = "VerificationRequest"
) -> bytes:
    """Seal ``text`` for the field of one record of one verification.

    The only function here that is not pure: HPKE draws an ephemeral key from the operating system, so sealing the same
    text twice gives different bytes.
    """
    kid = public_key.kid.encode()
    sealed = _SUITE.encrypt(
        text.encode(), X25519PublicKey.from_public_bytes(public_key.raw), info=_info(record, verification_id, field)
    )
    return bytes((LAYOUT, len(kid))) + kid + sealed


def public_kid(sealed: bytes) -> str | None:
    """The key id in front of a sealed value, or None when it is not of this layout."""
    if len(sealed) < 2 or sealed[0] != LAYOUT or len(sealed) < 2 + sealed[1] + _ENC_BYTES + _TAG_BYTES:
        return None
    try:
        return sealed[2 : 2 + sealed[1]].decode("ascii")
    except UnicodeDecodeError:
        return None


def open_with(private_key: X25519PrivateKey, sealed: bytes, *, verification_id: str, field: str, record: str) -> str:
    """Open a value whose key id was already looked up; raises Poison ``undecodable`` when sealed for another place."""
    try:
        opened = _SUITE.decrypt(sealed[2 + sealed[1] :], private_key, info=_info(record, verification_id, field))
        return opened.decode()
    except (InvalidTag, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise Poison(
            DeadLetterReason.UNDECODABLE,
            f"{field}_sealed: does not open; seal it with the current public key for this verification id",
            verification_id,
        ) from error

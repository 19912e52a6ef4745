"""What makes two requests with one id the same request."""

from __future__ import annotations

import msgspec

from pipeline.errors import Refused
from pipeline.model.keys import KeyRing
from pipeline.model.validate import Validator
from pipeline.records.public import VerificationRequest

_encoder = msgspec.msgpack.Encoder(order="deterministic")


def content_hash(request: VerificationRequest, key_ring: KeyRing, validator: Validator) -> str:
    """A keyed hash over everything but ``requested_at`` (the lane is no field): 32 hex digits.

    A sealed code counts by what is in it: sealing draws fresh bytes each time, so a producer that retries with the same
    code would otherwise be told that it changed the content.
    """
    code, sealed = request.code, request.code_sealed
    if sealed is not None and code is None:
        try:
            code, sealed = validator.own_code(request), None
        except Refused:
            code = None  # it opens nowhere and will be refused; its bytes are all there is to compare
    content = msgspec.structs.replace(request, requested_at=0, code=code, code_sealed=sealed)
    return key_ring.fingerprint("content", _encoder.encode(content))

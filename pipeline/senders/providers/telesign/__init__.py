"""Telesign Verify: SMS Verify, Voice Verify and Smart Verify.

Facts: Telesign's OpenAPI files and pages on status and error codes, authentication and callbacks, and its SDKs, as the
reference page collects them. There is no idempotency key, and a request with a fresh nonce sends and bills again.
"""

from __future__ import annotations

from pipeline.senders.providers.telesign.abilities import CAPABILITIES, able
from pipeline.senders.providers.telesign.provider import Telesign

__all__ = ["CAPABILITIES", "Telesign", "able"]

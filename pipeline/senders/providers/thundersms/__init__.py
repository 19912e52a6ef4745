"""ThunderSMS Verify, API v2 (a white label of the MOBtexting / BICS platform): sms, voice, WhatsApp and Viber.

Facts: ThunderSMS's own verify page, the platform vendor's documentation and that of its sister portals. No idempotency
key, no look-up by our reference: what became of a call without an answer cannot be asked.
"""

from __future__ import annotations

from pipeline.senders.providers.thundersms.abilities import CAPABILITIES, able
from pipeline.senders.providers.thundersms.provider import ThunderSms

__all__ = ["CAPABILITIES", "ThunderSms", "able"]

"""YCloud Verify, API v2: sms, voice, WhatsApp and e-mail."""

from __future__ import annotations

from pipeline.senders.providers.ycloud.provider import YCloud
from pipeline.senders.providers.ycloud.tables import CAPABILITIES, able

__all__ = ["CAPABILITIES", "YCloud", "able"]

"""ThunderSMS Verify v2: send, check, search, cancel, auth/me, and the platform's webhooks."""

from __future__ import annotations

from pipeline.simulator.providers.thundersms.provider import ThunderSms

__all__ = ["ThunderSms"]

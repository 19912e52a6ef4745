"""A mail server for submission: AUTH, SMTPUTF8, 8BITMIME, SIZE; no TLS, as it stays on this machine."""

from __future__ import annotations

from pipeline.simulator.providers.smtp.provider import Smtp
from pipeline.simulator.providers.smtp.server import MailServer

__all__ = ["MailServer", "Smtp"]

"""Plain SMTP for e-mail: our own text to any mail server; no receipts, as a mail server's last word is "taken".

Facts: RFC 5321 (SMTP), 5322, 2045-2049 (messages), 3207 (STARTTLS), 4954 (AUTH), 6531 (non-ASCII addresses), 3463 and
the IANA registry of enhanced status codes. This package is pure; :mod:`pipeline.senders.smtp_exchange` speaks.
"""

from __future__ import annotations

from pipeline.senders.providers.smtp.provider import CAPABILITIES, Smtp

__all__ = ["CAPABILITIES", "Smtp"]

"""Bird Verify (``api.bird.com``): sms, email and WhatsApp; Bird makes the code, sends it and checks what was typed.

Facts: Bird's pages on the Verify, Channels and Notifications APIs, and what independent integrations show. Bird takes
no reference and echoes none; its delivery events name neither the verification nor us, only receiver and channel. Its
next-generation platform (``platform.bird.com``) is another API and not served here.
"""

from __future__ import annotations

from pipeline.senders.providers.bird.capabilities import CAPABILITIES, able
from pipeline.senders.providers.bird.provider import Bird

__all__ = ["CAPABILITIES", "Bird", "able"]

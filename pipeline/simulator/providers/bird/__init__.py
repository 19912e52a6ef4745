"""Bird's Verify API: create, check, resend, failover, list, get, and the signed events of its channels."""

from __future__ import annotations

from pipeline.simulator.providers.bird.provider import Bird

__all__ = ["Bird"]

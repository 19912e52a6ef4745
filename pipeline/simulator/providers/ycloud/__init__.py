"""YCloud Verify, API v2."""

from __future__ import annotations

from pipeline.simulator.providers.ycloud.provider import YCloud

__all__ = ["YCloud"]

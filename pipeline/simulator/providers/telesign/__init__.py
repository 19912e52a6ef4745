"""Telesign: SMS Verify, Voice Verify, Smart Verify, their status, completion and callbacks."""

from __future__ import annotations

from pipeline.simulator.providers.telesign.provider import Telesign

__all__ = ["Telesign"]

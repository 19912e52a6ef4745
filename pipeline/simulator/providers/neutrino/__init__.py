"""Neutrino: SMS Verify, Phone Verify, Verify Security Code, Phone Validate, HLR Lookup."""

from __future__ import annotations

from pipeline.simulator.providers.neutrino.provider import Neutrino

__all__ = ["Neutrino"]

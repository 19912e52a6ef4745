"""Settings whose part of the program does not exist yet, refused as soon as they differ from their defaults.

A protection, a price or an API key that an operator believes to be in force and that does nothing is worse than an
error. Whoever builds the part takes its line out here.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.settings.finding import Finding
from pipeline.settings.policy import Protection
from pipeline.settings.root import Settings


def without_effect(settings: Settings) -> Iterator[Finding]:
    """One finding for each setting that would do nothing: its path, what is missing, and what to write instead."""
    yield from _protections(settings)
    yield from _prices(settings)
    yield from _edges(settings)


def _protections(settings: Settings) -> Iterator[Finding]:
    for name in type(settings.protections).model_fields:
        protection: Protection = getattr(settings.protections, name)
        if protection.mode != "off":
            yield Finding(f'protections.{name}.mode: this version does not apply it yet; set it to "off"')


def _prices(settings: Settings) -> Iterator[Finding]:
    if settings.prices.rules:
        yield Finding("prices.rules: this version counts no prices yet and keeps to no budget; remove them")


def _edges(settings: Settings) -> Iterator[Finding]:
    if settings.registry != type(settings.registry)():
        yield Finding(
            "registry: this version cannot use one yet; remove the section, records are framed as Avro single objects"
        )
    if settings.tracing.enabled:
        yield Finding("tracing.enabled: this version cannot export spans yet; set it to false")

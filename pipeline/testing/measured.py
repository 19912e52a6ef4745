"""What a deployment under test measured, in the real catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest

from pipeline.metrics import Metrics
from pipeline.runtime.api import Measure


class Figures:
    """Takes every measure; one that the catalogue refuses is kept, as the runtime only logs it."""

    def __init__(self) -> None:
        self._metrics = Metrics(CollectorRegistry())
        self.refused: list[str] = []

    def apply(self, measures: Iterable[Measure]) -> None:
        try:
            self._metrics.apply(measures)
        except ValueError as error:
            self.refused.append(str(error))
            raise

    def total(self, name: str, **labels: str) -> float:
        """The sum of a counter over the series with these labels, without the prefix of all names."""
        samples = [each for family in self._metrics.registry.collect() for each in family.samples]
        found = (each for each in samples if each.name == f"verification_{name}")
        return sum(each.value for each in found if labels.items() <= each.labels.items())

    def shown(self) -> bytes:
        """As Prometheus gets it."""
        return generate_latest(self._metrics.registry)

"""A schema registry in memory, for tests and trials."""

from __future__ import annotations

from pipeline.errors import LogUnavailable
from pipeline.records.schemas import parse


class MemoryRegistry:
    """Obeys :class:`pipeline.records.framing.Registry`; ids are given from 1 in the order of registration."""

    def __init__(self) -> None:
        self._schemas: dict[int, str] = {}
        self._ids: dict[int, int] = {}
        self.reachable = True
        """While False it answers nothing, as a registry that was not asked yet."""

    def register(self, text: str) -> int:
        """Register a schema; the same schema gets the same id."""
        fingerprint = parse(text).fingerprint
        if fingerprint not in self._ids:
            self._ids[fingerprint] = len(self._ids) + 1
            self._schemas[self._ids[fingerprint]] = text
        return self._ids[fingerprint]

    def schema(self, schema_id: int) -> str | None:
        """The schema's JSON, or None for an id that was never given."""
        self._ask()
        return self._schemas.get(schema_id)

    def schema_id(self, fingerprint: int) -> int:
        """The id of a registered schema. Raises LogUnavailable while it is not registered."""
        self._ask()
        if fingerprint not in self._ids:
            raise LogUnavailable(f"schema {fingerprint:016x} is not registered yet")
        return self._ids[fingerprint]

    def _ask(self) -> None:
        if not self.reachable:
            raise LogUnavailable("the schema registry has not answered yet")

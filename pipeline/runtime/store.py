"""The state of one task in memory, with an overlay for the transaction being built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

S = TypeVar("S")
_MISSING: Any = object()


class Store(Mapping[bytes, S], Generic[S]):
    """What a stage sees as its state: committed entries under those of the open transaction.

    Values must be immutable: an aborted transaction is undone by forgetting the overlay.
    """

    def __init__(self) -> None:
        self._committed: dict[bytes, S] = {}
        self._overlay: dict[bytes, S | None] = {}

    def __getitem__(self, key: bytes) -> S:
        value = self._overlay.get(key, _MISSING)
        if value is _MISSING:
            return self._committed[key]
        if value is None:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]

    def get(self, key: bytes, default: Any = None) -> Any:
        """The entry, or ``default``."""
        value = self._overlay.get(key, _MISSING)
        if value is _MISSING:
            return self._committed.get(key, default)
        return default if value is None else value

    def __contains__(self, key: object) -> bool:
        value = self._overlay.get(key, _MISSING)  # type: ignore[call-overload]
        return key in self._committed if value is _MISSING else value is not None

    def __iter__(self) -> Iterator[bytes]:
        for key in self._committed:
            if key not in self._overlay:
                yield key
        for key, value in self._overlay.items():
            if value is not None:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self) if self._overlay else len(self._committed)

    def change(self, changes: Mapping[bytes, S | None]) -> None:
        """Put (or, with None, delete) entries in the open transaction."""
        self._overlay.update(changes)

    @property
    def changed(self) -> Mapping[bytes, S | None]:
        """What the open transaction changes; the last value of each key."""
        return self._overlay

    def commit(self) -> None:
        """The open transaction is durable."""
        for key, value in self._overlay.items():
            if value is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = value
        self._overlay = {}

    def load(self, entries: Mapping[bytes, S]) -> None:
        """Replace everything by restored entries."""
        self._committed = dict(entries)
        self._overlay = {}

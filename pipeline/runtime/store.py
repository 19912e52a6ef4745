"""The state of one task in memory, with an overlay for the transaction being built."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pipeline.errors import Infrastructure, PipelineError, UnreadableState

S = TypeVar("S")
_MISSING: Any = object()


class Store(Mapping[bytes, S], Generic[S]):
    """What a stage sees as its state: committed entries under those of the open transaction.

    Committed entries are kept as the changelog has them and decoded when somebody asks, so that a million of them fit
    and are restored in seconds; the ``keep`` used last are kept decoded too, so that those in use cost nothing more.
    Values must be immutable: an aborted transaction is undone by forgetting the overlay.

    Looking at an entry raises UnreadableState when its bytes are none, and whatever Infrastructure ``decode`` raises.
    """

    def __init__(self, decode: Callable[[bytes], S], *, keep: int) -> None:
        self._decode = decode
        self._keep = keep
        self._committed: dict[bytes, bytes] = {}
        self._decoded: OrderedDict[bytes, S] = OrderedDict()
        """The committed entries used last, the latest at the end."""
        self._overlay: dict[bytes, S | None] = {}
        self.decodes = 0
        """Counts entries that were asked for and not among those kept decoded."""

    def __getitem__(self, key: bytes) -> S:
        value = self.get(key, _MISSING)
        if value is _MISSING:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]

    def get(self, key: bytes, default: Any = None) -> Any:
        """The entry, or ``default``."""
        value: Any = self._overlay.get(key, _MISSING)
        if value is not _MISSING:
            return default if value is None else value
        value = self._decoded.get(key, _MISSING)
        if value is not _MISSING:
            self._decoded.move_to_end(key)
            return value
        encoded = self._committed.get(key)
        if encoded is None:
            return default
        value = self._read(encoded)
        self.decodes += 1
        self._remember(key, value)
        return value

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
        # By what the open transaction changes: asked for every second, and counting a million takes a tenth of it.
        committed = self._committed
        changes = ((value is not None) - (key in committed) for key, value in self._overlay.items())
        return len(committed) + sum(changes)

    def change(self, changes: Mapping[bytes, S | None]) -> None:
        """Put (or, with None, delete) entries in the open transaction."""
        self._overlay.update(changes)

    @property
    def changed(self) -> Mapping[bytes, S | None]:
        """What the open transaction changes; the last value of each key."""
        return self._overlay

    def written(self, key: bytes) -> bytes | None:
        """A committed entry as the changelog has it, also one that cannot be read."""
        return self._committed.get(key)

    def commit(self, written: Mapping[bytes, bytes | None]) -> None:
        """The open transaction is durable; ``written`` has its entries as the changelog has them."""
        for key, value in self._overlay.items():
            encoded = written[key]
            if value is None or encoded is None:
                self._committed.pop(key, None)
                self._decoded.pop(key, None)
            else:
                self._committed[key] = encoded
                self._remember(key, value)
                self._decoded.move_to_end(key)
        self._overlay = {}

    def load(self, entries: dict[bytes, bytes], decoded: Mapping[bytes, S] | None = None) -> None:
        """Replace everything by restored entries; those decoded already are kept so until others are asked for."""
        self._committed = entries
        self._decoded = OrderedDict(decoded or {})
        self._overlay = {}

    def _read(self, encoded: bytes) -> S:
        try:
            return self._decode(encoded)
        except Infrastructure:
            raise
        except Exception as error:
            # Not as Poison: the record at hand is not to blame for what its entry looks like.
            why = str(error) if isinstance(error, PipelineError) else type(error).__name__
            raise UnreadableState(f"a state entry of {len(encoded)} bytes cannot be read: {why}") from error

    def _remember(self, key: bytes, value: S) -> None:
        self._decoded[key] = value
        # Two at a time: after a restore there may be many more, and to forget all at once would hold the loop up.
        for _ in range(2):
            if len(self._decoded) > max(1, self._keep):
                self._decoded.popitem(last=False)

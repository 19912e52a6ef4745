"""The API keys that a gateway knows: those of the settings, and those of the database, read again and again.

A key is kept as its SHA-256 alone. No slow hash (scrypt, Argon2) is needed, and none would help: those make guessing
what people choose expensive, and nobody guesses 256 random bits, of which ``pipeline api-keys new`` makes each key. At
thousands of requests per second a slow hash would rather be a way to stop a gateway with wrong keys.

A presented key is found by its digest. What a caller could learn from how long that takes is about digests, and finding
a key for a digest is as hard as guessing one; the last comparison takes constant time all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Final

import structlog

from pipeline.clock import Clock, Seldom
from pipeline.errors import ReadModelUnavailable, where
from pipeline.gateway.caller import Caller
from pipeline.gateway.door import Holder
from pipeline.readmodel.ports import ApiKeys, StoredKey
from pipeline.settings import ApiKeySettings, GatewaySettings

_READS: Final = 2
"""Per ``keys_refresh_s``, so that one that is slow or fails does not break what is promised."""
_FIRST_S: Final = 0.5
"""Between readings until one succeeds: at the start the tables may be in the making, and nobody is known yet."""

_log = structlog.get_logger("gateway")


class KnownKeys:
    """Finds the holder of a key; :meth:`start` and :meth:`stop` bracket the reading of the database."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        tenants: Collection[str],
        stored: ApiKeys | None,
        clock: Clock,
        timeout_s: float = 5.0,
    ) -> None:
        """``stored`` are the keys of the database, None for those of the settings alone; one reading of them may take
        ``timeout_s``. A key of a tenant that is not among ``tenants`` opens nothing.
        """
        self._settings = settings
        self._tenants = frozenset(tenants)
        self._source = stored
        self._clock = clock
        self._timeout_s = timeout_s
        self._seldom = Seldom()
        self._homeless: frozenset[str] = frozenset()
        self._read_at_s: float | None = None
        self._stored: Mapping[bytes, Holder] = {}
        self._reading: asyncio.Task[None] | None = None
        self._configured = self._of_settings(settings.api_keys)

    @property
    def complete(self) -> bool:
        """Whether a key that is not found is certainly none of ours.

        Not before the database was read once, nor when that was ``keys_keep_s`` ago: then only keys of the settings are
        found, as any other may have been revoked meanwhile.
        """
        if self._source is None:
            return True
        read_at_s = self._read_at_s
        return read_at_s is not None and self._clock.monotonic_s() - read_at_s <= self._settings.keys_keep_s

    def find(self, key: bytes) -> Holder | None:
        """Whose key this is."""
        digest = sha256(key).digest()
        holder = self._configured.get(digest)
        if holder is None and self.complete:
            holder = self._stored.get(digest)
        return holder if holder is not None and hmac.compare_digest(holder.digest, digest) else None

    async def start(self) -> None:
        """Read the database once, in bounded time and whether or not it answers; go on reading in the background."""
        if self._source is not None:
            await self.refresh()
            self._reading = asyncio.create_task(self._go_on(), name="api-keys")

    async def stop(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None

    async def refresh(self) -> bool:
        """Read the keys of the database; False when they cannot be had now, and those of last time stay."""
        assert self._source is not None
        asked_at_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(self._timeout_s):
                keys = await self._source.all()
            stored = self._of_database(keys)
        except (ReadModelUnavailable, TimeoutError) as error:
            self._not_read(cause=str(error) or "no answer in time")
            return False
        except Exception as error:
            # A bug, or a table that is not there yet. Ended by it, this task would keep revoked keys alive in silence.
            self._not_read(cause=type(error).__name__, where=where(error))
            return False
        # As old as the question: what was revoked while the answer was under way may not be in it.
        self._read_at_s, self._stored = asked_at_s, stored
        return True

    async def _go_on(self) -> None:
        pause_s = self._settings.keys_refresh_s / _READS
        while True:
            await asyncio.sleep(pause_s if self._read_at_s is not None else min(_FIRST_S, pause_s))
            await self.refresh()

    def _not_read(self, *, cause: str, **fields: object) -> None:
        if (left_out := self._seldom.passes(self._clock.monotonic_s(), cause)) is not None:
            _log.warning("api_keys_not_read", cause=cause, complete=self.complete, left_out=left_out, **fields)

    def _of_settings(self, keys: Mapping[str, ApiKeySettings]) -> dict[bytes, Holder]:
        found: dict[bytes, Holder] = {}
        for name, key in keys.items():
            if key.tenant in self._tenants:
                digest = _digest(key)
                rate_per_s = key.rate_per_s or self._settings.rate_per_s
                found[digest] = Holder(_caller(name, key.tenant, key.scopes), digest, rate_per_s)
            else:
                _without_tenant(name, key.tenant)
        return found

    def _of_database(self, keys: Sequence[StoredKey]) -> dict[bytes, Holder]:
        found: dict[bytes, Holder] = {}
        homeless: set[str] = set()
        for key in keys:
            if key.revoked_at is not None:
                continue
            if key.tenant in self._tenants:
                digest = bytes.fromhex(key.key_sha256)
                found[digest] = Holder(_caller(key.name, key.tenant, key.scopes), digest, self._settings.rate_per_s)
                continue
            homeless.add(key.name)
            if key.name not in self._homeless:
                _without_tenant(key.name, key.tenant)
        self._homeless = frozenset(homeless)
        return found


def _caller(name: str, tenant: str, scopes: Collection[str]) -> Caller:
    return Caller(name=name, tenant=tenant, scopes=frozenset(scopes))


def _digest(key: ApiKeySettings) -> bytes:
    """Exactly one of the two is set, as the settings' own check sees to."""
    if key.key_sha256 is not None:
        return bytes.fromhex(key.key_sha256)
    assert key.key is not None
    return sha256(key.key.get_secret_value().encode()).digest()


def _without_tenant(name: str, tenant: str) -> None:
    _log.warning("api_key_without_tenant", name=name, tenant=tenant)

"""What the router remembers, one record type for both kinds of entry in its changelog.

*An id* (state key ``id:<verification id>``) is remembered for the id horizon, so that the same request published again
changes nothing. It has an entry of its own: a recipient may be asked for any number of times within two days, and one
record that grew with each would soon be larger than the broker takes.

*A recipient* (state key ``to:<recipient key>``) has its routes within the repeat window and the guesses made and
reserved. These lists stay short: of the routes the newest few are kept, and at the limit of failures no further
verification is accepted.
"""

from __future__ import annotations

from pipeline.records.types import AvroRecord, Channel, TimeMs


class SeenRequest(AvroRecord, frozen=True, kw_only=True):
    """A request that was decided."""

    content_hash: str = ""
    """Keyed hash of all that counts as content, 32 hex digits."""
    decision_id: str = ""
    seen_at: TimeMs = 0


class RecentRoute(AvroRecord, frozen=True, kw_only=True):
    """The last use of a route for a recipient."""

    channel: Channel = Channel.UNKNOWN
    provider: str = ""
    sender: str | None = None
    used_at: TimeMs = 0


class RecentFailures(AvroRecord, frozen=True, kw_only=True):
    """Wrong codes of one verification that ended."""

    verification_id: str = ""
    failed_checks: int = 0
    failed_at: TimeMs = 0


class ReservedChecks(AvroRecord, frozen=True, kw_only=True):
    """Guesses a live verification may still make."""

    verification_id: str = ""
    decision_id: str = ""
    checks: int = 0
    until_at: TimeMs = 0
    """The end of the reservation if the verification is never heard of again."""


class RouterState(AvroRecord, frozen=True, kw_only=True):
    """One entry of the router's state: ``seen`` is set for an id, the lists for a recipient."""

    seen: SeenRequest | None = None
    routes: list[RecentRoute] = []
    failures: list[RecentFailures] = []
    reserved: list[ReservedChecks] = []
    keep_until_at: TimeMs = 0
    """When nothing in the entry is needed any more."""

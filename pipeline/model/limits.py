"""Numbers that bound a verification and are no settings: each protects memory or a promise, with its reason."""

from __future__ import annotations

from typing import Final

UNKNOWN_ID_GRACE_MS: Final = 1_500
"""How long a router gets to decide a request that was published just before the check or command which overtook it;
all that was decided until then is read before the id is called unknown."""

UNKNOWN_ID_WAIT_MS: Final = 2_000
"""The longest such a check or command waits, read or not."""

UNDECIDED_STATE_MS: Final = 600_000
"""How long results, statuses and replies without a decision are kept, in input time."""

IN_FLIGHT_MS: Final = 60_000
"""How long after the queue deadline a result may still come: a call begun in the last moment takes up to 30 s, its
sender 5 s to give up on it, the rest is for a task that moves to another process."""

UNWATCHED_MS: Final = 150
"""How late an expiry is from which on nobody was looking at its moment: more than a timer of a task that runs is late,
up to 0.1 s, and far less than the grace for misplaced checks, as whoever comes back within that has passed on none."""

HORIZONS_MS: Final = (60_000, 600_000)
"""Ages at which an attempt is counted as delivered or not."""

REPLIES_KEPT: Final = 10
"""Replies of each kind remembered per verification of those that changed nothing (a refusal, a check too late): a
repeated request is answered alike. Forgotten ones are judged anew, which can neither count nor send anything twice."""

EFFECTS_KEPT: Final = 128
"""Replies of each kind remembered that did change something: a wrong code counted, the right one, a command carried
out. Forgotten, a repeated request would count or send once more, so this is no bound within reach: of checks there are
``max_checks`` (10 at most) and one, of commands the resends and the attempts (50 at most of each, as settings say, 3
and 6 by default) and a cancel. Only failovers that join one under way are without end."""

EARLY_KEPT: Final = 32
"""Records of each kind kept per verification before what they belong to is known; more are dropped and counted."""

PROVIDER_CHECKS_WAITING: Final = 3
"""Checks of one verification that wait while a provider judges another."""

UNJUDGED_CODES: Final = 10
"""Different codes that may be tried while no provider judges them. They are not counted as failed, but each was
compared with our code as well: without a bound a provider's outage would be a way to try them all."""

LOOKUP_MS: Final = 30_000
"""How long a sender may take to begin a look-up; later the next one knows more."""

TELL_PROVIDER_MS: Final = 600_000
"""How long a sender may take to tell a provider of a success or that a message is not wanted any more."""

REQUEST_ID_LENGTH: Final = 128
"""Longest check or command id; they are kept in the state."""

KEPT_TEXT: Final = 65
"""Characters kept of a text that names something of ours (a tenant, a provider, an address): one more than the longest
name can have, so that one cut short can match none."""

REF_LIFE_MS: Final = 2 * 3_600_000
"""How long a receipt may mean an attempt whose provider echoes nothing of ours: twice the longest life of a code."""

RECEIPT_LIFE_MS: Final = 24 * 3_600_000
"""How long a receipt that names a message waits for the attempt it means, as its sender may be down with the result."""

BROKER_SKEW_MS: Final = 2_000
"""What the clocks of two brokers may differ by: a receipt that names only a recipient is settled this much later, and
may mean what was written this much after it. More delays receipts, less could give one to the wrong attempt."""

REFS_KEPT: Final = 16
"""Attempts remembered under one key; with more alive no receipt under it is placed."""

RECEIPTS_KEPT: Final = 32
"""Receipts that wait under one key; more are dropped and counted. One message has five different ones at most."""

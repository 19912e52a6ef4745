"""The life of a verification: every state, every allowed move, and nothing else.

::

    request ► pending ── a provider took it ──► sent ── a receipt ──► delivered ── the right code ──► (verified)
                 │                               │                       │
                 │                               │                       ├─ the code's life is over ► (expired)
                 │                               │                       ├─ checks used up ─────────► (failed)
                 │                               │                       └─ the caller says so ─────► (canceled)
                 │                               ├─ the right code, and each of these ends as well;
                 │                               └─ every attempt negative, no step left ► (failed)
                 ├─ all of that as well: receipts and people may be quicker than answers;
                 ├─ the queue deadline is over ► (expired)
                 ├─ it broke a rule ► (rejected)
                 └─ a protection ► (blocked)

    pending     ► sent delivered verified expired failed canceled blocked rejected
    sent        ► delivered verified expired failed canceled
    delivered   ► verified expired failed canceled

States in brackets are final: nothing leaves them. ``pending``, ``sent`` and ``delivered`` only ever move to the right,
whatever later attempts do; a receipt may overtake the provider's answer, so ``pending`` also goes to ``delivered``, and
a quick person may overtake both. In ``reach`` mode nobody types a code, so there ``delivered`` is final too.
"""

from __future__ import annotations

from typing import Final

from pipeline.records.types import VerificationMode, VerificationState

_State = VerificationState

OPEN: Final = (_State.PENDING, _State.SENT, _State.DELIVERED)
"""The states of a running verification, in the order they are passed through."""

FINAL: Final = frozenset(
    (_State.VERIFIED, _State.EXPIRED, _State.FAILED, _State.CANCELED, _State.BLOCKED, _State.REJECTED)
)
"""States that nothing leaves."""

_ENDS: Final = frozenset((_State.VERIFIED, _State.EXPIRED, _State.FAILED, _State.CANCELED))

MOVES: Final[dict[_State, frozenset[_State]]] = {
    _State.PENDING: frozenset((_State.SENT, _State.DELIVERED)) | FINAL,
    _State.SENT: frozenset((_State.DELIVERED,)) | _ENDS,
    _State.DELIVERED: _ENDS,
    **{state: frozenset[_State]() for state in FINAL},
}
"""Where each state may go. Only what never reached a provider can still turn out rejected or blocked."""


def is_final(state: VerificationState, mode: VerificationMode = VerificationMode.VERIFY) -> bool:
    """Whether nothing can change any more."""
    return state in FINAL or (state is _State.DELIVERED and mode is VerificationMode.REACH)


def advance(
    state: VerificationState, to: VerificationState, mode: VerificationMode = VerificationMode.VERIFY
) -> VerificationState:
    """``to`` when the move is allowed, else ``state``: what comes late or twice changes nothing."""
    if is_final(state, mode):
        return state
    return to if to in MOVES.get(state, frozenset()) else state

"""How often an unanswered receipt is told again is what each provider documents, or the simulator's page admits."""

from __future__ import annotations

import pytest

from pipeline.simulator.providers import PROVIDERS


@pytest.mark.parametrize(
    ("kind", "waits_s"),
    [
        ("ycloud", (10, 30, 300, 1_800, 3_600, 7_200, 7_200)),
        # Four tries.
        ("telesign", (5, 10, 15)),
        # Of SMS and voice; WhatsApp and Viber are told in its own tests.
        ("thundersms", (1_800, 1_800, 1_800)),
    ],
)
def test_an_unanswered_receipt_is_told_again_after_the_documented_waits(kind: str, waits_s: tuple[int, ...]) -> None:
    retries = PROVIDERS[kind].retries
    assert retries is not None
    assert tuple(retries.schedule_s) == waits_s


def test_neutrino_tells_nothing_so_repeats_nothing() -> None:
    assert PROVIDERS["neutrino"].retries is None

"""A voice reads codes sign by sign."""

from __future__ import annotations

import pytest

from pipeline.model.messages import Catalogue, spoken_code
from pipeline.records.types import Channel


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("4839", "4, 8, 3, 9"),
        ("a4B9", "A, 4, B, 9"),
        ("$$CODE$$", "$$CODE$$"),
        ("{token}", "{token}"),
        ("%token", "%token"),
        ("", ""),
    ],
)
def test_a_code_is_read_sign_by_sign_and_a_providers_sign_for_it_is_left_alone(code: str, read: str) -> None:
    assert spoken_code(code) == read


def test_only_voice_is_spoken() -> None:
    spoken = {
        channel
        for channel in Channel
        if Catalogue().message(channel=channel, tenant="t", language="en", valid_s=300).spoken
    }
    assert spoken == {Channel.VOICE}


def test_a_steps_own_text_for_voice_is_read_sign_by_sign_too() -> None:
    own = Catalogue().message(
        channel=Channel.VOICE, tenant="t", language="en", valid_s=300, text="{brand}: {code}", brand="Shop 24"
    )
    assert own.text("483920") == "Shop 24: 4, 8, 3, 9, 2, 0"
    assert own.text("$$CODE$$") == "Shop 24: $$CODE$$"


def test_a_voice_is_never_given_invisible_signs() -> None:
    arabic = Catalogue().message(channel=Channel.VOICE, tenant="t", language="ar", valid_s=300, brand="Shop")
    assert not {"\u2068", "\u2069", "\u200e", "\u200f"} & set(arabic.text("4A9B"))

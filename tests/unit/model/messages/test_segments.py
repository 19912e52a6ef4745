"""Test vectors for the alphabets of 3GPP TS 23.038 and the parts of TS 23.040."""

from __future__ import annotations

import pytest

from pipeline.model.messages import segments

TABLE = """\
@ £ $ ¥ è é ù ì ò Ç LF Ø ø CR Å å
Δ _ Φ Γ Λ Ω Π Ψ Σ Θ Ξ ESC Æ æ ß É
SP ! " # ¤ % & ' ( ) * + , - . /
0 1 2 3 4 5 6 7 8 9 : ; < = > ?
¡ A B C D E F G H I J K L M N O
P Q R S T U V W X Y Z Ä Ö Ñ Ü §
¿ a b c d e f g h i j k l m n o
p q r s t u v w x y z ä ö ñ ü à"""
"""TS 23.038 6.2.1, row by row from 0x00."""
NAMED = {"LF": "\n", "CR": "\r", "SP": " "}


def test_each_of_the_127_signs_of_the_default_alphabet_is_one_septet() -> None:
    signs = [NAMED.get(each, each) for each in TABLE.split() if each != "ESC"]
    assert len(signs) == 127
    for sign in signs:
        found = segments(sign)
        assert (found.encoding, found.units, found.count, found.forcing) == ("GSM-7", 1, 1, "")


@pytest.mark.parametrize("sign", list("\f^{}\\[~]|€"))
def test_a_sign_of_the_extension_is_two(sign: str) -> None:
    found = segments(sign)
    assert (found.encoding, found.units, found.forcing) == ("GSM-7", 2, "")


@pytest.mark.parametrize("sign", list("\x1b\t`çáíóúâêãõł’“”–—…\u00a0\u2068ıŞИ中ע🙂"))
def test_any_other_sign_forces_ucs_2_and_is_named(sign: str) -> None:
    found = segments(f"code {sign}{sign} 1")
    assert (found.encoding, found.forcing) == ("UCS-2", sign)


def test_the_signs_that_force_are_told_once_each_in_their_order() -> None:
    assert segments("Ваш код: “1” код").forcing == "Вашкод“”"


@pytest.mark.parametrize(
    ("text", "units", "count"),
    [
        ("", 0, 1),
        ("a" * 160, 160, 1),
        ("a" * 161, 161, 2),
        ("a" * 306, 306, 2),
        ("a" * 307, 307, 3),
        ("€" * 80, 160, 1),
        ("€" * 81, 162, 2),
        ("a" * 152 + "€" * 77, 306, 3),  # the first part ends before a euro sign, not within it
        ("a" * 153 + "€" * 76, 305, 2),
        ("я" * 70, 70, 1),
        ("я" * 71, 71, 2),
        ("я" * 134, 134, 2),
        ("я" * 135, 135, 3),
        ("🙂" * 35, 70, 1),
        ("🙂" * 36, 72, 2),
        ("🙂" * 66, 132, 2),
        ("🙂" * 67, 134, 3),  # 33 pairs to a part of 67
        ("€" * 70 + "я", 71, 2),
    ],
)
def test_long_texts_are_parted_without_cutting_a_sign(text: str, units: int, count: int) -> None:
    found = segments(text)
    assert (found.units, found.count) == (units, count)

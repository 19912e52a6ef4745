"""What a secret may consist of; a wrong one is told by the place and name of a character, never by the value."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

_CONTROLS: Final = {"\t": "CHARACTER TABULATION", "\n": "LINE FEED", "\r": "CARRIAGE RETURN"}
"""Control characters have no names in the tables; these are what an editor or a copy leaves behind."""


def _in_a_header(secret: SecretStr) -> SecretStr:
    # Beyond these, one HTTP library refuses what the other sends, each at another moment, and the text of the error
    # may hold the value.
    return _checked(secret, "!", "~", "it must be visible ASCII without spaces; copy it anew")


def _printable(secret: SecretStr) -> SecretStr:
    return _checked(secret, " ", "\U0010ffff", "it must be printable; copy it anew")


def _checked(secret: SecretStr, first: str, last: str, rule: str) -> SecretStr:
    text = secret.get_secret_value()
    if text and not text.strip():
        raise ValueError(f"is blank; {rule}")
    for place, character in enumerate(text, 1):
        if not (first <= character <= last and character.isprintable()):
            name = _CONTROLS.get(character) or unicodedata.name(character, f"U+{ord(character):04X}")
            raise ValueError(f"character {place} is {name}; {rule}")
    return secret


Credential = Annotated[SecretStr, AfterValidator(_in_a_header)]
"""Goes into a header or address of an HTTP request; empty where none is set."""
Password = Annotated[SecretStr, AfterValidator(_printable)]
"""Goes anywhere else; empty where none is set."""
SigningSecret = Annotated[SecretStr, Field(min_length=1), AfterValidator(_printable)]
"""Checks a signature; one that is empty would let anybody sign."""

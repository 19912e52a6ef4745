"""The recipients of one deployment: everybody with a valid number or address, and its test numbers."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from pipeline.errors import Refused, SettingsError
from pipeline.model import numbering
from pipeline.model.country import LANGUAGE
from pipeline.model.recipient import Recipient, canonical

_SEPARATORS: Final = re.compile(r"[\s()./\-]")
_INTERNATIONAL: Final = re.compile(r"\+[0-9]{6,15}")


class Recipients:
    """Reads recipients as typed. Test numbers need not exist in any numbering plan."""

    def __init__(self, test_numbers: Collection[str] = ()) -> None:
        """Raises SettingsError as :func:`read_test_number` does."""
        read = [read_test_number(typed, f"test_numbers[{place}]") for place, typed in enumerate(test_numbers)]
        self._tests = {recipient.canonical: recipient for recipient in read}

    def read(self, typed: str, country: str | None, *, field: str = "recipient") -> Recipient:
        """A recipient in its one spelling; raises Refused as :func:`pipeline.model.recipient.canonical` does."""
        if self._tests:
            found = self._tests.get(_SEPARATORS.sub("", typed))
            if found is not None:
                return found
        return canonical(typed, country, field=field)

    def is_test(self, recipient: Recipient) -> bool:
        """Whether this is one of the test numbers."""
        return recipient.canonical in self._tests


def read_test_number(typed: str, setting: str) -> Recipient:
    """A test number as a recipient; raises SettingsError naming ``setting`` for what is no e-mail address or number."""
    try:
        return canonical(typed)
    except Refused:
        compact = _SEPARATORS.sub("", typed)
    try:
        found = numbering.calling_code(compact) if _INTERNATIONAL.fullmatch(compact) else None
    except numbering.Unreadable:
        found = None
    if found is None:
        raise SettingsError(
            f"{setting}: is neither an e-mail address nor a number; write + and country code before it, such as "
            "+4915112345678"
        )
    code, region = found
    return Recipient(
        kind="phone",
        canonical=compact,
        country=region if region in LANGUAGE else None,
        line_type="mobile",
        masked=f"+{code}***{compact[-1]}",
    )

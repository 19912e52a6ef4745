"""Which library reads phone numbers: ``phonenumbers``, or with the extra ``rust`` the same rules compiled.

The library is chosen by a setting and never by what happens to be installed: two processes of one deployment that read
numbers differently would keep two sets of limits for one person, and a lock file with all extras would switch it on
for everybody. Both give the same answers; ``tests/unit/model/test_numbering_rust.py`` holds them to that.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from pipeline.errors import SettingsError
from pipeline.model import numbering_python
from pipeline.model.numbering_python import Number, Unreadable, calling_code, has_plan

__all__ = ["Library", "Number", "Unreadable", "calling_code", "has_plan", "read", "reader", "use"]

Library = Literal["phonenumbers", "rphonenumbers"]
EXTRA: Final = "verification-pipeline[rust]"


class Reader(Protocol):
    """Reads one number as typed; ``region`` reads one without ``+`` as national. Raises Unreadable."""

    def __call__(self, text: str, region: str | None, /) -> Number: ...


_read: Reader = numbering_python.read


def read(text: str, region: str | None) -> Number:
    """A number as typed; ``region`` (ISO 3166-1 alpha-2) reads one without ``+`` as national. Raises Unreadable."""
    return _read(text, region)


def use(library: Library) -> None:
    """Read with this library from now on, in the whole process.

    Raises SettingsError where it is not installed, or is a release that was not held against ``phonenumbers``.
    """
    global _read
    _read = reader(library)


def reader(library: Library) -> Reader:
    """The reader of this library; raises SettingsError as :func:`use` does."""
    if library == "phonenumbers":
        return numbering_python.read
    from pipeline.model.numbering_rust import RustReader, Unproven

    try:
        return RustReader(numbering_python.read)
    except ImportError:
        problem = "is not installed"
    except Unproven as unproven:
        problem = f"has the numbering plans of {unproven}, which nobody compared"
    way_out = f"run pip install '{EXTRA}', or drop the setting"
    raise SettingsError(f"policy.phone_library: rphonenumbers {problem}; {way_out}")

"""The released versions of our schemas, as they travel with the package.

``schemas/history/<Record>/v<N>.avsc``: N is the number of the release in which a record's schema changed, one count for
all records. A released file never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from pipeline.records.schemas import Schema, parse

_INSTALLED: Final = Path(__file__).parents[1] / "_share" / "schemas"
_CHECKOUT: Final = Path(__file__).parents[2] / "schemas"


def schemas_folder() -> Path:
    """Where ``schemas/`` is: inside an installed package, else at the top of a checkout."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def history_folder() -> Path:
    """Where the released versions are."""
    return schemas_folder() / "history"


def version_of(path: Path) -> int:
    """The N of a file ``v<N>.avsc``."""
    return int(path.stem.removeprefix("v"))


@cache
def released() -> Mapping[str, Mapping[int, Schema]]:
    """Every released schema by record name and version, versions ascending."""
    versions: dict[str, dict[int, Schema]] = {}
    for path in sorted(history_folder().glob("*/v*.avsc"), key=version_of):
        versions.setdefault(path.parent.name, {})[version_of(path)] = parse(path.read_text(encoding="utf-8"))
    return versions

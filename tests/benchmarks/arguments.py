"""The command lines of benchmarks: help for whoever asks for it, and nothing is measured then."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def expect_none(doc: str | None) -> None:
    """Of a benchmark that takes none."""
    _parser(doc).parse_args()


def rates(doc: str | None, default: Sequence[int]) -> tuple[int, ...]:
    """Requests a second; without any the ``default``."""
    parser = _parser(doc)
    parser.add_argument("rates", nargs="*", type=int, metavar="RATE", help=f"requests a second; else {default}")
    return tuple(parser.parse_args().rates) or tuple(default)


def names(doc: str | None, known: Sequence[str]) -> set[str]:
    """Some of the known names; without any all of them."""
    parser = _parser(doc)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"else all: {', '.join(known)}")
    wanted = set(parser.parse_args().names)
    if unknown := wanted - set(known):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return wanted or set(known)


def _parser(doc: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)

"""Python source being generated, and turned into a function.

What goes into the source are names of our own types and fields, and numbers; never text of a stranger's schema.
Everything else is handed over as an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Source:
    """The body of one function with the objects it refers to."""

    def __init__(self, head: str, **objects: Any) -> None:
        """``head`` is the ``def`` line without its colon."""
        self._lines = [head + ":"]
        self._depth = 1
        self._count = 0
        self._objects = objects

    def line(self, text: str) -> None:
        """Add one line at the current indentation."""
        self._lines.append(" " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add ``head`` with its colon, and indent what follows."""
        self.line(head + ":")
        self._depth += 1
        yield
        self._depth -= 1

    def fresh(self, stem: str) -> str:
        """A variable name that is used nowhere else."""
        self._count += 1
        return f"{stem}{self._count}"

    def bind(self, stem: str, value: Any) -> str:
        """Hand an object to the function; returns the name it has there."""
        name = self.fresh(stem)
        self._objects[name] = value
        return name

    def function(self) -> Any:
        """Compile, and return the function."""
        namespace = dict(self._objects)
        name = self._lines[0].removeprefix("def ").partition("(")[0]
        exec("\n".join(self._lines), namespace)  # noqa: S102  as dataclasses do; all names in it are ours
        return namespace[name]

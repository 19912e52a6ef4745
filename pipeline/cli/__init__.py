"""The command line: a thin shell that reads settings, calls the program and shows what came of it."""

from __future__ import annotations

from pipeline.cli.app import main

__all__ = ["main"]

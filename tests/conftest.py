"""What holds for every test: unit tests open no socket, and a test says by its folder what it may need."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis  # its pytest plugin imports it at the very end otherwise, which CPython 3.11 does not survive
import pytest
import structlog
from pytest_socket import disable_socket, enable_socket

UNIT = Path(__file__).parent / "unit"

# How long an example takes says nothing on a machine that does other things as well.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

# Ignored SIGHUP is inherited: under nohup no child of a test would end with its terminal.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# These start a server on first use only; a checkout of the unit tests alone does not need them.
pytest_plugins = [
    name for name in ("tests.kafka_fixtures", "tests.postgres_fixtures") if importlib.util.find_spec(name)
]


@pytest.fixture(autouse=True)
def _no_sockets_in_unit_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    """A unit test that opens a socket is an integration test; the event loop's own socket pair is not one."""
    if UNIT not in request.path.parents:
        yield
        return
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """As the program's own, and to where this test's output goes.

    structlog's default writes every local variable of a traceback, which takes seconds. And a test that ran a command
    in this process leaves its logs pointed at a stream that is closed by now: whoever logs after it would fail of that.
    """
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.StreamHandler) and getattr(handler.stream, "closed", False):
            root.removeHandler(handler)
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain], cache_logger_on_first_use=False)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing a developer has exported may change what a test sees."""
    for name in [name for name in os.environ if name.startswith("PIPELINE_")]:
        monkeypatch.delenv(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--campaign``: the long tests too."""
    parser.addoption("--campaign", action="store_true", help="run the long fault tests as well (make test-faults)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that asks for a broker fixture carries the marker ``kafka``, so that `-m "not kafka"` leaves it out.

    What carries ``campaign`` runs only when it is asked for: by ``--campaign``, not by ``-m``, which is free for other
    choices.
    """
    if not config.getoption("--campaign"):
        left_out = [item for item in items if item.get_closest_marker("campaign")]
        items[:] = [item for item in items if not item.get_closest_marker("campaign")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if any(name.startswith("kafka") for name in fixtures):
            item.add_marker(pytest.mark.kafka)

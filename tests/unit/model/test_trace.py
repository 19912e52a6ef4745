"""What a stranger writes into ``traceparent`` goes on only when it is a trace context."""

from __future__ import annotations

import pytest

from pipeline.model.trace import carried

GOOD = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_context_is_carried_on_alone_and_once() -> None:
    headers = (("schema", b"x"), ("traceparent", b"nonsense"), ("traceparent", GOOD), ("traceparent", GOOD))
    assert carried(headers) == (("traceparent", GOOD),)


@pytest.mark.parametrize(
    "value",
    [
        b"user +4915112345678 code 123456",
        GOOD + b"\n",
        GOOD.upper(),
        GOOD + b"-" + b"x" * 1_000_000,
        GOOD.replace(b"00-4", b"ff-4"),
        b"00-" + b"0" * 32 + GOOD[35:],
        b"\xff\xfe",
        b"",
        None,
    ],
)
def test_anything_else_of_that_name_is_dropped(value: bytes | None) -> None:
    assert carried([("traceparent", value)]) == ()

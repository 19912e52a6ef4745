"""The trace context of a request, as headers for what is written because of it."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from pipeline.model.trace import TRACEPARENT, carried
from pipeline.runtime.api import Headers

_RAW_NAME: Final = TRACEPARENT.encode()


def trace_of(request: Request) -> Headers:
    """``traceparent`` as a header of Kafka records; nothing when it is missing or not of the right form."""
    return carried((TRACEPARENT, value) for name, value in request.scope["headers"] if name == _RAW_NAME)

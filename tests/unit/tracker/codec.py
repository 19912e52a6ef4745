from __future__ import annotations

from typing import Any

import msgspec


class _Msgpack:
    def encode(self, record: Any) -> bytes:
        return msgspec.msgpack.encode(record)

    def decode(self, kind: Any, data: Any, *, public: bool) -> Any:
        return msgspec.msgpack.decode(data, type=kind)

    def headers(self, record: Any) -> Any:
        return (("schema", type(record).__name__.encode()),)


def make_codec() -> Any:
    try:
        from pipeline.records.codec import Codec
    except ImportError:
        return _Msgpack()
    return Codec()

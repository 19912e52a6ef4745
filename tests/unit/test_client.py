from __future__ import annotations

import pytest

from pipeline.client import VerificationClient
from pipeline.errors import UsageError
from pipeline.records.codec import Codec
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import MemoryCluster, MemoryLog


@pytest.mark.parametrize(
    ("verification_id", "check_id"),
    [("", None), ("x" * 49, None), ("+4915123456789", None), ("v1", "+4915123456789"), ("v1", "x" * 129)],
)
async def test_a_check_that_could_never_be_answered_is_refused_at_once(
    verification_id: str, check_id: str | None
) -> None:
    client = VerificationClient(log=MemoryLog(MemoryCluster(ManualClock(now_ms=0))), codec=Codec())
    with pytest.raises(UsageError, match="_id: ") as refused:
        await client.check(verification_id, "123456", check_id=check_id)
    assert "4915123456789" not in str(refused.value)

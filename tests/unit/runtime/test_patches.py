"""What we change in aiokafka, and that another release of it stops the program."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.producer import sender
from aiokafka.record.default_records import _DefaultRecordBatchPy

from pipeline.errors import Misconfigured
from pipeline.runtime.kafka import patches


@pytest.fixture(autouse=True)
def patched() -> None:
    patches.apply()


def test_the_pause_between_two_transactions_is_short() -> None:
    assert sender.BACKOFF_OVERRIDE == patches.BACKOFF_S < 0.02


def test_another_release_of_the_library_is_refused_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "digest", lambda _: "another")
    with pytest.raises(Misconfigured, match="install the release pinned"):
        patches.apply()


@pytest.mark.parametrize(("module", "name"), [(sender, "BACKOFF_OVERRIDE"), (fetcher, "MemoryRecords")])
def test_a_name_that_is_replaced_and_that_the_library_does_not_have_is_told_loudly(
    module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(module, name)
    with pytest.raises(Misconfigured, match=rf"{name} as this version knows it; install the release pinned"):
        patches.apply()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (sender, "EndTxnHandler"),
        (fetcher.Fetcher, "_proc_fetch_request"),  # makes MemoryRecords
        (_DefaultRecordBatchPy, "_maybe_uncompress"),  # fills the buffer that is exchanged
        (_DefaultRecordBatchPy, "__iter__"),
        (sender.Sender, "_find_coordinator"),
    ],
)
def test_a_change_of_what_the_replaced_is_used_by_is_refused_loudly(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another() -> None:
        """What the next release may do."""

    monkeypatch.setattr(owner, name, another)
    with pytest.raises(Misconfigured, match=rf"{name} as this version knows it; install the release pinned"):
        patches.apply()


def test_the_library_without_its_c_extension_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "DefaultRecordBatch", type("Slow", (), {"__module__": "aiokafka.record.slow"}))
    with pytest.raises(Misconfigured, match="C extension"):
        patches.apply()

"""What became of a request that was published by hand, also when its id was used before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.cli.output import message
from pipeline.client import VerificationClient
from pipeline.errors import DeadLetterReason, DeadlinePassed, PipelineError
from pipeline.records.codec import Codec
from pipeline.records.public import DeadLetter, VerificationOutcome
from pipeline.records.types import VerificationState
from pipeline.runtime.log import Log, TopicPartition, scan
from pipeline.runtime.partition import partition_for
from pipeline.topics import DEAD_LETTERS, OUTCOMES

SETTLE_S: Final = 3.0
"""How long a conflict may take to be told. Nothing at all is written of a request that changes nothing."""
_LOOK_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request about to be published; made before that, so that nothing it leads to is missed."""

    verification_id: str
    log: Log
    codec: Codec
    client: VerificationClient
    earlier: Sequence[VerificationOutcome]
    """What is kept of an earlier request with the same id."""
    letters_end: int
    """The end of its partition of the dead letters."""

    @classmethod
    async def begin(
        cls, log: Log, codec: Codec, client: VerificationClient, verification_id: str, *, look_back: bool
    ) -> Asked:
        """``look_back`` reads what is kept of the id."""
        where = await _place(log, DEAD_LETTERS, verification_id)
        return cls(
            verification_id=verification_id,
            log=log,
            codec=codec,
            client=client,
            earlier=await history(log, codec, verification_id) if look_back else (),
            letters_end=(await log.end_offsets([where]))[where],
        )

    async def outcome(self, timeout_s: float) -> VerificationOutcome:
        """The first outcome that is no longer pending, or where the verification stood when its id was used again.

        Raises PipelineError for an id that belongs to another request, DeadlinePassed.
        """
        last = self.earlier[-1] if self.earlier else None
        settled = last is not None and _answers(last)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + (min(timeout_s, SETTLE_S) if settled else timeout_s)
        while (left_s := until_s - loop.time()) > 0:
            try:
                look_s = left_s if last is None else min(left_s, _LOOK_S)
                return await self.client.wait(self.verification_id, _answers, timeout_s=look_s)
            except DeadlinePassed:
                await self._expect_no_conflict()
        if last is not None and settled:
            message(
                f"{self.verification_id} was used before and nothing new came of it: the same request changes "
                f"nothing, another becomes a dead letter ({DeadLetterReason.ID_CONFLICT}). Where it stands:"
            )
            return last
        stands = self.client.outcome(self.verification_id) or last
        told = "nothing was told of it" if stands is None else f"it is still {stands.state}"
        raise DeadlinePassed(
            f"{self.verification_id}: {told} after {timeout_s:g} s; does the pipeline run? "
            f"Look again with: pipeline show {self.verification_id}"
        )

    async def _expect_no_conflict(self) -> None:
        where = await _place(self.log, DEAD_LETTERS, self.verification_id)
        async for records in scan(self.log, {where: self.letters_end}):
            for record in records:
                if record.key != self.verification_id.encode():
                    continue
                if self.codec.decode(DeadLetter, record.value, public=True).reason == DeadLetterReason.ID_CONFLICT:
                    raise PipelineError(
                        f"{self.verification_id} was used before for another request, so this one went to the dead "
                        f"letters ({DeadLetterReason.ID_CONFLICT}): use a new id. "
                        f"The earlier one: pipeline show {self.verification_id}"
                    )


async def history(log: Log, codec: Codec, verification_id: str) -> list[VerificationOutcome]:
    """Every kept outcome of one verification, oldest first: one partition is read."""
    where = await _place(log, OUTCOMES, verification_id)
    return [
        codec.decode(VerificationOutcome, record.value, public=True)
        async for records in scan(log, await log.start_offsets([where]))
        for record in records
        if record.key == verification_id.encode()
    ]


async def _place(log: Log, topic: str, verification_id: str) -> TopicPartition:
    return TopicPartition(topic, partition_for(verification_id.encode(), await log.partitions(topic)))


def _answers(outcome: VerificationOutcome) -> bool:
    return outcome.is_final or outcome.state is not VerificationState.PENDING

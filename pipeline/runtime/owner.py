"""Who keeps one partition number's task alive: builds it, runs it, builds it anew."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from pipeline.errors import Fenced, Infrastructure, Misconfigured, PipelineError, PoisonRun
from pipeline.runtime.failures import Failures
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.task import Task

if TYPE_CHECKING:
    from pipeline.runtime.runner import StageRunner

log = structlog.get_logger(__name__)
S = TypeVar("S")


class Owner(Generic[S]):
    """Owns a partition number from its assignment to :meth:`close`; its tasks come and go."""

    def __init__(self, runner: StageRunner[S], partition: int, failures: Failures) -> None:
        self.partition = partition
        self.running: Task[S] | None = None
        self.inputs = [TopicPartition(topic, partition) for topic in runner.topics]
        self.read_to: dict[str, int] = {}
        """Per input how far it was read when that was last asked."""
        self.built = 0
        """Tasks built so far."""
        self.built_s = 0.0
        """When the present one was."""
        self.lost_to: Exception | None = None
        """What ended the task before the present one."""
        self._runner = runner
        self._failures = failures
        self._closing = asyncio.Event()
        self._restore: asyncio.Task[None] | None = None
        self._task: Task[S] | None = None
        self._ended: Task[S] | None = None
        self._committed = 0
        self._furthest = 0
        self._loop = asyncio.create_task(self._own(), name=f"{runner.name}.{partition}")

    @property
    def name(self) -> str:
        """For people."""
        return f"{self._runner.name}/{self.partition}"

    @property
    def progress(self) -> int:
        """Changes with everything that is finished, and with state read back that no task before has come to.

        A task that is built again and again reads the same state each time, and gets nowhere.
        """
        task = self._task
        if task is None or task is self._ended:
            return self._committed + self._furthest
        return self._committed + task.moved + max(self._furthest, task.restored)

    @property
    def doing(self) -> tuple[int, int, int]:
        """Changes with each task that is built and with whatever the present one reads or handles."""
        task = self._task
        return (self.built, 0, 0) if task is None else (self.built, task.restored, task.moved)

    @property
    def waits_outside(self) -> bool:
        """The last task was lost to something that is away or not there yet: waiting helps, a restart does not."""
        return self.running is None and isinstance(self.lost_to, Infrastructure)

    @property
    def gave_up(self) -> bool:
        """No further task is built until the group assigns anew."""
        return self._loop.done()

    def why(self) -> str:
        """What ended the task before, for people."""
        # What another library says of itself may hold anything, and this is shown to whoever asks for readiness.
        return str(self.lost_to) if isinstance(self.lost_to, PipelineError) else type(self.lost_to).__name__

    async def close(self, deadline_s: float) -> None:
        """Let the task commit and end; after the deadline it is abandoned, its work redone by the next owner.

        A restore ends at once: it has nothing to lose, and a whole group would wait for it in its rebalance.
        """
        self._closing.set()
        if self._restore is not None:
            self._restore.cancel()
        if self._task is not None:
            self._task.close()
        done, _ = await asyncio.wait({self._loop}, timeout=deadline_s)
        if not done:
            log.warning("abandoned", action="task_abandoned", stage=self._runner.name, partition=self.partition)
            self._loop.cancel()
            await asyncio.wait({self._loop}, timeout=1.0)
        self.running = None
        if self._task is not None:
            await self._task.release()

    async def _own(self) -> None:
        backoff_s = 0.05
        runner = self._runner
        while not self._closing.is_set():
            try:
                task = self._task = runner.make_task(self.partition, self._failures)
            except Exception as error:
                # Built from settings alone, a stage fails the same way each time; a person has to mend that.
                self.lost_to = error
                runner.fatal(error)
                return
            self.built += 1
            self.built_s = began_s = runner.monotonic_s()
            try:
                if not await self._restored(task):
                    return
                await task.settle()
                self.running = task
                runner.reader.resume(task.owned)
                await task.run()
                return
            except Fenced as error:
                self._lost(task, "fenced", error)
                runner.fenced()
                await task.surrender()
                return
            except (PoisonRun, Misconfigured) as error:
                self._lost(task, "fatal", error)
                runner.fatal(error)
                if isinstance(error, PoisonRun):
                    await self._finish(task)
                return
            except Exception as error:
                self._lost(task, type(error).__name__.lower(), error)
            # Not under the exception handler, so that the next attempt's errors have no false context.
            runner.reader.pause(task.owned)
            with contextlib.suppress(Exception):
                await task.release()
            if runner.monotonic_s() - began_s > 30:
                backoff_s = 0.05
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff_s):
                    await self._closing.wait()
            backoff_s = min(backoff_s * 2, 5.0)

    async def _restored(self, task: Task[S]) -> bool:
        """Start the task; False when it was closed meanwhile."""
        self._restore = asyncio.create_task(task.start())
        try:
            await self._restore
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
        finally:
            self._restore = None
        return not self._closing.is_set()

    async def _finish(self, task: Task[S]) -> None:
        """Keep the results of calls that run; the end of the process bounds the wait."""
        task.close()
        try:
            await task.finish()
        except Exception as error:
            self._lost(task, type(error).__name__.lower(), error)

    def _lost(self, task: Task[S], cause: str, error: Exception) -> None:
        self.running = None
        self._ended = task
        self._committed += task.moved
        self._furthest = 0 if task.moved else max(self._furthest, task.restored)
        known = isinstance(error, PipelineError)
        self.lost_to = error
        self._runner.rebuilt(cause)
        log.warning(
            "task lost",
            action="task_lost",
            stage=self._runner.name,
            partition=task.partition,
            cause=cause,
            error=self.why(),
            exc_info=error if not known or error.__cause__ is not None else None,
        )

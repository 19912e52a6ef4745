"""An in-memory Kafka: the same port, the same contract tests, no sockets, threads, randomness or wall clock.

It keeps what decides whether a stage is correct: offsets taken by control markers, the last stable offset behind open
transactions, epochs that fence, static members, rebalances that block a fetch. It leaves out what does not: segments,
replicas, batches, prefetching.
"""

from pipeline.testing.memory_log.cluster import MemoryCluster
from pipeline.testing.memory_log.faults import OFFSETS_TOPIC, Faults
from pipeline.testing.memory_log.group_reader import MemoryGroupReader
from pipeline.testing.memory_log.log import MemoryLog, MemoryProducer, MemoryReader, MemoryWriter

__all__ = [
    "OFFSETS_TOPIC",
    "Faults",
    "MemoryCluster",
    "MemoryGroupReader",
    "MemoryLog",
    "MemoryProducer",
    "MemoryReader",
    "MemoryWriter",
]

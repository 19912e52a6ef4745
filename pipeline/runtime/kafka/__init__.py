"""The port to the log over aiokafka and a real cluster."""

from pipeline.runtime.kafka.client import KafkaLog

__all__ = ["KafkaLog"]

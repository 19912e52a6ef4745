"""A self-hosted verification (one-time passcode) pipeline on Kafka."""

__version__ = "0.1.0"

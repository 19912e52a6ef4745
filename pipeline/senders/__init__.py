"""Senders: one consumer group per provider that carries out send commands, at most one call per attempt."""

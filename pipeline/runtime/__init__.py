"""Tasks on Kafka: exactly-once between topics, state, durable timers. Knows nothing of verifications."""

"""One test per hazard of the Kafka client: that the library still has it, and that ours is not hurt by it."""

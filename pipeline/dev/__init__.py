"""Real Apache Kafka on any machine, for development, the demo and the tests; never needed in production."""

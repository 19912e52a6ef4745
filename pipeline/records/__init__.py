"""The Avro records as types, their schemas, framing and codec."""

"""Doubles that are part of the product: a log, a clock, an HTTP transport and a loop that own their time."""

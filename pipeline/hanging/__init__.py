"""Transactions that their coordinator has ended and whose partitions were never told."""

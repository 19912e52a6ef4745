"""Benchmarks: ``python -m tests.benchmarks`` runs them all (``make bench``), each also runs alone by its module."""

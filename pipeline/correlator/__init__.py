"""Finds the attempt that a receipt is about, where its provider echoes nothing of ours."""

"""The demo: everything on one machine, verifications of every kind, and a verdict on each of them."""

"""Every stage, the gateway's webhooks and all providers in one loop, in virtual time, in an order that a seed chose.

Processes die at any resume of any of their coroutines, stand still, come and go; the log loses answers and is away;
providers fail in every way; people type, callers resend and cancel, reports come late, twice, or never. The same seed
is the same run, byte for byte. After each run the promises of the design are held against what was seen from outside.

``python -m pipeline.testing.simulation --seeds 2000`` runs many; ``--seed N --steps`` shows one step by step.
"""

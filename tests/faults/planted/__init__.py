"""Bugs planted one at a time, each a promise broken in one place, to see that the simulation finds them."""

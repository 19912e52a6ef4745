"""The promises of the design (its section 2), each a function of what was seen of a run from outside."""

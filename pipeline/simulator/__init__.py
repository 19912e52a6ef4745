"""The providers' APIs as real HTTP servers, written from their documentation, to develop and test against.

They are stricter than their models where the documentation is silent (an unknown field is refused), because their
job is to find our mistakes. ``docs/how-to/simulator.md`` shows what people can do with them.
"""

"""The providers' APIs as real HTTP servers, and a mail server, written from their documentation, to develop with.

They are stricter than their models where the documentation is silent (an unknown field is refused), because their
job is to find our mistakes. ``docs/how-to/simulator.md`` shows what people can do with them.
"""

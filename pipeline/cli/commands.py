"""Every command of the program: its name, where it is written, and its line in ``pipeline --help``.

The help is here and the code elsewhere, so that ``pipeline --help`` is quick and a command only imports what it uses.
A target is ``module:attribute``; the attribute is a :class:`typer.Typer` (a group of commands) or a plain function
(one command).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Command(NamedTuple):
    """One line of the table."""

    target: str
    help: str


COMMANDS: Final[dict[str, Command]] = {
    "demo": Command("pipeline.cli.demo:demo", "Start everything on this machine and watch verifications flow."),
    "run": Command("pipeline.cli.run:app", "Run one stage, the gateway, or all of them in one process."),
    "send": Command("pipeline.cli.send:send", "Ask for one verification."),
    "check": Command("pipeline.cli.ask:check", "Check a code."),
    "resend": Command("pipeline.cli.ask:resend", "Send a step of a verification once more."),
    "failover": Command("pipeline.cli.ask:failover", "Begin another step of a verification at once."),
    "cancel": Command("pipeline.cli.ask:cancel", "End a verification."),
    "show": Command("pipeline.cli.send:show", "Show where a verification stands."),
    "watch": Command("pipeline.cli.send:watch", "Follow outcomes as they are written."),
    "topics": Command("pipeline.cli.topics:app", "Create the topics and compare them with the cluster."),
    "transactions": Command(
        "pipeline.cli.transactions:app", "Find and end transactions that Kafka decided and left open."
    ),
    "keys": Command("pipeline.cli.keys:app", "Make and list the keys that derive codes and seal recipients."),
    "api-keys": Command("pipeline.cli.api_keys:app", "Make, list and revoke the keys of the gateway's API."),
    "readmodel": Command("pipeline.cli.readmodel:app", "Rebuild, update and check the database of verifications."),
    "config": Command("pipeline.cli.config:app", "Check the settings and show what is in force."),
    "providers": Command("pipeline.cli.providers:app", "Show the configured providers, and check their credentials."),
    "simulator": Command("pipeline.cli.simulator:simulator", "Run the provider simulator."),
    "dev": Command("pipeline.cli.broker:app", "Tools for development: a real Kafka broker."),
}
"""In the order in which ``pipeline --help`` shows them."""

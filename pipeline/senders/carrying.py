"""No hard wish is dropped in silence: what a provider cannot carry was planned by other settings than these."""

from __future__ import annotations

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.senders.provider import Unsendable


def refuse_uncarried(command: SendCommand, capabilities: ProviderCapabilities) -> None:
    """Raises Unsendable naming the first wish of a send that nothing in the provider's request would say.

    The router asks the same before it picks a route; a setting may have changed since, or differ between the two.
    """
    able = capabilities.channels.get(command.channel)
    wish = None if able is None else _uncarried(command, able)
    if wish is not None:
        raise Unsendable(
            Reason.UNSUPPORTED_BY_PROVIDER, f"{capabilities.kind} carries no {wish} on {command.channel} here"
        )


def _uncarried(command: SendCommand, able: ChannelCapabilities) -> str | None:
    for wish, given, can in (
        ("sender", command.sender, command.sender is not None and able.takes_sender(command.sender)),
        ("text", command.text, able.text),
        ("template", command.template, able.text),
        ("subject", command.subject, able.subject),
        ("flow_id", command.flow_id, able.flow_id),
        ("ttl_s", command.ttl_s, able.ttl is not None),
    ):
        if given is not None and not can:
            return wish
    if not command.options.keys() <= able.options.keys():
        return "such options"
    return "further steps" if command.walk and able.walk is None else None

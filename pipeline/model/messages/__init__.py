"""The messages we write ourselves: texts by language and channel, filled in for one person."""

from __future__ import annotations

from pipeline.model.messages.catalogue import Catalogue
from pipeline.model.messages.message import Message

__all__ = ["Catalogue", "Message"]

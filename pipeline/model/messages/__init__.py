"""The messages we write ourselves: texts by language and channel, filled in for one person."""

from __future__ import annotations

from pipeline.model.messages.catalogue import LANGUAGES, Catalogue
from pipeline.model.messages.direction import Direction
from pipeline.model.messages.message import Message, spoken_code
from pipeline.model.messages.segments import Segments, segments

__all__ = ["LANGUAGES", "Catalogue", "Direction", "Message", "Segments", "segments", "spoken_code"]

"""What a recipient looks like to a provider."""

from __future__ import annotations

import re
from typing import Final

E164: Final = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
EMAIL: Final = re.compile(r"[^@\s]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)

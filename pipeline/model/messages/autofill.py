"""The last line of an SMS that lets a browser fill in the code, on the site it is meant for and no other.

Origin-bound one-time codes (https://wicg.github.io/sms-one-time-codes/): the last line begins with ``@`` and the host,
then one blank, ``#`` and the code. Machines read it; nothing may stand before the ``@``.
"""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(r"@\S+ #\{code\}(?!\S)")


def with_autofill(template: str, domain: str) -> str:
    """The template with the line for ``domain``; unchanged when it has such a line of its own, for whatever host."""
    last = template.rstrip().rpartition("\n")[2]
    return template if _LINE.match(last) else f"{template.rstrip()}\n@{domain} #{{code}}"

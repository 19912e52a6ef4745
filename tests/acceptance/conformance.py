"""Whether a running gateway keeps its own contract, asked by schemathesis."""

from __future__ import annotations

import asyncio
import os
import re
import sysconfig
from pathlib import Path

from pipeline.gateway.contract_words import operations
from pipeline.records.public import VerificationRequest
from pipeline.records.store import current

CONFIG = Path(__file__).with_name("schemathesis.toml")
DEADLINE_S = 300.0


async def violations(url: str, key: str, folder: Path) -> str | None:
    """What the gateway at ``url`` does that its contract does not say, or None; ``key`` has all scopes.

    Thousands of requests, the same ones each time: examples, border values of every field, drawn ones, sequences. All
    checks are on. ``folder`` is where it may write.
    """
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    process = await asyncio.create_subprocess_exec(
        *(str(program), "--config-file", str(CONFIG), "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {key}", "--checks", "all"),
        cwd=folder,
        env=os.environ | {"FINGERPRINT": current(VerificationRequest).schema.key, "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report = told.decode(errors="replace")
    if process.returncode != 0:
        return report
    # All but the address of the contract itself, which it has read before it begins.
    assert re.search(rf"Tested: {len(operations()) - 1}\b", report), report
    return None

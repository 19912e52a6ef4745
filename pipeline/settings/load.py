"""Read, merge and validate the settings once at start."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipeline.errors import SettingsError
from pipeline.settings.consistency import contradictions
from pipeline.settings.finding import Check
from pipeline.settings.partial import partial
from pipeline.settings.problems import explain, unknown_variables
from pipeline.settings.root import Settings
from pipeline.settings.sources import Source, merge, read


def load(
    config: Path | None = None, *, environ: Mapping[str, str] | None = None, further: Sequence[Check] = ()
) -> Settings:
    """The settings from environment, secret files and TOML file, the earlier ones winning.

    Without ``config`` the file is ``PIPELINE_CONFIG``, else ``pipeline.toml`` if there is one. ``environ`` replaces
    the process's environment. ``further`` checks judge what this package cannot (:mod:`pipeline.fitness`).

    Raises SettingsError with a line for every problem: path, problem, fix; it never holds a value that could be a
    secret. What rests on a value that is wrong itself is told when that is mended, and nothing of what a file holds
    that cannot be read.
    """
    sources, problems = read(config, os.environ if environ is None else environ)
    complete = not problems
    problems += unknown_variables(sources)
    settings: Settings | None = None
    if complete:
        settings, told = _validated(sources, further)
        problems += told
    # Raised outside of any except block: pydantic's error would travel along as context, with all input in it.
    if settings is None or problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        message = "\n".join([f"{count} in the settings:", *(f"  {line}" for line in problems)])
        raise SettingsError(message, problems)
    return settings


def _validated(sources: list[Source], further: Sequence[Check]) -> tuple[Settings, list[str]]:
    """The settings as far as they are valid, and every problem with them."""
    data = merge(sources)
    problems: list[str] = []
    wrong: list[str] = []
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        problems += explain(error, data, sources)
        settings, wrong = partial(data, error)
    for check in (contradictions, *further):
        for finding in check(settings):
            if not any(finding.rests_on(path) for path in wrong):
                problems.append(finding.message)
    return settings, problems


def instance_ordinal(settings: Settings, hostname: str) -> int:
    """The ordinal of this process in its stage: as set, else the number at the end of ``hostname``, else 0.

    Two processes of one stage with the same ordinal are an error of the deployment that one of them reports.
    """
    if settings.instance is not None:
        return settings.instance
    number = re.search(r"(?:^|[^0-9])([0-9]{1,4})$", hostname)
    return int(number.group(1)) if number else 0

"""What the parts of the program will demand of the settings when they are built, told before one is.

The settings know neither the domain nor records nor topics, so those are asked here. Only what was set is judged, as
the rest is costly to import for a command that needs none of it; the defaults fit, as a test says.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.errors import Refused, SettingsError, UsageError
from pipeline.settings import Finding, RecordsSettings, Settings


def unfit(settings: Settings) -> Iterator[Finding]:
    """One finding for each setting that would stop a process later; goes with :func:`pipeline.settings.load`."""
    if settings.test_numbers:
        yield from _test_numbers(settings.test_numbers)
    if "tenants" in settings.model_fields_set:
        yield from _languages(settings)
    if settings.templates:
        yield from _templates(settings)
    if settings.records.model_fields_set:
        yield from _records(settings.records)
    if settings.policy.phone_library != "phonenumbers":
        yield from _phone_library(settings)
    if "id_horizon_s" in settings.policy.model_fields_set:
        yield from _horizon(settings.policy.id_horizon_s)


def _test_numbers(numbers: list[str]) -> Iterator[Finding]:
    from pipeline.model.recipients import read_test_number

    for place, typed in enumerate(numbers):
        try:
            read_test_number(typed, f"test_numbers[{place}]")
        except SettingsError as error:
            yield Finding(str(error))


def _phone_library(settings: Settings) -> Iterator[Finding]:
    from pipeline.model.numbering import reader

    try:
        reader(settings.policy.phone_library)
    except SettingsError as error:
        yield Finding(str(error))


def _languages(settings: Settings) -> Iterator[Finding]:
    from pipeline.model.language import normalise_language

    for name, tenant in settings.tenants.items():
        try:
            normalise_language(tenant.language, field=f"tenants.{name}.language")
        except Refused as refused:
            yield Finding(refused.detail)


def _templates(settings: Settings) -> Iterator[Finding]:
    from pipeline.model.messages.templates import problems

    for name, template in settings.templates.items():
        for problem in problems(name, template):
            yield Finding(problem)


def _records(records: RecordsSettings) -> Iterator[Finding]:
    from pipeline.records.released import released
    from pipeline.records.store import SchemaStore

    newest = max(max(versions) for versions in released().values())
    if records.write_version is not None and records.write_version > newest:
        yield Finding(
            f"records.write_version: there is no version {records.write_version} yet, the newest is {newest}; remove "
            "the setting, which then writes the newest"
        )
    if records.schemas_dir is not None:
        try:
            SchemaStore(schemas_dir=records.schemas_dir)
        except SettingsError as error:
            yield Finding(str(error))


def _horizon(id_horizon_s: int) -> Iterator[Finding]:
    from pipeline.topics_file import load, wanted_topics

    try:
        wanted_topics(load(), id_horizon_s=id_horizon_s)
    except UsageError as error:
        yield Finding(str(error))

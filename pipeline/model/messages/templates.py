"""The operator's own texts (``[templates.<name>]``), held to the rules of texts before anybody is sent one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.errors import Refused, SettingsError
from pipeline.model.fields import check_line
from pipeline.model.language import normalise_language
from pipeline.model.rules import TemplateRules
from pipeline.model.text import MAX_SUBJECT, check_text, placeholders


@dataclass(frozen=True, slots=True)
class Template:
    """One template, its languages as normalised BCP-47 tags in the operator's order."""

    texts: Mapping[str, str]
    subjects: Mapping[str, str]


def read_template(name: str, rules: TemplateRules) -> Template:
    """Raises SettingsError for the first of :func:`problems`."""
    for problem in problems(name, rules):
        raise SettingsError(problem)
    return Template(
        {normalise_language(language): text for language, text in rules.texts.items()},
        {normalise_language(language): subject for language, subject in rules.subjects.items()},
    )


def needs(rules: TemplateRules) -> frozenset[str]:
    """The placeholders that a template's texts and subjects use, whatever language is chosen."""
    return frozenset(name for text in (*rules.texts.values(), *rules.subjects.values()) for name in placeholders(text))


def problems(name: str, rules: TemplateRules) -> Iterator[str]:
    """Every problem of a template as ``path: problem; fix``."""
    for kind, texts in (("texts", rules.texts), ("subjects", rules.subjects)):
        seen: dict[str, str] = {}
        for language, text in texts.items():
            path = f"templates.{name}.{kind}.{language}"
            try:
                tag = normalise_language(language, field=path)
                _check(kind, text, path)
            except Refused as refused:
                yield refused.detail
                continue
            if tag in seen:
                yield f"{path}: is the same language as {seen[tag]}; keep one of them"
            seen[tag] = language


def _check(kind: str, text: str, path: str) -> None:
    # Whether a request brings what {brand} and the like need is its own affair.
    if kind == "subjects":
        check_line(text, path, MAX_SUBJECT)
        check_text(text, field=path, brand=True, payment=True, required=False, longest=MAX_SUBJECT)
    else:
        check_text(text, field=path, brand=True, payment=True)

"""Whether the providers were asked what they had to be asked, no more and no less; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.demo.asked import NAMED, REPORTED_TO, by_recipient, kind_of
from pipeline.demo.case import Case
from pipeline.demo.configuration import kind_of as provider_of
from pipeline.demo.evidence import Evidence
from pipeline.demo.finding import Finding
from pipeline.records.types import AttemptResult, CommandKind, VerificationState

_WORDS: Mapping[CommandKind, str] = {
    CommandKind.SEND: "providers were called",
    CommandKind.CHECK: "providers were asked about a code",
    CommandKind.CANCEL: "providers were asked to leave a message",
    CommandKind.REPORT: "providers were told of the success",
}


def conduct(cases: Sequence[Case], evidence: Evidence) -> list[Finding]:
    """What was asked too often, too seldom or by nobody; webhooks that were refused."""
    return [
        *_per_person(cases, evidence),
        *_strangers(cases, evidence),
        *_unnamed(cases, evidence),
        *_webhooks(evidence),
    ]


def _per_person(cases: Sequence[Case], evidence: Evidence) -> Iterator[Finding]:
    """Counted by recipient, as some cases share one."""
    together: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        together.setdefault(case.recipients, []).append(case)
    asked = by_recipient(evidence.calls)
    for recipients, of in together.items():
        bounds = {
            CommandKind.SEND: (
                sum(case.expected.calls for case in of),
                sum(case.expected.calls + case.expected.spare_calls for case in of),
            ),
            CommandKind.CHECK: (checks := sum(case.expected.checks for case in of), checks),
            CommandKind.CANCEL: (cancels := sum(case.expected.cancels for case in of), cancels),
            CommandKind.REPORT: _reports(of, evidence),
        }
        ids = ", ".join(case.name for case in of)
        for what, (least, most) in bounds.items():
            made = sum(asked[recipient, what] for recipient in recipients)
            if not least <= made <= most:
                told = str(least) if most == least else f"{least}-{most}"
                yield Finding(name=ids, kind=of[0].kind, problem=f"{_WORDS[what]} {made} times, expected {told}")
        for case in of:
            operation = case.expected.operation
            if operation is not None and not any(
                call["operation"] == operation and call["recipient"] in recipients for call in evidence.calls
            ):
                yield Finding(name=case.name, kind=case.kind, problem=f"was not sent by {operation!r}")
            if case.expected.looked_up and not _was_looked_up(case, evidence):
                yield Finding(name=case.name, kind=case.kind, problem="nobody asked what became of the message")


def _reports(cases: Sequence[Case], evidence: Evidence) -> tuple[int, int]:
    """How many reports of success there must be and may be.

    Who typed the code before the provider's answer was known may have verified a message without a name, of which
    nothing can be told.
    """
    least = most = 0
    for case in cases:
        history = evidence.outcomes.get(case.name)
        if case.expected.made or not history or history[-1].outcome.state is not VerificationState.VERIFIED:
            continue
        last = history[-1].outcome
        for attempt in last.attempts:
            if attempt.attempt_id == last.verified_attempt_id and provider_of(attempt.provider) in REPORTED_TO:
                most += 1
                named = attempt.result is AttemptResult.ACCEPTED and attempt.provider_message_id is not None
                least += named or case.expected.reported
    return least, most


def _was_looked_up(case: Case, evidence: Evidence) -> bool:
    """By its name, or in a list of messages, which is of nobody's in particular."""
    assert case.expected.provider is not None
    provider = provider_of(case.expected.provider)
    return any(
        call["provider"] == provider
        and kind_of(call) is CommandKind.LOOKUP
        and call["recipient"] in (None, *case.recipients)
        for call in evidence.calls
    )


def _strangers(cases: Sequence[Case], evidence: Evidence) -> Iterator[Finding]:
    known = {recipient for case in cases for recipient in case.recipients}
    strange = sum(
        1
        for call in evidence.calls
        if call["recipient"] not in known and not (call["recipient"] is None and kind_of(call) is CommandKind.LOOKUP)
    )
    if strange:
        yield Finding(name="calls", kind="", problem=f"{strange} provider calls to recipients of no request")
    unused = sorted({f"{call['provider']} {call['operation']}" for call in evidence.calls if kind_of(call) is None})
    if unused:
        yield Finding(name="calls", kind="", problem=f"calls that no sender makes: {', '.join(unused)}")


def _unnamed(cases: Sequence[Case], evidence: Evidence) -> Iterator[Finding]:
    """Messages that do not say our reference, by which both sides find them again.

    Only those that left: a mail may be refused before it could say anything.
    """
    names: dict[str, set[str | None]] = {}
    for case in cases:
        for recipient in case.recipients:
            names.setdefault(recipient, set()).add(case.verification_id)
    for call in evidence.calls:
        if call["sent"] and (call["provider"], call["operation"]) in NAMED:
            of = names.get(call["recipient"], set())
            if (call["reference"] or "").split("_")[0] not in of:
                ids = ", ".join(sorted(filter(None, of))) or "calls"
                yield Finding(name=ids, kind="", problem=f"a message by {call['provider']} does not say our reference")


def _webhooks(evidence: Evidence) -> Iterator[Finding]:
    """Each one is signed and means something to the gateway; one that came at a bad moment is told again."""
    for webhook in evidence.webhooks:
        if webhook["answered"].startswith("4") or webhook["answered"] == "not_ours":
            told = f"a webhook ({webhook['event_type']}) was answered {webhook['answered']}"
            yield Finding(name=webhook["provider"], kind="", problem=told)

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.reference import parse_reference, reference

IDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=48)
DECISIONS = st.binary(min_size=4, max_size=32).map(bytes.hex)


@given(verification_id=IDS, n=st.integers(1, 50), decision_id=DECISIONS)
def test_a_reference_leads_back_to_its_attempt_whatever_the_id_looks_like(
    verification_id: str, n: int, decision_id: str
) -> None:
    found = parse_reference(reference(verification_id, n, decision_id))
    assert found is not None
    assert found.verification_id == verification_id
    assert found.attempt_id == f"{verification_id}.{n}"


def test_an_id_that_looks_like_a_reference_itself_is_read_whole() -> None:
    found = parse_reference(reference("order_1_abcdef", 2, "00ff00ff"))
    assert found == ("order_1_abcdef", "order_1_abcdef.2", "ad7qb7")


def test_references_of_two_decisions_differ_for_the_same_attempt() -> None:
    assert reference("v1", 1, "00" * 16) != reference("v1", 1, "11" * 16)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job-42",
        "v1_1",
        "v1_0_abcdef",
        "v1_01_abcdef",
        "v1_1_ABCDEF",
        "v1_1_abcde1",
        "v1_1_abcdefg",
        "_1_abcdef",
        "v 1_1_abcdef",
        "v1_1_abcdef\n",
        "v1_\u0661_abcdef",
        "x" * 49 + "_1_abcdef",
    ],
)
def test_what_others_put_on_the_same_account_is_not_taken_for_ours(text: str) -> None:
    assert parse_reference(text) is None

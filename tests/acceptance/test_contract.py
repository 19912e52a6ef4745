"""The real gateway, with the whole pipeline behind it, keeps its contract whatever it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.api import Api
from tests.acceptance.conformance import violations
from tests.acceptance.harness import Deployment

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

EXAMPLE = "0f8fad5b-d9cb-469f-a165-70867728950e"
"""The id in an example of the contract, which is tried as well."""


@pytest.mark.timeout(400)
async def test_no_answer_is_one_that_the_contract_does_not_name(
    deployment: Deployment, api: Api, tmp_path: Path
) -> None:
    report = await violations(deployment.api_url, "acceptance-shop", tmp_path)
    if report is not None:
        pytest.fail(report, pytrace=False)
    assert api.final(EXAMPLE, within_s=5.0)["version"] > 0 or api.get(EXAMPLE).json()["attempts"]

"""Telesign's settings: one that could do nothing is told with its name and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import load

ACCOUNT = '[providers.telesign]\nenabled = true\ncustomer_id = "c"\napi_key = "QUJD"\n'
FIVE = "[tenants.default]\n[tenants.short]\ncode_length = 5\nmin_code_length = 5\n"
ELSEWHERE = 'base_url = "http://127.0.0.1:8090/telesign"\n'


def problems(tmp_path: Path, text: str) -> str:
    path = tmp_path / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    try:
        load(path, environ={})
    except SettingsError as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ACCOUNT + "smart_own_code = true", "providers.telesign.smart_own_code: says something of Smart Verify"),
        (ACCOUNT + "smart_preference = true", "set smart_verify = true, or remove it"),
        (
            ACCOUNT + 'smart_verify = true\nchannels = ["sms"]\n' + FIVE,
            "providers.telesign.smart_verify: needs sms and",
        ),
        (ACCOUNT + "smart_verify = true", "set tenants.<name>.min_code_length = 5 for one, or remove it"),
        (ACCOUNT + '[gateway]\npublic_url = "http://verify.example.org"', "gateway.public_url: Telesign calls back by"),
        (
            ACCOUNT + '[gateway]\npublic_url = "https://verify.example.org:8443"',
            "write https:// without a port, or set",
        ),
    ],
)
def test_what_could_do_nothing_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    assert told in problems(tmp_path, text)


def test_a_name_that_no_variable_can_have_is_told_the_secret_file_alone(tmp_path: Path) -> None:
    told = problems(tmp_path, ACCOUNT.replace("telesign]", "second-one]").replace('"QUJD"', '""') + 'kind = "telesign"')
    assert "set it, as a secret file providers__second-one__api_key, or set enabled = false" in told
    told = problems(tmp_path, ACCOUNT.replace('"QUJD"', '""'))
    assert "as PIPELINE_PROVIDERS__TELESIGN__API_KEY or a secret file providers__telesign__api_key, or" in told


@pytest.mark.parametrize(
    "text",
    [
        ACCOUNT,
        ACCOUNT + "smart_verify = true\nsmart_own_code = true\n" + FIVE,
        ACCOUNT + 'smart_verify = true\nchannels = ["voice", "sms"]\n' + FIVE,
        ACCOUNT.replace("true", "false") + "smart_verify = true",
        ACCOUNT + '[gateway]\npublic_url = "https://verify.example.org:443/hooks"',
        ACCOUNT + ELSEWHERE + '[gateway]\npublic_url = "http://127.0.0.1:8080"',
        ACCOUNT + 'requires_receipts = false\n[gateway]\npublic_url = "https://verify.example.org:8443"',
    ],
)
def test_what_can_work_is_taken(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == ""

"""Bird's settings: what is wrong is told with the field and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import BirdSettings, load

UUID = "6f0c1f6e-0d1b-4c1e-9b0a-3f5d2c7e8a90"
ACCOUNT = f"[providers.bird]\nenabled = true\nworkspace_id = '{UUID}'\naccess_key = 'k'\n"


def bird(tmp_path: Path, text: str) -> BirdSettings:
    path = tmp_path / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    found = load(path, environ={}).providers["bird"]
    assert isinstance(found, BirdSettings)
    return found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ACCOUNT, "providers.bird.channels: no channel is set; set navigator_id or channels.sms"),
        (ACCOUNT + "[providers.bird.channels]\nsms = ''", "providers.bird.channels: no channel is set"),
        (
            ACCOUNT + f"[providers.bird.channels]\nwhatsapp = '{UUID}'",
            "providers.bird.templates.whatsapp: Bird sends WhatsApp by template only; set its project_id and version",
        ),
        (ACCOUNT.replace(UUID, "ws_1234") + f"navigator_id = '{UUID}'", "providers.bird.workspace_id (from"),
        (ACCOUNT + "navigator_id = 'otp'", "providers.bird.navigator_id (from"),
        (ACCOUNT + f"navigator_id = '{UUID}'\nget_path = '/verify'", "begins with / and holds {id}"),
        (ACCOUNT + f"navigator_id = '{UUID}'\nresend_path = 'verify/{{id}}'", '"/verify/{id}/resend"'),
        (ACCOUNT + f"navigator_id = '{UUID}'\nlist_path = 'verify?x'", "providers.bird.list_path (from"),
        (ACCOUNT + f"navigator_id = '{UUID}'\nmax_attempts = 11", "providers.bird.max_attempts (from"),
        (
            ACCOUNT + f"navigator_id = '{UUID}'\n[providers.bird.templates.sms]\nversion = '{UUID}'",
            "providers.bird.templates.sms.project_id: is missing",
        ),
        (
            ACCOUNT + f"navigator_id = '{UUID}'\n"
            f"[providers.bird.templates.email]\nproject_id = '{UUID}'\nversion = '{UUID}'",
            "providers.bird.templates.email: belongs to a channel that is not used; set channels.email",
        ),
        (
            ACCOUNT + f"navigator_id = '{UUID}'\n"
            f"[providers.bird.templates.sms]\nproject_id = '{UUID}'\nversion = '{UUID}'\nlocale = 'dutch!'",
            "must be a locale, such as en or pt-BR",
        ),
        (
            ACCOUNT + f"navigator_id = '{UUID}'\n[providers.bird.names]\nlimit = 'x'\nend = 'x'",
            "providers.bird.names.end: is the name of limit too; give each its own",
        ),
        ("[providers.bird]\nenabled = true\n" + f"navigator_id = '{UUID}'", "providers.bird.access_key: an enabled"),
    ],
)
def test_what_bird_cannot_work_with_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        bird(tmp_path, text)
    assert told in str(refused.value)
    assert "ws_1234" not in str(refused.value)


def test_an_account_that_is_off_may_be_incomplete(tmp_path: Path) -> None:
    assert bird(tmp_path, "[providers.bird]\n[providers.bird.channels]\nwhatsapp = ''").used_channels == ()


def test_only_channels_with_a_way_are_used_and_a_navigator_is_one_for_sms(tmp_path: Path) -> None:
    channels = f"[providers.bird.channels]\nemail = '{UUID}'\nsms = ''\n"
    assert set(bird(tmp_path, ACCOUNT + channels).used_channels) == {"email"}
    assert set(bird(tmp_path, ACCOUNT + f"navigator_id = '{UUID}'\n" + channels).used_channels) == {"email", "sms"}


def test_nothing_of_uncertain_name_is_asked_unless_it_is_switched_on(tmp_path: Path) -> None:
    settings = bird(tmp_path, ACCOUNT + f"navigator_id = '{UUID}'")
    assert (settings.get_path, settings.list_path, settings.resend_path) == ("", "", "")
    assert (settings.rate_per_s, settings.max_attempts, settings.list_limit) == (10.0, 10, 25)

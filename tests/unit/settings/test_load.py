from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from pipeline.errors import SettingsError, UsageError
from pipeline.model.fields import USE_CASES
from pipeline.settings import (
    NeutrinoSettings,
    ProviderSettings,
    Settings,
    YCloudSettings,
    instance_ordinal,
    load,
    masked,
)
from pipeline.settings.policy import UseCase


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def toml(text: str, name: str = "settings.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path.absolute()


def refusal(text: str = "", **environ: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(toml(text), environ=environ)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None, "pydantic's own error would carry the input along"
    return str(refused.value)


def test_without_any_source_the_defaults_hold() -> None:
    assert load(environ={}) == Settings()


def test_environment_wins_over_secret_files_and_those_over_the_file(tmp_path: Path) -> None:
    path = toml('[kafka]\nclient_id = "file"\nsasl_username = "file"\nsasl_password = "file"\n')
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "KAFKA__SASL_USERNAME").write_text("secret\n")
    (secrets / "pipeline_kafka__sasl_password").write_text("secret\n")
    environ = {"PIPELINE_SECRETS_DIR": str(secrets), "PIPELINE_KAFKA__SASL_PASSWORD": "environment"}
    kafka = load(path, environ=environ).kafka
    assert (kafka.client_id, kafka.sasl_username) == ("file", "secret")
    assert kafka.sasl_password.get_secret_value() == "environment"


def test_the_file_is_the_one_named_else_the_variable_s_else_pipeline_toml() -> None:
    toml('[kafka]\nclient_id = "default"', "pipeline.toml")
    other = toml('[kafka]\nclient_id = "variable"', "other.toml")
    named = toml('[kafka]\nclient_id = "named"', "named.toml")
    assert load(environ={}).kafka.client_id == "default"
    assert load(environ={"PIPELINE_CONFIG": str(other)}).kafka.client_id == "variable"
    assert load(named, environ={"PIPELINE_CONFIG": str(other)}).kafka.client_id == "named"


def test_the_process_s_own_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_KAFKA__TOPIC_PREFIX", "blue.")
    assert load().kafka.topic_prefix == "blue."


def test_variables_reach_nested_sections_lists_and_the_instance() -> None:
    settings = load(
        environ={
            "PIPELINE_PROVIDERS__YCLOUD__API_KEY": "k",
            "PIPELINE_PROVIDERS__YCLOUD__ENABLED": "true",
            "PIPELINE_PROVIDERS__YCLOUD__CHANNELS": "sms, voice",
            "PIPELINE_POLICY__AUTOMATIC": '["voice"]',
            "PIPELINE_ROUTES__RULES": '[{"country": "DE", "providers": ["ycloud"]}]',
            "PIPELINE_INSTANCE": "3",
        }
    )
    ycloud = settings.providers["ycloud"]
    assert isinstance(ycloud, YCloudSettings)
    assert ycloud.api_key.get_secret_value() == "k"
    assert ycloud.channels == ["sms", "voice"]
    assert settings.policy.automatic == ["voice"]
    assert settings.routes.rules[0].country == "DE"
    assert settings.instance == 3


@pytest.mark.parametrize("written", ["one,two", "one\ntwo\n", '["one", "two"]'])
def test_webhook_secrets_may_be_several_while_they_are_rotated(written: str) -> None:
    settings = load(environ={"PIPELINE_PROVIDERS__YCLOUD__WEBHOOK_SECRET": written})
    ycloud = settings.providers["ycloud"]
    assert isinstance(ycloud, YCloudSettings)
    assert [secret.get_secret_value() for secret in ycloud.webhook_secret] == ["one", "two"]


def test_a_webhook_secret_of_digits_stays_text() -> None:
    settings = load(environ={"PIPELINE_PROVIDERS__YCLOUD__WEBHOOK_SECRET": "0123"})
    ycloud = settings.providers["ycloud"]
    assert isinstance(ycloud, YCloudSettings)
    assert [secret.get_secret_value() for secret in ycloud.webhook_secret] == ["0123"]


def test_one_kind_can_be_configured_twice() -> None:
    path = toml('[providers.neutrino]\nuser_id = "a"\n[providers.second]\nkind = "neutrino"\nuser_id = "b"\n')
    providers = load(path, environ={}).providers
    assert all(isinstance(provider, NeutrinoSettings) for provider in providers.values())
    assert list(providers) == ["neutrino", "second"]


def test_common_fields_alone_become_the_kind_s_own_settings() -> None:
    settings = Settings(providers={"ycloud": ProviderSettings(enabled=True, rate_per_s=3)})
    assert isinstance(settings.providers["ycloud"], YCloudSettings)
    assert settings.providers["ycloud"].rate_per_s == 3


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("[kafka]\nbootstrap_server = 'x'", "bootstrap_servers"),
        ("[kafca]\nclient_id = 'x'", "kafka"),
        ("[providers.ycloud]\napi_keyy = 'x'", "api_key"),
        ("[providers.other]\nkind = 'neutrino'\nuserid = 'x'", "user_id"),
        ("[providers.other]\nkind = 'yclod'", "ycloud"),
        ("[providers.bird.channels]\nsmss = 'x'", "sms"),
        ("[providers.thundersms.channels.voice]\nflowid = 'x'", "flow_id"),
        ("[gateway.api_keys.dev]\nkey_sha = 'x'", "key_sha256"),
        ("[[routes.rules]]\nprovider = ['x']", "providers"),
        ("[protections.recipient]\nlimits = 3", "limit"),
        ("[templates.welcome]\ntext = 'x'", "texts"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(written: str, meant: str) -> None:
    assert meant in refusal(written)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("PIPELINE_KAFKA_CLIENT_ID", "PIPELINE_KAFKA__CLIENT_ID"),
        ("PIPELINE_KAFKA__CLIENTID", "client_id"),
        ("PIPELINE_GATEWAI__PORT", "PIPELINE_GATEWAY__PORT"),
        ("PIPELINE_PROVIDERS__YCLOUD__APIKEY", "api_key"),
    ],
)
def test_a_mistyped_variable_is_refused_with_the_nearest_known_one(variable: str, meant: str) -> None:
    message = refusal("", **{variable: "hunter2"})
    assert variable in message
    assert meant in message
    assert "hunter2" not in message


def test_an_unknown_secret_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "providers__ycloud__apikey").write_text("hunter2")
    message = refusal("", PIPELINE_SECRETS_DIR=str(tmp_path))
    assert "api_key" in message
    assert "hunter2" not in message


def test_variables_that_kubernetes_sets_for_a_service_are_no_settings() -> None:
    environ = {
        "PIPELINE_GATEWAY_SERVICE_HOST": "10.0.0.1",
        "PIPELINE_GATEWAY_SERVICE_PORT_HTTP": "80",
        "PIPELINE_GATEWAY_PORT": "tcp://10.0.0.1:80",
        "PIPELINE_GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert load(environ=environ) == Settings()


def test_a_rule_for_a_use_case_that_no_request_can_name_is_refused() -> None:
    message = refusal("[providers.ycloud]\n[[routes.rules]]\nuse_case = 'LOGN'\nproviders = ['ycloud']")
    assert "routes.rules[0].use_case" in message
    assert "'BACS'" in message
    assert set(get_args(UseCase)) == USE_CASES


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("resend_cooldown_s = []", "policy.resend_cooldown_s"),
        ("resend_cooldown_s = [0]", "policy.resend_cooldown_s[0]"),
        ("resend_cooldown_s = [30, 3601]", "policy.resend_cooldown_s[1]"),
        ("resend_cooldown_s = [60, 30]", "must not become shorter"),
        ("resend_cooldown_s = 30", "policy.resend_cooldown_s"),
        ("max_resends = -1", "policy.max_resends"),
        ("resend_code = 'other'", "policy.resend_code"),
    ],
)
def test_a_cool_down_that_cannot_be_kept_is_refused(written: str, told: str) -> None:
    assert told in refusal(f"[policy]\n{written}")


def test_a_cool_down_may_stay_the_same_and_come_from_a_variable() -> None:
    settings = load(
        environ={"PIPELINE_POLICY__RESEND_COOLDOWN_S": "[30, 30, 3600]", "PIPELINE_POLICY__MAX_RESENDS": "5"}
    )
    assert (settings.policy.resend_cooldown_s, settings.policy.max_resends) == ([30, 30, 3_600], 5)


def test_every_problem_is_told_at_once_with_path_place_and_fix() -> None:
    message = refusal(
        "[gateway]\nport = 70000\n[kafka]\ncompression = 'zip'\n[[routes.rules]]\ncountry = 'Germany'\n",
        PIPELINE_METRICS__PORT="many",
    )
    assert message.startswith("5 problems in the settings:")
    assert "gateway.port (from " in message
    assert "70000 is out of range; it must be less than or equal to 65535" in message
    assert "kafka.compression" in message
    assert "'none', 'lz4', 'zstd' or 'snappy'" in message
    assert "routes.rules[0].country" in message
    assert "routes.rules[0].providers: is missing" in message
    assert "metrics.port (from PIPELINE_METRICS__PORT)" in message


@pytest.mark.parametrize(
    "text",
    [
        "[kafka]\nsasl_password = ['hunter2']",
        "[kafka]\nport = 'hunter2'",
        "kafka = 'hunter2'",
        "[providers]\nycloud = 'hunter2'",
        "[providers.ycloud]\napi_key = {value = 'hunter2'}",
        "[providers.ycloud]\napi_keyy = 'hunter2'",
        "[providers.ycloud]\nwebhook_secret = ['ok', ['hunter2']]",
        "[gateway]\nport = 'hunter2'",
        "[gateway.api_keys.dev]\nkey = 'hunter2'\nkey_sha256 = 'hunter2'",
        "[gateway.api_keys.dev]\nkey_sha256 = 'hunter2'",
        "[logging]\nlevel = 'hunter2'",
        "[readmodel]\nurl = ['postgresql://u:hunter2@h/db']",
        "[registry]\nurl = 'http://me:hunter2@registry'",
        "[kafka]\nsasl_password = 'hunter2",
        "[kafka]\nsasl_password = hunter2",
        "[kafka]\nsecurity_protocol = 'SASL_SSL'\nsasl_password = 'hunter2'",
    ],
)
def test_no_problem_shows_a_value_that_could_be_a_secret(text: str) -> None:
    assert "hunter2" not in refusal(text)


def test_a_number_in_a_secret_s_place_is_not_shown() -> None:
    assert "8675309" not in refusal("[providers.ycloud]\napi_key = 8675309")


def test_an_enabled_provider_without_credentials_is_refused_with_the_variable_to_set() -> None:
    message = refusal("[providers.ycloud]\nenabled = true\n[providers.neutrino]\nenabled = true\napi_key = 'x'")
    assert "PIPELINE_PROVIDERS__YCLOUD__API_KEY" in message
    assert "providers.neutrino.user_id" in message
    assert "providers.neutrino.api_key" not in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[routes.rules]]\nproviders = ['nobody']", "routes.rules[0].providers"),
        ("[[senders]]\nprovider = 'nobody'\nsender = 'x'", "senders[0].provider"),
        ("[[prices.rules]]\nprovider = 'nobody'\nprice = '1'", "prices.rules[0].provider"),
        ("[gateway.api_keys.a]\nkey = 'x'\ntenant = 'nobody'", "gateway.api_keys.a.tenant"),
        ("[kafka]\nsecurity_protocol = 'SASL_SSL'", "kafka.sasl_username"),
        ("[kafka]\nssl_certfile = 'x'", "kafka.ssl_keyfile"),
        (
            "[kafka]\nsession_timeout_ms = 6000\n[runtime]\ntransaction_timeout_ms = 6000",
            "runtime.transaction_timeout_ms",
        ),
        ("[protections.budget]\namount = '١٠٠'", "protections.budget.amount"),
        ("[runtime]\nqueue_low = 10\nqueue_high = 10", "runtime.queue_low: must be below runtime.queue_high"),
        ("[tenants.a]\ncode_length = 4", "tenants.a.code_length: must not be below tenants.a.min_code_length"),
        ("[gateway.api_keys.a]\ntenant = 'default'", "exactly one of key_sha256 and key"),
        (
            "[gateway.api_keys.a]\nkey = 'secret'\n[gateway.api_keys.b]\nkey_sha256 = "
            "'2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'",
            "gateway.api_keys.b: has the same key as 'a'",
        ),
        (f"[gateway.api_keys.a]\nkey = '{'k' * 257}'", "gateway.api_keys.a.key"),
        ("[gateway.api_keys.a]\nkey = ''", "gateway.api_keys.a.key"),
        ("[gateway.api_keys.A]\nkey = 'secret'", "lower-case letter"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(text: str, named: str) -> None:
    assert named in refusal(text)


NEUTRINO = "[providers.neutrino]\nuser_id = 'u'\napi_key = 'k'\n"


def test_a_call_that_may_outlive_the_shutdown_is_refused_with_what_to_set() -> None:
    message = refusal(NEUTRINO + "enabled = true\ntimeout_s = 27")
    assert message.startswith("1 problem in the settings:")
    assert (
        "runtime.shutdown_s: 25 is less than a running call of providers.neutrino may need (its timeout_s 27, and 5 to "
        "commit the result); set runtime.shutdown_s = 32, or providers.neutrino.timeout_s = 20"
    ) in message


@pytest.mark.parametrize(
    "text",
    [
        NEUTRINO + "enabled = false\ntimeout_s = 30",
        NEUTRINO + "enabled = true\ntimeout_s = 20",
        NEUTRINO + "enabled = true\ntimeout_s = 30\n[runtime]\nshutdown_s = 35",
    ],
)
def test_a_shutdown_that_waits_for_every_call_is_taken(text: str) -> None:
    assert load(toml(text), environ={})


def test_a_shutdown_longer_than_a_rebalance_waits_is_refused_with_what_to_set() -> None:
    assert (
        "kafka.rebalance_timeout_ms: 60000 is too short for runtime.shutdown_s = 55: a member that lets go of its "
        "tasks for so long is thrown out of the group; set kafka.rebalance_timeout_ms = 65000, or lower shutdown_s"
    ) in refusal("[runtime]\nshutdown_s = 55")
    assert load(toml("[runtime]\nshutdown_s = 50"), environ={})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[registry]\nurl = 'http://registry'", "registry: "),
        ("[registry]\nusername = 'me'", "registry: "),
        ("[providers.ycloud]\n[[prices.rules]]\nprovider = 'ycloud'\nprice = '1'", "prices.rules: "),
        ("[tracing]\nenabled = true", "tracing.enabled: "),
    ],
)
def test_what_would_do_nothing_is_refused_so_that_nobody_believes_it_works(text: str, named: str) -> None:
    message = refusal(text)
    assert message.startswith("1 problem in the settings:")
    assert named in message
    assert "this version" in message


@pytest.mark.parametrize("url", ["https://verify.example.org", "http://10.0.0.1:8080/otp/"])
def test_the_gateways_public_address_may_have_a_port_and_a_path(url: str) -> None:
    assert load(toml(f"[gateway]\npublic_url = {url!r}"), environ={}).gateway.public_url == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("verify.example.org", "is no address"),
        ("/v1/webhooks", "is no address"),
        ("ftp://verify.example.org", "is no address"),
        ("https://verify.example.org?a=b", "must end with a path"),
        ("https://verify.example.org/#a", "must end with a path"),
        ("https://me:hunter2@verify.example.org", "must not hold a user or password"),
    ],
)
def test_what_no_provider_could_reach_is_no_public_address(url: str, problem: str) -> None:
    message = refusal(f"[gateway]\npublic_url = {url!r}")
    assert "gateway.public_url" in message
    assert problem in message
    assert "hunter2" not in message


@pytest.mark.parametrize("mode", ["monitor", "enforce"])
def test_a_protection_that_would_do_nothing_cannot_be_switched_on(mode: str) -> None:
    assert "protections.recipient.mode" in refusal(f"[protections.recipient]\nmode = '{mode}'")


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("[kafka\n"), "is no TOML"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "no UTF-8"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, prepare: object, told: str) -> None:
    path = tmp_path / "broken.toml"
    prepare(path)  # type: ignore[operator]
    with pytest.raises(SettingsError, match=told) as refused:
        load(path, environ={})
    assert str(path) in str(refused.value)


def test_a_secrets_directory_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PIPELINE_SECRETS_DIR"):
        load(environ={"PIPELINE_SECRETS_DIR": str(tmp_path / "missing")})


def test_a_kubernetes_secret_volume_is_read_through_its_links(tmp_path: Path) -> None:
    dated = tmp_path / "..2024"
    dated.mkdir()
    (dated / "PROVIDERS__NEUTRINO__API_KEY").write_text("k\n")
    (tmp_path / "..data").symlink_to(dated)
    (tmp_path / "PROVIDERS__NEUTRINO__API_KEY").symlink_to("..data/PROVIDERS__NEUTRINO__API_KEY")
    neutrino = load(environ={"PIPELINE_SECRETS_DIR": str(tmp_path)}).providers["neutrino"]
    assert isinstance(neutrino, NeutrinoSettings)
    assert neutrino.api_key.get_secret_value() == "k"


def test_masked_settings_show_every_value_but_no_secret() -> None:
    # Not loaded: the version at hand may have no use for some of them yet.
    settings = Settings.model_validate(
        {
            "providers": {"ycloud": {"api_key": "hunter2", "webhook_secret": "hunter2"}},
            "kafka": {"sasl_password": "hunter2"},
            "gateway": {"api_keys": {"dev": {"key": "hunter2"}}, "port": 9000},
            "readmodel": {"url": "postgresql://me:hunter2@db/x"},
            "protections": {"denied": {"recipients": ["+4915112345678"]}},
        }
    )
    shown = masked(settings)
    text = json.dumps(shown)
    assert "hunter2" not in text
    assert "hunter2" not in repr(settings)
    assert "+4915112345678" not in text
    assert shown["gateway"]["port"] == 9000
    assert shown["readmodel"]["url"] == "postgresql://********@db/x"
    assert shown["providers"]["ycloud"]["webhook_secret"] == ["********"]
    assert shown["providers"]["ycloud"]["api_key"] == "********"
    assert shown["kafka"]["ssl_cafile"] is None
    assert set(shown) == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("instance", "hostname", "ordinal"),
    [
        (None, "router-7", 7),
        (None, "router", 0),
        (4, "router-7", 4),
        (None, "node12", 12),
        (None, "3", 3),
        (None, "", 0),
    ],
)
def test_the_ordinal_is_the_one_set_else_the_host_name_s_number(
    instance: int | None, hostname: str, ordinal: int
) -> None:
    assert instance_ordinal(Settings(instance=instance), hostname) == ordinal


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("TOP\u00a0SECRET", "character 4 is NO-BREAK SPACE; it must be visible ASCII without spaces"),
        ("TOP\u200bSECRET", "character 4 is ZERO WIDTH SPACE;"),
        ("TOP\u2013SECRET", "character 4 is EN DASH;"),
        ("TOPSECR\u00c9T", "character 8 is LATIN CAPITAL LETTER E WITH ACUTE;"),
        ("TOP SECRET", "character 4 is SPACE;"),
        ("TOP\nSECRET", "character 4 is LINE FEED;"),
        ("TOPSECRET\r\n", "character 10 is CARRIAGE RETURN;"),
        ("TOP\x00SECRET", "character 4 is U+0000;"),
        ("TOP\x7fSECRET", "character 4 is U+007F;"),
        (" ", "is blank;"),
        (" \n\u00a0", "is blank;"),
    ],
)
def test_a_key_that_no_header_can_carry_is_refused_by_place_and_name_of_a_character_only(value: str, told: str) -> None:
    message = refusal(f"[providers.ycloud]\napi_key = {json.dumps(value)}")
    assert message.startswith("1 problem in the settings:")
    assert "providers.ycloud.api_key (from " in message
    assert told in message
    assert not any(part in message for part in ("TOP", "SECR"))


@pytest.mark.parametrize(
    "path",
    [
        "providers.ycloud.api_key",
        "providers.neutrino.user_id",
        "providers.neutrino.api_key",
        "providers.telesign.customer_id",
        "providers.telesign.api_key",
        "providers.bird.workspace_id",
        "providers.bird.access_key",
        "providers.thundersms.access_token",
        "gateway.api_keys.shop.key",
    ],
)
def test_every_credential_of_an_http_request_is_held_to_what_a_header_can_carry(path: str) -> None:
    section, _, name = path.rpartition(".")
    message = refusal(f"[{section}]\n{name} = 'schl\u00fcssel'")
    assert f"{path} (from " in message
    assert "character 5 is LATIN SMALL LETTER U WITH DIAERESIS" in message
    assert "ssel" not in message


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("api_key", "SECRET", "is no Base64; copy it anew, with the = at its end"),
        ("api_key", "----", "is no Base64"),
        ("customer_id", "SECRET:SECRET", "holds a colon, which ends it in a header"),
        ("max_text_chars", "1601", "less than or equal to 1600"),
    ],
)
def test_telesigns_credentials_are_what_its_signatures_need(name: str, value: str, told: str) -> None:
    message = refusal(f"[providers.telesign]\n{name} = {value if value.isdigit() else json.dumps(value)}")
    assert f"providers.telesign.{name} (from " in message
    assert told in message
    assert "SECRET" not in message


@pytest.mark.parametrize("path", ["kafka.sasl_password", "providers.smtp.password", "providers.bird.signing_key"])
@pytest.mark.parametrize(
    ("value", "told"),
    [("TOP\nSECRET", "is LINE FEED"), ("TOP\u00a0SECRET", "is NO-BREAK SPACE"), (" ", "is blank"), ("\t", "is blank")],
)
def test_any_other_secret_holds_only_what_a_person_can_see(path: str, value: str, told: str) -> None:
    section, _, name = path.rpartition(".")
    written = json.dumps([value] if name == "signing_key" else value)
    message = refusal(f"[{section}]\n{name} = {written}")
    assert told in message
    assert "SECRET" not in message


def test_a_password_may_hold_spaces_and_letters_of_any_language() -> None:
    kafka = load(toml("[kafka]\nsasl_password = 'schlüssel mit Leerzeichen'"), environ={}).kafka
    assert kafka.sasl_password.get_secret_value() == "schlüssel mit Leerzeichen"


@pytest.mark.parametrize("content", ["key\n", "\r\n key \n\n", "\ufeffkey"])
def test_what_an_editor_leaves_around_a_secret_in_a_file_is_no_part_of_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "providers__ycloud__api_key").write_text(content, encoding="utf-8")
    ycloud = load(environ={"PIPELINE_SECRETS_DIR": str(tmp_path)}).providers["ycloud"]
    assert isinstance(ycloud, YCloudSettings)
    assert ycloud.api_key.get_secret_value() == "key"


def test_a_line_break_inside_a_secret_file_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "providers__ycloud__api_key").write_text("TOP\nSECRET\n", encoding="utf-8")
    message = refusal(PIPELINE_SECRETS_DIR=str(tmp_path))
    assert f"(from secret file {tmp_path / 'providers__ycloud__api_key'}): character 4 is LINE FEED" in message
    assert "SECRET" not in message


@pytest.mark.parametrize("written", ['["whsec_x', "[whsec_x]", '{"whsec_x"', " [whsec_x,whsec_y"])
def test_a_list_of_secrets_that_lost_a_bracket_is_no_secret(tmp_path: Path, written: str) -> None:
    named = "PIPELINE_PROVIDERS__YCLOUD__WEBHOOK_SECRET"
    message = refusal(**{named: written})
    assert f"providers.ycloud.webhook_secret (from {named}): begins like a list" in message
    assert "whsec" not in message
    (tmp_path / "providers__ycloud__webhook_secret").write_text(written, encoding="utf-8")
    message = refusal(PIPELINE_SECRETS_DIR=str(tmp_path))
    assert "begins like a list" in message
    assert str(tmp_path / "providers__ycloud__webhook_secret") in message
    assert "whsec" not in message


def test_any_list_in_a_variable_that_lost_a_bracket_is_refused_by_the_variable_s_name() -> None:
    message = refusal(PIPELINE_TEST_NUMBERS='["+4915112345678"')
    assert "test_numbers (from PIPELINE_TEST_NUMBERS): must be a list" in message


@pytest.mark.parametrize("written", ['[""]', '" "', '["ok", " "]', '" , "'])
def test_a_blank_webhook_secret_is_refused(written: str) -> None:
    assert "providers.ycloud.webhook_secret" in refusal(f"[providers.ycloud]\nwebhook_secret = {written}")


@pytest.mark.parametrize("written", [" ", " , ", '[""]', '["ok", " "]'])
def test_a_blank_webhook_secret_in_a_variable_is_refused_by_the_variable_s_name(written: str) -> None:
    named = "PIPELINE_PROVIDERS__YCLOUD__WEBHOOK_SECRET"
    assert f"(from {named})" in refusal(**{named: written})


def test_a_secret_of_bytes_that_are_no_text_is_refused_without_showing_it() -> None:
    # As the process gets bytes that are no UTF-8 in its environment.
    message = refusal(PIPELINE_PROVIDERS__YCLOUD__API_KEY="TOP\udcfcSECRET")
    assert "character 4 is U+DCFC" in message
    assert "SECRET" not in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[gateway]\nport = true", "gateway.port (from {file}): must be a whole number"),
        ("[records]\nwrite_version = true", "records.write_version (from {file}): must be a whole number"),
        ("[kafka]\nrequest_timeout_ms = false", "kafka.request_timeout_ms (from {file}): must be a whole number"),
        ("[providers.ycloud]\nrate_per_s = true", "providers.ycloud.rate_per_s (from {file}): must be a number"),
        ("instance = true", "instance (from {file}): must be a whole number"),
    ],
)
def test_true_is_no_number(text: str, told: str) -> None:
    message = refusal(text)
    assert message.startswith("1 problem in the settings:")
    assert told.replace("{file}", str(Path("settings.toml").absolute())) in message


def test_a_file_may_begin_with_a_byte_order_mark_as_editors_on_windows_write_it() -> None:
    assert load(toml("\ufeff[kafka]\r\nclient_id = 'x'\r\n"), environ={}).kafka.client_id == "x"


def test_a_rule_may_name_a_provider_that_is_switched_off_so_that_it_can_be_at_any_time() -> None:
    assert load(toml("[providers.ycloud]\n[[routes.rules]]\nproviders = ['ycloud']"), environ={})

"""``pipeline config check`` tells every problem at once, each in words of the one who wrote the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import main

Check = Callable[[str], list[str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """The problems that are told of a settings file; it must be refused by them alone, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERMINAL_WIDTH", "300")

    def told(text: str) -> list[str]:
        (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")
        code = main(["config", "check"])
        first, *problems = capsys.readouterr().err.splitlines() or [""]
        assert (code, bool(problems)) in ((2, True), (0, False))
        assert not problems or first.startswith("error: ")
        return [line.strip() for line in problems]

    return told


def paths(problems: list[str]) -> list[str]:
    return [line.partition(":")[0].partition(" (from")[0] for line in problems]


APART = {
    "policy.wait_s": "[policy]\nwait_s = 3\n",
    "providers.ycloud.api_key": "[providers.ycloud]\nenabled = true\n",
    "providers.telesign.customer_id": "[providers.telesign]\nenabled = true\n",
    "tracing.enabled": "[tracing]\nenabled = true\n",
    "routes.rules[0].providers": "[[routes.rules]]\nproviders = ['nope']\n",
    "templates.welcome.texts.en": "[templates.welcome]\ntexts = {en = 'hello'}\n",
    "senders[0].sender": "[[senders]]\nprovider = 'nobody'\n",
    "kafka.bootstrap_servers": "[kafka]\nbootstrap_servers = 'nohostport'\n",
    "tenants.default.code_length": "[tenants.default]\ncode_length = 4\nlanguage = 'nonsense'\nmax_expires_in_s = 1\n",
    "runtime.queue_low": "[runtime]\nqueue_low = 10\nqueue_high = 10\nshutdown_s = 'long'\n",
    "records.schemas_dir": "[records]\nschemas_dir = '/nope'\nwrite_version = 99\n",
    "gateway.port": "[gateway]\nport = 70000\nhost = 'not a host'\n",
    "gateway.api_keys.a": f"[gateway.api_keys.a]\nkey = 'x'\nkey_sha256 = '{'0' * 64}'\n",
    "prices.rules[0].price": "[[prices.rules]]\nprovider = 'nobody'\nprice = 'dear'\n",
}
"""Faults that have nothing to do with each other, by one of the paths that must be named."""


def test_problems_are_told_together_that_would_each_be_told_alone(check: Check) -> None:
    alone = {path: paths(check(text)) for path, text in APART.items()}
    assert [path for path, told in alone.items() if path not in told] == []
    assert sorted(paths(check("".join(APART.values())))) == sorted(path for told in alone.values() for path in told)


def test_a_value_that_is_wrong_itself_is_not_blamed_for_anything_else(check: Check) -> None:
    assert paths(check("[gateway]\nport = 'x'\n[metrics]\nport = 8080\n")) == ["gateway.port"]
    assert paths(check("[metrics]\nport = 'x'\n[gateway]\nport = 9400\n")) == ["metrics.port"]
    assert paths(check("[providers.foo]\nkind = 'nope'\n[[routes.rules]]\nproviders = ['foo']\n")) == ["providers.foo"]
    assert paths(check("[tenants.a]\ncode_length = 5\nmin_code_length = 'x'\n")) == ["tenants.a.min_code_length"]
    assert paths(check("tenants = {a = 3}\nroutes.rules = [{tenant = 'a', providers = []}]\n")) == [
        "tenants.a",
        "routes.rules[0].providers",
    ]
    sasl = "[kafka]\nsecurity_protocol = 'SASL_SSL'\nsasl_username = 'me'\nsasl_password = 3\n"
    assert paths(check(sasl)) == ["kafka.sasl_password"]


def test_places_in_a_list_are_those_of_the_file_also_behind_a_broken_one(check: Check) -> None:
    rules = (
        "[[routes.rules]]\ntenant = 'nobody'\n[[routes.rules]]\nproviders = [3]\n[[routes.rules]]\nproviders = ['x']\n"
    )
    assert sorted(paths(check(rules))) == [
        "routes.rules[0].providers",
        "routes.rules[0].tenant",
        "routes.rules[1].providers[0]",
        "routes.rules[2].providers",
    ]


def test_files_that_cannot_be_read_are_told_together(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_SECRETS_DIR", str(tmp_path / "missing"))
    monkeypatch.setenv("PIPELINE_KAFCA", "x")
    secrets, file, variable = check("[kafka\n")
    assert "PIPELINE_SECRETS_DIR" in secrets
    assert "is no TOML" in file
    assert "PIPELINE_KAFCA" in variable


@pytest.mark.parametrize(
    ("text", "path", "fix"),
    [
        ("test_numbers = ['+49151']", "test_numbers[0]", "write + and country code"),
        ("test_numbers = ['+4915112345678', 'me@example.org', 'x']", "test_numbers[2]", "write + and country code"),
        ("[tenants.a]\nlanguage = 'german, please'", "tenants.a.language", "write one such as en"),
        ("[tenants.a]\ndomain = 'https://login.example.org'", "tenants.a.domain", "without https://"),
        ("[tenants.a]\ndomain = 'login.example.org:8443'", "tenants.a.domain", "without https://, port"),
        ("[tenants.a]\ndomain = 'Login.example.org'", "tenants.a.domain", "small letters"),
        ("[tenants.a]\ndomain = 'münchen.example'", "tenants.a.domain", "xn-- form"),
        ('[tenants.a]\nbrand = """Acme\n"""', "tenants.a.brand", "write a name on one line"),
        ("[tenants.a]\nbrand = ' '", "tenants.a.brand", "is blank"),
        ('[tenants.a]\nsignature = "a\\u2028b"', "tenants.a.signature", "write a name on one line"),
        ("[tenants.a]\ndomain = 'localhost'", "tenants.a.domain", 'such as "login.example.org"'),
        ("[tenants.a]\ndomain = '192.0.2.7'", "tenants.a.domain", "a host name"),
        ("[tenants.a]\ndomain = 'a.example {code}'", "tenants.a.domain", "a host name"),
        ("[templates.a]\ntexts = {en = 'hello'}", "templates.a.texts.en", "show it one to three times"),
        ("[templates.a]\ntexts = {en = '{code} {surname}'}", "templates.a.texts.en", "{brand} {minutes}"),
        ("[templates.a]\ntexts = {english = '{code}'}", "templates.a.texts.english", "write one such as en, pt-BR"),
        ("[templates.a]\ntexts = {pt-BR = '{code}', pt_br = '{code}'}", "templates.a.texts.pt_br", "keep one"),
        (
            "[templates.a]\ntexts = {en = '{code}'}\nsubjects = {en = '{code} for you'}",
            "templates.a.subjects.en",
            "only the text may",
        ),
        (
            "[templates.a]\ntexts = {en = '{code}'}\nsubjects = {en = \"Hi\\nBcc: eve\"}",
            "templates.a.subjects.en",
            "line breaks; remove them",
        ),
        ("[kafka]\nbootstrap_servers = ''", "kafka.bootstrap_servers", "host:port"),
        ("[kafka]\nbootstrap_servers = 'nohostport'", "kafka.bootstrap_servers", "host:port"),
        ("[kafka]\nbootstrap_servers = 'a:1,b'", "kafka.bootstrap_servers", "host:port"),
        ("[kafka]\nbootstrap_servers = '::1:9092'", "kafka.bootstrap_servers", "host:port"),
        ("[kafka]\nbootstrap_servers = 'a:99999'", "kafka.bootstrap_servers", "1 to 65535"),
        ("[kafka]\nsecurity_protocol = 'SSL'\nssl_cafile = '/nope'", "kafka.ssl_cafile", "name a PEM file"),
        (
            "[kafka]\nsecurity_protocol = 'SSL'\nssl_certfile = '/nope'\nssl_keyfile = '/nope'",
            "kafka.ssl_certfile",
            "name two PEM files",
        ),
        ("[providers.ycloud]\nbase_url = 'htp://x'", "providers.ycloud.base_url", "write http:// or https://"),
        ("[providers.neutrino]\nbase_url = 'not a url'", "providers.neutrino.base_url", "write http:// or https://"),
        ("[providers.ycloud]\nbase_url = 'http://me:hunter2@x'", "providers.ycloud.base_url", "before the @"),
        ("[providers.ycloud]\nbase_url = 'http://x:0/'", "providers.ycloud.base_url", "write http:// or https://"),
        ("[providers.ycloud]\nbase_url = 'http://x/?a=b'", "providers.ycloud.base_url", "remove what begins with ?"),
        ("[simulator]\nwebhook_url = 'ftp://x/'", "simulator.webhook_url", "write http:// or https://"),
        ("[gateway]\nhost = 'not a host'", "gateway.host", "write 127.0.0.1"),
        ("[metrics]\nhost = '127.0.0.256'", "metrics.host", "write 127.0.0.1"),
        ("[simulator]\nhost = ''", "simulator.host", "write 127.0.0.1"),
        ("[gateway]\nport = 9400", "metrics.port", "set another"),
        ("[gateway]\nport = 9400\nhost = '0.0.0.0'", "metrics.port", "set another"),
        ("[simulator]\nport = 8080", "simulator.port", "set another"),
        ("[metrics]\nport = 8090\n[simulator]\nseed = 2", "simulator.port", "set another"),
        ("[records]\nwrite_version = 99", "records.write_version", "remove the setting"),
        ("[records]\nschemas_dir = '/nope'", "records.schemas_dir", "create it"),
        ("[policy]\nautomatic = ['email']", "policy.automatic[0]", "'sms', 'voice', 'whatsapp' or 'viber'"),
        ("[policy]\nid_horizon_s = 3600", "policy.id_horizon_s", "set at least 151201"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(check: Check, text: str, path: str, fix: str) -> None:
    (problem,) = check(text)
    assert paths([problem]) == [path]
    assert fix in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "text",
    [
        "[kafka]\nbootstrap_servers = 'kafka-0.kafka:9092, [::1]:9093,my_broker:9094'",
        "[providers.ycloud]\nbase_url = 'https://api.example.org:8443/v2'\n[simulator]\nwebhook_url = 'http://[::1]:80'",
        "[gateway]\nhost = '::'\n[metrics]\nhost = 'localhost'\n[simulator]\nhost = 'sim.internal.'",
        "[gateway]\nport = 0\n[metrics]\nport = 0\n[simulator]\nport = 0",
        "[gateway]\nport = 9400\nhost = '10.0.0.1'",
        "[gateway]\nport = 8090",
        "[records]\nwrite_version = 1",
        "[policy]\nid_horizon_s = 151201",
        "test_numbers = ['+491511111111', 'me@example.org']",
        "[tenants.a]\ndomain = 'login.xn--mnchen-3ya.example'",
        "[templates.a]\ntexts = {en = '{brand}: {code} {code}', zh_TW = '{code}'}\nsubjects = {en = 'To {payee}'}",
    ],
)
def test_what_works_is_not_refused(check: Check, text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kafka = 3", "kafka (from pipeline.toml): is a section, not a value; write [kafka] and its settings below it"),
        ("tenants = 3", "is a section, not a value; write [tenants.<name>] and its settings below it"),
        ("[providers]\nycloud = 'x'", "is a section, not a value; write [providers.ycloud] and its settings below it"),
        ("[templates.a]\ntexts = 3", 'must be a table, such as { en = "text" }'),
        ("[senders]\nsender = 'x'", "is a list of sections; write each as [[senders]], with two brackets"),
        ("[routes.rules]\nproviders = []", "is a list of sections; write each as [[routes.rules]], with two brackets"),
        ("[routes]\nrules = [3]", "each is a section; write it as [[routes.rules]], with two brackets"),
        ("[policy]\nautomatic = 'sms'", 'must be a list, such as ["one", "two"]'),
        ("[kafka]\nclient_id = 3", 'must be text, such as "this"'),
        ("[gateway]\nport = 'many'", "must be a whole number"),
        ("[gateway]\nport = 1.5", "must be a whole number"),
        ("[runtime]\nshutdown_s = 'long'", "must be a number"),
        ("[tracing]\nenabled = 'maybe'", "must be true or false"),
        ("[policy]\nautomatic = []", "must not be empty"),
        ("[kafka]\nssl_cafile = 3", "must be a path"),
        (
            "[kafka]\nbootstrap_servers = ['a:9092', 'b:9092']",
            'must be one text with commas between the brokers, such as "10.0.0.1:9092,10.0.0.2:9092"',
        ),
        ("[[routes.rules]]\nproviders = ['x']\ncountry = 'de'", 'must be two capital letters, such as "DE"'),
        ("[metrics]\ncountries = ['germany']", 'must be two capital letters, such as "DE"'),
        ("[[routes.rules]]\nproviders = ['x']\nprefix = '49'", 'must be + and digits, such as "+4915"'),
        ("[prices]\ncurrency = 'euro'", 'must be three capital letters, such as "EUR"'),
        ("[protections.budget]\namount = '1,50'", 'must be a decimal as text, such as "12.50"'),
        ("[kafka]\ntopic_prefix = 'a/b'", "must be at most 100 of the letters, digits and . _ -"),
        ("[gateway.api_keys.a]\nkey_sha256 = 'x'", "must be 64 hex digits in lower case"),
        ("[providers.YCloud]\nkind = 'ycloud'", "must be a lower-case letter, then at most 39 of a-z 0-9 _ -"),
        ("[tenants.'my shop']\nlanguage = 'en'", "must be at most 64 letters, digits and . _ -, no sign first"),
    ],
)
def test_what_has_another_shape_is_told_in_the_words_of_the_file(check: Check, text: str, words: str) -> None:
    problem, *_ = check(text)
    assert "pattern" not in problem
    assert problem.endswith(words) or problem.split(": ", 1)[1].startswith(words)
    assert "dictionary" not in problem
    assert "instance of" not in problem


def test_a_folder_in_place_of_the_settings_file_is_said_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(tmp_path), "config", "check"]) == 2
    assert f"settings file {tmp_path} is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "fix"),
    [("providers__ycloud__apikey", "did you mean api_key?"), ("PIPELINE_KAFCA__SASL_PASSWORD", "kafka__sasl_password")],
)
def test_a_secret_file_with_a_wrong_name_is_shown_as_the_file_it_is(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fix: str
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / name).write_text("hunter2")
    monkeypatch.setenv("PIPELINE_SECRETS_DIR", str(secrets))
    (problem,) = check("")
    assert f"secret file {secrets / name}" in problem
    assert fix in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["run", "router", "--instance", "10000"], "--instance"),
        (["simulator", "--webhook-url", "foo"], "--webhook-url"),
        (["simulator", "--webhook-url", "ftp://x/"], "--webhook-url"),
        (["simulator", "--host", "not a host"], "--host"),
    ],
)
def test_an_option_is_held_to_what_its_setting_may_be(
    check: Check, capsys: pytest.CaptureFixture[str], argv: list[str], named: str
) -> None:
    assert main(argv) == 2
    assert named in capsys.readouterr().err


def test_a_sender_of_no_provider_is_refused_before_anything_is_connected(
    check: Check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check("[providers.ycloud]\nenabled = true\napi_key = 'k'\n") == []

    def connect(*_: object, **__: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr("pipeline.process.opened", connect)
    assert main(["run", "sender", "--provider", "yclod"]) == 2
    assert "providers.yclod: is not configured and enabled; enabled are: ycloud" in capsys.readouterr().err

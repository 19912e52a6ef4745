from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.core import TyperGroup

from pipeline import __version__
from pipeline.cli import main
from pipeline.cli.commands import COMMANDS, Command
from pipeline.cli.context import options
from pipeline.cli.lazy import LazyGroup, load
from pipeline.errors import LogUnavailable, UsageError


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    return tmp_path


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., object]], None]:
    """Puts a function into the table as the command ``try``."""

    def register(function: Callable[..., object]) -> None:
        module = ModuleType("pipeline_cli_tried")
        module.tried = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pipeline_cli_tried", module)
        monkeypatch.setitem(COMMANDS, "try", Command("pipeline_cli_tried:tried", "Tried by a test."))

    return register


def test_help_lists_every_command_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert name in told
        assert entry.help in told


def test_help_imports_nothing_that_takes_long() -> None:
    slow = ("aiokafka", "aiohttp", "pydantic", "phonenumbers", "cryptography", "uvicorn", "prometheus_client", "jgo")
    script = (
        f"import sys; from pipeline.cli import main; assert main(['--help']) == 0;"
        f"print([m for m in {slow!r} if m in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stderr.strip() == "[]"


ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_exists_and_shows_an_example(name: str) -> None:
    def texts(command: object, path: str) -> list[tuple[str, str]]:
        found = [(path, str(getattr(command, "help", "") or ""))]
        if isinstance(command, TyperGroup):
            for inner, below in command.commands.items():
                found += texts(below, f"{path} {inner}")
        return found

    for path, text in texts(load(name, COMMANDS[name].target), name):
        assert "Example" in text, f"`pipeline {path} --help` has no example"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("argv", [["no-such-command"], ["config", "no-such-command"], ["config", "check", "--no-such"]])
def test_wrong_usage_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "No such" in capsys.readouterr().err


def test_a_mistyped_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confgi"]) == 2
    assert "Did you mean 'config'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("field: wrong; mend it"), 2), (LogUnavailable("127.0.0.1:9092 is silent"), 1)]
)
def test_an_error_of_ours_is_a_message_without_a_traceback(
    error: Exception, code: int, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise error

    command(fails)
    assert main(["try"]) == code
    told = capsys.readouterr()
    assert told.err == f"error: {error}\n"
    assert told.out == ""
    assert main(["--debug", "try"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_not_hidden(command: Callable[..., None]) -> None:
    def fails() -> None:
        raise ZeroDivisionError("a bug")

    command(fails)
    with pytest.raises(ZeroDivisionError):
        main(["try"])


def test_an_interrupt_ends_with_130(command: Callable[..., None]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    command(interrupted)
    assert main(["try"]) == 130


def test_a_command_sees_the_options_before_it(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    def tells(ctx: typer.Context, word: str) -> None:
        typer.echo(f"{options(ctx).config} {word}")

    command(tells)
    assert main(["--config", "some.toml", "try", "hello"]) == 0
    assert capsys.readouterr().out == "some.toml hello\n"


def test_config_check_tells_every_problem_and_ends_with_2(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_folder / "pipeline.toml").write_text("[kafka]\nclient = 'x'\n[gateway]\nport = -1\n")
    assert main(["config", "check"]) == 2
    told = capsys.readouterr().err
    assert "error: 2 problems in the settings:" in told
    assert "did you mean client_id?" in told
    assert "gateway.port" in told


def test_config_check_says_what_is_configured(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "pipeline.toml").write_text("[providers.ycloud]\nenabled = true\napi_key = 'hunter2'\n")
    assert main(["config", "check"]) == 0
    assert "Providers: ycloud." in capsys.readouterr().out
    assert main(["config", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "tenants": ["default"], "providers": ["ycloud"]}


def test_config_show_masks_secrets_in_both_forms(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_PROVIDERS__YCLOUD__API_KEY", "hunter2")
    assert main(["config", "show"]) == 0
    table = capsys.readouterr().out
    assert main(["config", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "hunter2" not in table
    assert shown["providers"]["ycloud"]["api_key"] == "********"
    assert any(line.split() == ["providers.ycloud.api_key", "********"] for line in table.splitlines())


def test_a_group_without_its_table_offers_nothing() -> None:
    assert LazyGroup().list_commands(None) == []

"""Where values come from: environment over secret files over the TOML file, each as one nested mapping."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from pipeline.errors import SettingsError
from pipeline.settings.root import Settings

PREFIX: Final = "PIPELINE_"
CONFIG: Final = "PIPELINE_CONFIG"
SECRETS_DIR: Final = "PIPELINE_SECRETS_DIR"
DEFAULT_FILE: Final = Path("pipeline.toml")
_MAX_SECRET_BYTES: Final = 65_536


class _Fields(Settings, BaseSettings):
    """Tells the sources which names exist; never instantiated."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")


class _Variables(EnvSettingsSource):
    """Reads given variables instead of the process's own, and takes lists as JSON or with commas."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = {name.lower(): value for name, value in variables.items()}
        super().__init__(_Fields)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return dict(self._variables)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if value.lstrip()[:1] in ("[", "{"):
            try:
                return super().decode_complex_value(field_name, field, value)
            except ValueError:
                # Kept as text: validation then names the exact path, and no parser's message shows the value.
                return value
        parts = [part for part in map(str.strip, re.split(r"[,\n]", value)) if part]
        # What is blank is no list without entries but a mistake, so it is left for validation to refuse.
        return parts if parts or not value else value


@dataclass(frozen=True, slots=True)
class Source:
    """One place that values come from."""

    label: str
    """How a person finds it: a file, or ``environment``."""
    data: Mapping[str, Any]
    names: Mapping[str, str]
    """For variables and secret files: name without prefix, lower case → how a person finds it."""
    files: bool = False
    """Whether these are secret files."""

    def holds(self, path: tuple[str | int, ...]) -> bool:
        """Whether the value at ``path`` comes from here."""
        here: Any = self.data
        for part in path:
            try:
                here = here[part]
            except (KeyError, IndexError, TypeError):
                return False
        return True


def read(config: Path | None, environ: Mapping[str, str]) -> tuple[list[Source], list[str]]:
    """All sources, strongest first, and a line for each file that was named and cannot be read."""
    sources = [_variables(environ)]
    unreadable: list[str] = []
    if directory := environ.get(SECRETS_DIR):
        secrets, unreadable = _secret_files(Path(directory))
        sources.append(secrets)
    if path := _config_file(config, environ):
        try:
            sources.append(Source(str(path), _toml(path), {}))
        except SettingsError as error:
            unreadable.append(str(error))
    return sources, unreadable


def merge(sources: list[Source]) -> dict[str, Any]:
    """One mapping of them all; lists are replaced, sections merged."""
    merged: dict[str, Any] = {}
    for source in reversed(sources):
        merged = _over(merged, source.data)
    return merged


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = _over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _is_ours(name: str) -> bool:
    upper = name.upper()
    if not upper.startswith(PREFIX) or upper in (CONFIG, SECRETS_DIR):
        return False
    # Kubernetes gives every pod the addresses of services in its namespace; for services named pipeline-… they look
    # like ours (PIPELINE_GATEWAY_PORT_8080_TCP_ADDR), but never hold the double underscore of a section.
    return "__" in upper or not ("_SERVICE_" in upper or upper.endswith("_PORT") or "_PORT_" in upper)


def _variables(environ: Mapping[str, str]) -> Source:
    ours = {name: value for name, value in environ.items() if _is_ours(name)}
    return Source("environment", _Variables(ours)(), {_plain(name): name for name in ours})


def _secret_files(directory: Path) -> tuple[Source, list[str]]:
    found: dict[str, str] = {}
    names: dict[str, str] = {}
    unreadable: list[str] = []
    if not directory.is_dir():
        unreadable.append(f"{SECRETS_DIR}: {directory} is no directory; create it or unset the variable")
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        # A Kubernetes volume holds `..data` and dated folders beside the links to the files themselves.
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            if path.stat().st_size > _MAX_SECRET_BYTES:
                problem = f"is larger than {_MAX_SECRET_BYTES} bytes; it holds one value"
                unreadable.append(f"secret file {path} {problem}")
                continue
            found[PREFIX + _plain(path.name)] = path.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            unreadable.append(f"secret file {path} cannot be read: {_why(error)}; mend or remove it")
        names[_plain(path.name)] = f"secret file {path}"
    return Source(f"secret files in {directory}", _Variables(found)(), names, files=True), unreadable


def _plain(name: str) -> str:
    """A variable's or file's name as the settings are called."""
    return name.lower().removeprefix(PREFIX.lower())


def _config_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is not None:
        return config
    if named := environ.get(CONFIG):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _toml(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise SettingsError(f"settings file {path} is a folder; name a file in it with --config or {CONFIG}")
    if not path.exists():
        raise SettingsError(f"settings file {path} does not exist; name another with --config or {CONFIG}")
    try:
        # Editors on Windows begin a file with a byte order mark, which TOML itself does not know.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        problem = f"is no TOML: {error.args[0]}"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {_why(error)}; mend it or its permissions"
    # Raised outside of the except block: the parser's error holds the whole file and would travel along as context.
    raise SettingsError(f"settings file {path} {problem}")


def _why(error: OSError | UnicodeDecodeError) -> str:
    """What went wrong, without the bytes that a decoding error would show."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8 text"
    return os.strerror(error.errno) if error.errno else type(error).__name__

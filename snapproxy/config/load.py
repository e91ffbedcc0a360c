"""Load a Config from a file and the environment, or raise one error that lists every mistake by its key path."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from snapproxy.archives import BUILTIN
from snapproxy.config.archives import ArchiveSettings, merge, missing_keys, set_keeps_packages
from snapproxy.config.model import Config, UpstreamLimits, Watch
from snapproxy.config.settings import (
    FILE_VARIABLE,
    Settings,
    UpstreamSettings,
    WatchSettings,
    from_variables,
    keys,
    twin,
    unknown_variables,
)
from snapproxy.core.model import Archive
from snapproxy.errors import ConfigurationError

SYSTEM_FILE = Path("/etc/snapproxy/config.toml")

_ACCEPTED = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a table",
    "string_type": "a text in quotes",
}


def find_file(named: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: `named`, else $SNAPPROXY_CONFIG, else the system's file if it exists."""
    if named is not None:
        return named
    if environ.get(FILE_VARIABLE):
        return Path(environ[FILE_VARIABLE])
    return SYSTEM_FILE if SYSTEM_FILE.exists() else None


def load(
    named: Path | None = None, environ: Mapping[str, str] | None = None, built_in: Sequence[Archive] = BUILTIN
) -> Config:
    """Read the settings. The ConfigurationError lists every mistake, one a line."""
    environ = os.environ if environ is None else environ
    file = find_file(named, environ)
    raw = _read(file)
    _overlay(raw, from_variables(environ))
    mistakes = [f"{name}: no such setting{_near(name, map(twin, keys()))}" for name in unknown_variables(environ)]
    tables = raw.get("archives", {})
    mistakes += missing_keys(tables, built_in) + _unknown_watched(raw.get("watch"), tables, built_in)
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        mistakes += [_line(each, environ) for each in error.errors()]
    if mistakes:
        plural = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        where = str(file) if file else "the SNAPPROXY_ variables"
        raise ConfigurationError(
            f"The configuration has {plural}",
            why="\n".join(sorted(mistakes)),
            hint=f"Read from {where}. Correct it and run `snapproxy config check`.",
        )
    return _config(settings, file, environ, built_in)


def _read(file: Path | None) -> dict[str, Any]:
    """Return the tables of the file, empty without a file."""
    if file is None:
        return {}
    if not file.is_file():
        raise ConfigurationError(
            "The configuration file does not exist",
            why=str(file),
            hint="Name another file with --config, or unset SNAPPROXY_CONFIG.",
        )
    try:
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError("The configuration file is not valid TOML", why=f"{file}: {error}") from error
    except OSError as error:
        raise ConfigurationError("The configuration file cannot be read", why=f"{file}: {error.strerror}") from error


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Write the values of `above` over those of `below`; tables are combined."""
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            below[key] = dict(below[key])
            _overlay(below[key], value)
        else:
            below[key] = value


def _line(error: ErrorDetails, environ: Mapping[str, str]) -> str:
    """Return one mistake as a line: its path, the value, the accepted values."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    where = _key_path(path)
    if environ.get(twin(str(path[0]))):
        where += f" (or {twin(str(path[0]))})"
    if error["type"] == "extra_forbidden":
        return f"{where}: no such setting{_near(str(path[-1]), _siblings(path))}"
    limits = {
        "greater_than": "more than {gt}",
        "greater_than_equal": "at least {ge}",
        "less_than_equal": "at most {le}",
    }
    if error["type"] in limits:
        accepted = "a number of " + limits[error["type"]].format(**error["ctx"])
    elif error["type"] == "value_error":
        accepted = str(error["ctx"]["error"])
    else:
        accepted = _ACCEPTED.get(error["type"], error["msg"])
    value = path[-1] if error["loc"][-1] == "[key]" else error["input"]
    return f"{where}: {json.dumps(value, default=str)} is not accepted; accepted: {accepted}"


def _key_path(path: Sequence[str | int]) -> str:
    """Write a key path as TOML does: `upstreams."a.b".burst`, `archives.x.mirrors[0]`."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            bare = part.replace("-", "").replace("_", "").isalnum()
            written += "." * bool(written) + (part if bare else json.dumps(part))
    return written


def _unknown_watched(watches: Any, tables: Any, built_in: Sequence[Archive]) -> list[str]:
    """Return a line for each watched archive that does not exist."""
    known = {archive.name for archive in built_in} | set(tables if isinstance(tables, Mapping) else ())
    named = [each.get("archive") if isinstance(each, Mapping) else None for each in watches or ()]
    return [
        f"watch[{at}].archive: there is no archive {json.dumps(name)}{_near(name, sorted(known))}"
        for at, name in enumerate(named)
        if isinstance(name, str) and name not in known
    ]


def _siblings(path: Sequence[str | int]) -> list[str]:
    if len(path) == 1:
        return list(keys())
    tables: dict[str, type[BaseModel]] = {"archives": ArchiveSettings, "watch": WatchSettings}
    return list(tables.get(str(path[0]), UpstreamSettings).model_fields)


def _near(name: str, known: Any) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(known)}"


def _folder(kind: str, environ: Mapping[str, str]) -> Path:
    """Return the default `state` or `cache` folder.

    systemd sets $STATE_DIRECTORY and $CACHE_DIRECTORY to the folders that it created. Those of another service (a build
    runner) are ignored.
    """
    managed = [
        Path(each) for each in environ.get(f"{kind.upper()}_DIRECTORY", "").split(":") if Path(each).name == "snapproxy"
    ]
    if managed:
        return managed[0]
    if os.geteuid() == 0:
        return Path("/var/lib/snapproxy" if kind == "state" else "/var/cache/snapproxy")
    home = environ.get("HOME") or str(Path.home())
    usual = Path(home, ".local/state" if kind == "state" else ".cache")
    # The XDG base directory specification: a relative path is invalid and must be ignored.
    named = Path(environ.get(f"XDG_{kind.upper()}_HOME", ""))
    return (named if named.is_absolute() else usual) / "snapproxy"


def _config(settings: Settings, file: Path | None, environ: Mapping[str, str], built_in: Sequence[Archive]) -> Config:
    limits: dict[str, UpstreamLimits] = {}
    for host, each in settings.upstreams.items():
        # The two types have the same three fields.
        limits[host] = UpstreamLimits(**each.model_dump(include=each.model_fields_set))  # type: ignore[typeddict-item]
    watches = tuple(Watch(each.archive, tuple(each.paths), each.every, each.packages) for each in settings.watch)
    return Config(
        listen=tuple(settings.listen),
        state_dir=Path(settings.state_dir) if settings.state_dir else _folder("state", environ),
        cache_dir=Path(settings.cache_dir) if settings.cache_dir else _folder("cache", environ),
        default_when=settings.default_when,
        passes=tuple(pair for pairs in settings.passes for pair in pairs),
        connect=settings.connect,
        archives=set_keeps_packages(
            merge(built_in, settings.archives, settings.max_gap, settings.settle_after), watches
        ),
        upstreams=limits,
        patience=dict(settings.patience),
        watch=watches,
        source=file,
    )

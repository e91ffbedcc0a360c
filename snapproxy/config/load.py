"""Load a Config from a file and the environment, or raise one error that lists every mistake by its key path."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snapproxy.archives import BUILTIN
from snapproxy.config.archives import merge, missing_keys, set_keeps_packages
from snapproxy.config.model import ADMIN_LISTEN, Config, MirroredSlice, Watch
from snapproxy.config.schema import Mistake, MistakesError, near
from snapproxy.config.settings import FILE_VARIABLE, SETTINGS, from_variables, keys, twin, unknown_variables
from snapproxy.config.value_types import LIVE
from snapproxy.core.model import Archive, Match
from snapproxy.errors import ConfigurationError

SYSTEM_FILE = Path("/etc/snapproxy/config.toml")


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
    mistakes = [f"{name}: no such setting{near(name, map(twin, keys()))}" for name in unknown_variables(environ)]
    tables = raw.get("archives", {})
    mistakes += missing_keys(tables, built_in) + _unknown_archives(raw, tables, built_in)
    mistakes += _shared_hosts(tables)
    try:
        settings = SETTINGS.with_defaults(raw)
    except MistakesError as error:
        mistakes += [_line(each, environ) for each in error.mistakes]
    else:
        mistakes += _contradictions(settings)
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


def _line(mistake: Mistake, environ: Mapping[str, str]) -> str:
    """Return one mistake as a line: its path, the value, the accepted values."""
    where = _key_path(mistake.path)
    if environ.get(twin(str(mistake.path[0]))):
        where += f" (or {twin(str(mistake.path[0]))})"
    return f"{where}: {mistake.text}"


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


def _unknown_archives(raw: Mapping[str, Any], tables: Any, built_in: Sequence[Archive]) -> list[str]:
    """Return a line for each archive that `[[watch]]` or `[[mirror]]` names and that does not exist."""
    known = {archive.name for archive in built_in} | set(tables if isinstance(tables, Mapping) else ())
    named = [
        (f"{key}[{at}].archive", each.get("archive"))
        for key in ("watch", "mirror")
        for at, each in enumerate(raw[key] if isinstance(raw.get(key), list) else ())
        if isinstance(each, Mapping)
    ]
    return [
        f"{where}: there is no archive {json.dumps(name)}{near(name, sorted(known))}"
        for where, name in named
        if isinstance(name, str) and name not in known
    ]


def _contradictions(settings: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting that another one forbids."""
    if LIVE in settings["allow"]:
        return []
    default, lines = settings["default_when"], []
    if default is not None and default.match is Match.LIVE:
        lines.append('default_when: "live" is refused, because allow does not include it')
    if settings["connect"]:
        lines.append("connect: tunnels are for live clients, which are refused, because allow does not include live")
    return lines


def _shared_hosts(tables: Any) -> list[str]:
    """Return a line for each address that two of the user's archives claim.

    One of them would silently get no request. A built-in archive has no priority over the user's.
    """
    first: dict[str, str] = {}
    lines = []
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        hosts = table.get("hosts") if isinstance(table, Mapping) else None
        for at, host in enumerate(hosts if isinstance(hosts, list) else ()):
            if isinstance(host, str) and first.setdefault(host.rstrip("/"), name) != name:
                other = first[host.rstrip("/")]
                lines.append(f"archives.{name}.hosts[{at}]: archives.{other} has {json.dumps(host)} too")
    return lines


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


def _config(
    settings: Mapping[str, Any], file: Path | None, environ: Mapping[str, str], built_in: Sequence[Archive]
) -> Config:
    tls = settings["tls"] or {"listen": (), "certificate": "", "key": ""}
    watches = tuple(Watch(**(each | {"paths": tuple(each["paths"])})) for each in settings["watch"])
    archives = merge(built_in, settings["archives"], settings["max_gap"], settings["settle_after"])
    return Config(
        listen=tuple(settings["listen"]),
        admin_listen=tuple(settings["admin_listen"]) if settings["admin_listen"] is not None else ADMIN_LISTEN,
        needs_admin=settings["admin_listen"] is not None,
        tls_listen=tuple(tls["listen"]),
        tls_certificate=tls["certificate"],
        tls_key=tls["key"] or tls["certificate"],
        state_dir=Path(settings["state_dir"]) if settings["state_dir"] else _folder("state", environ),
        cache_dir=Path(settings["cache_dir"]) if settings["cache_dir"] else _folder("cache", environ),
        quota=settings["quota"],
        free_space=settings["free_space"],
        fsck_every=settings["fsck_every"],
        fsck_rate=settings["fsck_rate"],
        default_when=settings["default_when"],
        passes=tuple(pair for pairs in settings["pass"] for pair in pairs),
        connect=settings["connect"],
        open_captures=settings["open_captures"],
        serves_live=LIVE in settings["allow"],
        clients=tuple(settings["clients"]),
        tokens=settings["tokens"],
        drain=settings["drain"],
        access_log=settings["access_log"],
        log_level=settings["log_level"],
        capture_keep=settings["capture_keep"],
        archives=set_keeps_packages(archives, watches),
        upstreams=settings["upstreams"],
        patience=settings["patience"],
        watch=watches,
        metasnap=settings["metasnap"] or "",
        launchpad=settings["launchpad"] or "",
        upstream_proxy=settings["upstream_proxy"] or "",
        upstream_proxy_credentials=settings["upstream_proxy_credentials"] or "",
        upstream_proxy_except=tuple(settings["upstream_proxy_except"]),
        upstream_ca=settings["upstream_ca"] or "",
        mirror=tuple(_mirrored(each) for each in settings["mirror"]),
        source=file,
    )


def _mirrored(table: Mapping[str, Any]) -> MirroredSlice:
    return MirroredSlice(
        archive=table["archive"],
        suites=tuple(table["suites"]),
        components=(*table["components"], *table["repos"]),
        architectures=tuple(table["architectures"]),
        every=table["every"],
    )

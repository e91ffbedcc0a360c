"""Write the effective settings as JSON-able tables, and as TOML that `load` reads back to the same Config."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from snapproxy.config.model import Config
from snapproxy.config.value_types import LIVE, PINNED, format_duration, format_size, join_host
from snapproxy.core import time_spec
from snapproxy.core.model import Archive


def as_table(config: Config) -> dict[str, Any]:
    """Return the settings with the keys and value formats of the file."""
    table: dict[str, Any] = {
        "listen": [join_host(*pair) for pair in config.listen],
        "admin_listen": [join_host(*pair) for pair in config.admin_listen],
        "state_dir": str(config.state_dir),
        "cache_dir": str(config.cache_dir),
    }
    sizes = {"quota": config.quota, "free_space": config.free_space}
    table |= {key: format_size(size) for key, size in sizes.items() if size is not None}
    table["fsck_every"] = "never" if config.fsck_every is None else format_duration(config.fsck_every)
    table["fsck_rate"] = format_size(config.fsck_rate)
    if config.default_when is not None:
        table["default_when"] = config.default_when.text
    table["pass"] = [join_host(*pair) for pair in config.passes]
    table["connect"] = config.connect
    table["allow"] = [PINNED, LIVE] if config.serves_live else [PINNED]
    table["tokens"] = config.tokens
    table["clients"] = list(config.clients)
    table["open_captures"] = config.open_captures
    table["drain"] = format_duration(config.drain)
    table["access_log"], table["log_level"] = config.access_log, config.log_level
    table["capture_keep"] = format_duration(config.capture_keep)
    table["patience"] = {family: format_duration(seconds) for family, seconds in config.patience.items()}
    services = {"metasnap": config.metasnap, "launchpad": config.launchpad}
    table |= {key: base for key, base in services.items() if base}
    network = {
        "upstream_proxy": config.upstream_proxy,
        "upstream_proxy_credentials": config.upstream_proxy_credentials,
        "upstream_proxy_except": list(config.upstream_proxy_except),
        "upstream_ca": config.upstream_ca,
    }
    table |= {key: value for key, value in network.items() if value}
    if config.tls_listen:
        table["tls"] = {
            "listen": [join_host(*pair) for pair in config.tls_listen],
            "certificate": config.tls_certificate,
            "key": config.tls_key,
        }
    table["watch"] = [
        {**asdict(watch), "paths": list(watch.paths), "every": format_duration(watch.every)} for watch in config.watch
    ]
    table["mirror"] = [
        {
            "archive": each.archive,
            "suites": list(each.suites),
            "components": list(each.components),
            "architectures": list(each.architectures),
            "every": format_duration(each.every),
        }
        for each in config.mirror
    ]
    table["archives"] = {archive.name: _archive(archive) for archive in config.archives}
    table["upstreams"] = {host: dict(limits) for host, limits in config.upstreams.items()}
    return table


def _archive(archive: Archive) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in asdict(archive).items():
        if key == "history_settings":
            table.update(value or {})
        elif value is not None:
            table[key] = list(value) if isinstance(value, tuple) else value
    table["sources"] = [each.text for each in archive.sources]
    for key in ("name", "because", "keeps_packages"):
        del table[key]
    table["max_gap"] = format_duration(archive.max_gap)
    table["settle_after"] = format_duration(archive.settle_after)
    if archive.first is not None:
        table["first"] = time_spec.format_instant(archive.first)
    table["bad"] = [time_spec.format_instant(instant) for instant in archive.bad]
    return table


def as_toml(config: Config) -> str:
    """Return the settings as a configuration file."""
    return "\n".join(_lines(as_table(config), ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    arrays = {key: value for key, value in table.items() if _is_array(value)}
    plain = {key: value for key, value in table.items() if not isinstance(value, dict) and key not in arrays}
    if path and plain:
        yield f"\n[{'.'.join(path)}]"
    for key, value in plain.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}"  # JSON strings, numbers, lists and booleans are TOML
    for key, value in arrays.items():
        for each in value:
            yield f"\n[[{'.'.join((*path, key))}]]"
            yield from _lines(each, ())
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _lines(value, (*path, key if "." not in key else json.dumps(key)))


def _is_array(value: Any) -> bool:
    """Return whether a value is written as an array of tables."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)

"""Definition of every setting: key, reader, default, and the line in `--help`. `Config` has the effective values.

A setting `max_gap` has the twin `SNAPPROXY_MAX_GAP`; tables and lists are written there as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from snapproxy.config.archives import ARCHIVE, archive_name
from snapproxy.config.schema import (
    Key,
    SettingsTable,
    a_list,
    a_mapping,
    boolean,
    optional,
    positive_number,
    whole_number,
)
from snapproxy.config.value_types import (
    absolute_path,
    allowed_states,
    at_least,
    base_address,
    byte_rate,
    byte_size,
    client_network,
    credentials_place,
    duration,
    duration_or_never,
    endpoints,
    host,
    host_or_below,
    kept,
    one_of,
    passed_hosts,
    pinned_time,
    proxy_address,
    quota,
    root_path,
    suite_name,
)
from snapproxy.families import FAMILIES

PREFIX = "SNAPPROXY_"

#: The variable with the name of the file; not a setting itself.
FILE_VARIABLE = "SNAPPROXY_CONFIG"


def _family(name: Any) -> str:
    if name not in FAMILIES:
        raise ValueError(f"a family: {', '.join(FAMILIES)}")
    return str(name)


UPSTREAM = SettingsTable(
    {
        "connections": Key(read=optional(whole_number(1, 64))),
        "requests_per_second": Key(read=optional(positive_number(1000.0))),
        "burst": Key(read=optional(whole_number(1, 10_000))),
    }
)
"""`[upstreams."host"]`; a value that is not set keeps the default for a host of its kind."""

WATCH = SettingsTable(
    {
        "archive": Key(read=archive_name, is_required=True),
        "paths": Key(read=a_list(root_path, least=1), is_required=True),
        "every": Key(read=duration, default=3600),
        "packages": Key(read=kept, default="used"),
    }
)
"""`[[watch]]`: roots and indexes that are observed on a schedule."""

MIRROR = SettingsTable(
    {
        "archive": Key(read=archive_name, is_required=True),
        "suites": Key(read=a_list(suite_name), default=[]),
        "components": Key(read=a_list(suite_name), default=[]),
        "repos": Key(read=a_list(root_path), default=[]),
        "architectures": Key(read=a_list(suite_name), default=[]),
        "every": Key(read=duration, default=6 * 3600),
    }
)
"""`[[mirror]]`: a slice of an archive of which each newly settled snapshot is fetched."""

TLS = SettingsTable(
    {
        "listen": Key(read=endpoints, is_required=True),
        "certificate": Key(read=absolute_path, is_required=True),
        "key": Key(read=optional(absolute_path)),
    }
)
"""`[tls]`: a listener with TLS. Without `key`, the file of the certificate contains the key."""

SETTINGS = SettingsTable(
    {
        "listen": Key(
            read=endpoints,
            default=[("127.0.0.1", 3142)],
            description='where to listen: "ADDRESS:PORT", or a list of them',
        ),
        "admin_listen": Key(
            read=optional(endpoints),
            description="where pages for operators are served, [] for nowhere (default 127.0.0.1:3143)",
        ),
        "tls": Key(
            read=optional(TLS.with_defaults),
            description="a second listener, with TLS: [tls] listen, certificate, key (PEM files)",
        ),
        "state_dir": Key(
            read=optional(absolute_path),
            description="catalog, blobs, drafts; for root /var/lib/snapproxy, else $XDG_STATE_HOME/snapproxy",
        ),
        "cache_dir": Key(
            read=optional(absolute_path),
            description="files that can be rebuilt; for root /var/cache/snapproxy, else $XDG_CACHE_HOME/snapproxy",
        ),
        "quota": Key(
            read=optional(quota),
            description='most bytes of stored files and downloads, such as "500GB" or "2TiB" (unset: no quota)',
        ),
        "free_space": Key(
            read=optional(byte_size),
            description='bytes of the file system that stay free (default: 5 %, at most "5GB"; "0B": none)',
        ),
        "fsck_every": Key(
            read=at_least(3600, duration_or_never),
            default=30 * 86400,
            description='time between two checks of all stored files, which `serve` makes (default "30d"; "never")',
        ),
        "fsck_rate": Key(
            read=byte_rate,
            default=20_000_000,
            description='most bytes read in a second by such a check (default "20MB")',
        ),
        "default_when": Key(
            read=optional(pinned_time),
            description="the time of a proxy request without credentials (unset: 407); not for rpm archives",
        ),
        "allow": Key(
            read=allowed_states,
            default=["pinned", "live"],
            description='states that clients may request: ["pinned", "live"], or ["pinned"] to refuse live',
        ),
        "clients": Key(
            read=a_list(client_network),
            default=["loopback", "private"],
            description='who may connect: "loopback", "private", "any", or networks such as "192.0.2.0/24"',
        ),
        "tokens": Key(
            read=one_of("optional", "recording", "required"),
            default="optional",
            description='requests that need a token: "optional" (none), "recording" (into captures), "required" (all)',
        ),
        "max_gap": Key(
            read=optional(duration),
            description='longest time between two snapshots that is answered across (default "48h")',
        ),
        "settle_after": Key(
            read=optional(duration),
            description='age at which the newest snapshot counts as settled (default "24h", any-instant "1h")',
        ),
        "pass": Key(
            read=a_list(passed_hosts),
            default=[],
            description='hosts a pinned build may reach unpinned, such as ["github.com:443"]',
        ),
        "connect": Key(
            read=boolean,
            default=False,
            description="whether live clients may CONNECT to an archive's hosts, port 443",
        ),
        "open_captures": Key(
            read=whole_number(1, 1_000_000),
            default=10_000,
            description="maximum number of captures that are open; closed ones do not count",
        ),
        "drain": Key(
            read=duration,
            default=30,
            description='how long running transfers may continue when the server stops (default "30s")',
        ),
        "access_log": Key(
            read=one_of("short", "combined", "json", "off"),
            default="short",
            description='one line for each answer: "short" in the log, "combined" or "json" on standard output, "off"',
        ),
        "log_level": Key(
            read=one_of("debug", "info", "warning", "error"),
            default="info",
            description='least severe lines of the log: "debug", "info", "warning", "error"',
        ),
        "capture_keep": Key(
            read=at_least(3600, duration),
            default=30 * 86400,
            description='how long a capture that is never closed is kept after its last answer (default "30d")',
        ),
        "patience": Key(
            read=a_mapping(_family, duration),
            default={},
            description='client timeout: how long a client waits for an answer, per family: apt = "25s"',
        ),
        "archives": Key(
            read=a_mapping(archive_name, ARCHIVE),
            default={},
            description="built-in archives overridden, and your own: [archives.NAME]",
        ),
        "upstreams": Key(
            read=a_mapping(host, UPSTREAM),
            default={},
            description='rate limit per host: [upstreams."HOST"] connections, requests_per_second, burst',
        ),
        "metasnap": Key(
            read=optional(base_address),
            description="address of a metasnap service, which knows the suites of Debian's versions (unset: not asked)",
        ),
        "launchpad": Key(
            read=optional(base_address),
            description='address of Launchpad\'s API for Ubuntu, "https://api.launchpad.net" (unset: not asked)',
        ),
        "upstream_proxy": Key(
            read=optional(proxy_address),
            description='http proxy through which upstreams are reached: "http://HOST:PORT" (unset: directly)',
        ),
        "upstream_proxy_credentials": Key(
            read=optional(credentials_place),
            description='login for that proxy: "file:/PATH" or "systemd:NAME"',
        ),
        "upstream_proxy_except": Key(
            read=a_list(host_or_below),
            default=[],
            description='hosts that are reached without it, such as ["mirror.example.org", "*.internal"]',
        ),
        "upstream_ca": Key(
            read=optional(absolute_path),
            description="file of certificate authorities, in PEM form, that are trusted besides the system's",
        ),
        "watch": Key(
            read=a_list(WATCH.with_defaults),
            default=[],
            description="roots and indexes observed on a schedule: [[watch]] archive, paths, every, packages",
        ),
        "mirror": Key(
            read=a_list(MIRROR.with_defaults),
            default=[],
            description="slices fetched at each new snapshot: "
            "[[mirror]] archive, suites, components, repos, architectures, every",
        ),
    }
)
"""The settings as written in the file."""


def keys() -> Mapping[str, Key]:
    """Return every setting by its key in the file."""
    return SETTINGS.keys


def twin(key: str) -> str:
    """Return the environment variable of `key`."""
    return PREFIX + key.upper()


def describe() -> str:
    """Return the settings for `--help`: one line each, with twin and description."""
    width = max(len(key) for key in keys())
    return "\n".join(
        f"  {key:<{width}}  {twin(key):<{width + len(PREFIX)}}  {setting.description}"
        for key, setting in keys().items()
    )


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the SNAPPROXY_ variables that are not settings, sorted."""
    known = {FILE_VARIABLE, *map(twin, keys())}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def from_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in the environment, by key.

    An empty variable is unset, so a compose file may name one without a value.
    """
    return {key: _value(text) for key in keys() if (text := environ.get(twin(key), ""))}


def _value(text: str) -> Any:
    """Return the value of a variable: JSON for a table, a list, `true` and `false`, else the text itself."""
    if text[:1] not in {"[", "{"} and text not in {"true", "false"}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text  # an IPv6 listen address, or a mistake that validation reports

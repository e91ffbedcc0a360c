"""Readers of single values in the settings (`schema.Reader`). Nothing here depends on the setting."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from snapproxy.access import networks
from snapproxy.config.schema import HiddenValueError, Reader, a_list
from snapproxy.core import time_spec
from snapproxy.core.blob_sources import ANY_REPOSITORY, BlobSource
from snapproxy.core.model import Instant, Match, TimeSpec
from snapproxy.core.paths import canonical_path
from snapproxy.errors import SnapproxyError
from snapproxy.oci.places import is_loopback, is_repository, read_reference

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

#: The states that a client can request.
PINNED, LIVE = "pinned", "live"
SIZE_UNITS = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGTP", start=1)},
    "KB": 1000,
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTP", start=1)},
}

LEAST_QUOTA = 10**6
LEAST_RATE = 10**4

#: The packages that an observation fetches.
KEPT = ("used", "all", "none")

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_SIZE = re.compile(rf"([0-9]{{1,15}}(?:\.[0-9]{{1,3}})?) ?({'|'.join(SIZE_UNITS)})")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,126}")
_LABELS = re.compile(r"[a-z0-9_*]([a-z0-9_*.-]{0,252}[a-z0-9_*])?")
#: The folder of a day: each part of the date once, the largest first, without other capitals.
_DAY_FOLDER = re.compile(r"[a-z0-9._~/-]*YYYY[a-z0-9._~/-]*MM[a-z0-9._~/-]*DD[a-z0-9._~/-]*")
# The characters of a path in a URL (RFC 3986, `pchar`): OBS and pkgs.k8s.io have colons in theirs.
_PREFIX = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?")
_CREDENTIALS = re.compile(r"file:/[^\x00-\x1f\x7f\"]+|systemd:(?!\.{1,2}$)[A-Za-z0-9._@-]{1,255}")
_PORTS = range(65536)
_REGISTRY = "docker://"


def duration(value: Any) -> int:
    """Read a duration, in seconds."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('a duration with its unit, such as "90s", "30m", "48h" or "7d"')
    return int(found[1]) * UNITS[found[2]]


def duration_or_never(value: Any) -> int | None:
    """Read a duration, in seconds; None for "never"."""
    try:
        return None if value == "never" else duration(value)
    except ValueError:
        raise ValueError('a duration with its unit, such as "12h", "7d" or "4w", or "never"') from None


def at_least(least: int, read: Reader) -> Reader:
    """Return a reader of a duration that is not shorter than `least` seconds, or that is None."""

    def reader(value: Any) -> int | None:
        seconds: int | None = read(value)
        if seconds is not None and seconds < least:
            raise ValueError(f'at least "{format_duration(least)}"')
        return seconds

    return reader


def format_duration(seconds: float) -> str:
    """Write a duration in the largest unit that divides it, so that `Duration` reads it back."""
    whole = int(seconds)
    unit = next((unit for unit in ("d", "h", "m") if whole and whole % UNITS[unit] == 0), "s")
    return f"{whole // UNITS[unit]}{unit}"


def byte_size(value: Any) -> int:
    """Read a number of bytes with its unit, decimal or binary."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('a size with its unit, such as "500GB", "1.5TB" or "64GiB" (0B: none)')
    return int(Decimal(found[1]) * SIZE_UNITS[found[2]])


def quota(value: Any) -> int:
    """Read the quota of stored files."""
    if (size := byte_size(value)) < LEAST_QUOTA:
        raise ValueError(f'a size of at least {format_size(LEAST_QUOTA)}, such as "500GB"')
    return size


def byte_rate(value: Any) -> int:
    """Read a number of bytes in a second."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None or (size := byte_size(value)) < LEAST_RATE:
        raise ValueError(f'a size of at least {format_size(LEAST_RATE)}, such as "20MB"')
    return size


def format_size(size: int) -> str:
    """Write a number of bytes in the unit that gives the shortest number, so that `byte_size` reads it back."""
    exact = [f"{size // factor}{unit}" for unit, factor in SIZE_UNITS.items() if size % factor == 0]
    return min(exact, key=len) if size else "0B"


def split_host(text: str, ports: tuple[int, ...] = ()) -> list[tuple[str, int]]:
    """Read `HOST:PORT` or `[IPv6]:PORT`; without a port, return one pair for each of `ports`.

    Raises ValueError for other text.
    """
    parts = urlsplit(f"//{text}")  # raises ValueError for a port out of range or an unclosed bracket
    host, port = parts.hostname or "", parts.port
    is_host = ":" in host or (_LABELS.fullmatch(host) is not None and "*" not in host)
    if not is_host or parts.netloc != text or "@" in text or (port is None and not ports):
        raise ValueError(text)
    return [(host, port)] if port is not None else [(host, each) for each in ports]


def join_host(host: str, port: int) -> str:
    """Write a pair in the form that `split_host` reads."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def endpoint(value: Any) -> tuple[str, int]:
    """Read a listen address."""
    try:
        return split_host(value)[0]
    except (ValueError, TypeError, AttributeError):
        raise ValueError('"ADDRESS:PORT", such as "127.0.0.1:3142" or "[::]:3142"') from None


def passed_hosts(value: Any) -> list[tuple[str, int]]:
    """Read one host that may be reached unpinned: `HOST:PORT`, or `HOST` for both http and https."""
    try:
        return [pair for pair in split_host(value.lower(), (80, 443)) if pair[1] in _PORTS[1:]] or [split_host("")[0]]
    except (ValueError, TypeError, AttributeError):
        raise ValueError('"HOST:PORT", or "HOST" for ports 80 and 443') from None


def base_address(value: Any) -> str:
    """Read the base address of an upstream."""
    accepted = (
        "an http:// or https:// address without user, query or fragment, "
        'such as "https://snapshot.debian.org/archive/debian"'
    )
    if isinstance(value, str) and "@" in value:
        accepted += ". A login is written into a file, which `credentials` in [archives.NAME] names"
    try:
        parts = urlsplit(value)
        is_base = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port in _PORTS)
        )
    except (ValueError, TypeError, AttributeError):
        raise ValueError(accepted) from None
    if not is_base or "@" in parts.netloc or any(mark in value for mark in "?# \t\r\n\\"):
        raise ValueError(accepted)
    return str(value).rstrip("/")


def proxy_address(value: Any) -> str:
    """Read the address of the upstream proxy."""
    accepted = (
        'the address of an http proxy without user and path, such as "http://proxy.example.org:3128". Its login is '
        "written into a file, which `upstream_proxy_credentials` names"
    )
    try:
        address = base_address(value)
    except ValueError:
        raise ValueError(accepted) from None
    if not address.startswith("http://") or urlsplit(address).path:
        raise ValueError(accepted)
    return address


def blob_source(value: Any) -> BlobSource:
    """Read a source that is asked by digest."""
    try:
        if value.startswith(_REGISTRY):
            return _registry(value)
        base = urlsplit(base_address(value))
        repository = base.path.strip("/") or ANY_REPOSITORY
        if is_repository(repository):
            return BlobSource(base.geturl(), f"{base.scheme}://{base.netloc}", repository)
    except (SnapproxyError, ValueError, AttributeError):
        pass
    raise ValueError(
        '"docker://REGISTRY/REPOSITORY" without a tag, or the http:// or https:// address of another snapproxy '
        '("http://builders:3142") or of a repository that needs no login ("http://registry:5000/packages")'
    )


def _registry(text: str) -> BlobSource:
    """Read a repository of a registry: over https, or over http on this machine, where it cannot be intercepted."""
    reference = read_reference(text.removeprefix(_REGISTRY))
    if reference.tag or reference.digest:
        raise ValueError(text)
    scheme = "http" if is_loopback(reference.registry) else "https"
    return BlobSource(text, f"{scheme}://{reference.api_host}", reference.repository, reference.registry)


def host(value: Any) -> str:
    """Read a host name."""
    if not isinstance(value, str) or "*" in value or not _LABELS.fullmatch(value):
        raise ValueError('a host name in lower case, such as "snapshot.debian.org"')
    return value


def host_or_below(value: Any) -> str:
    """Read a host name, or `*.` and a host name."""
    try:
        host(value.removeprefix("*."))
    except (ValueError, AttributeError):
        raise ValueError(
            'a host name in lower case, such as "snapshot.debian.org", or "*.example.org" for those below it'
        ) from None
    return str(value)


def host_pattern(value: Any) -> str:
    """Read a pattern that selects an archive. Its path may be escaped, and is returned as requests for it are read."""
    host, slash, prefix = value.partition("/") if isinstance(value, str) else ("", "", "")
    name, _, port = host.partition(":")
    is_pattern = _LABELS.fullmatch(name) and (not port or port.isdecimal()) and _PREFIX.fullmatch(slash + prefix)
    try:
        path = canonical_path(prefix)
    except SnapproxyError:
        is_pattern, path = None, ""
    if not is_pattern or "**" in path.removeprefix("**/"):
        raise ValueError(
            '"host/prefix" without a scheme; * matches characters within a label or a segment, or a whole host; '
            'such as "*.debian.org/debian"'
        )
    return f"{host}{slash}{path}"


def absolute_path(value: Any) -> str:
    """Read a path of this machine."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("a path that begins with /")
    return value


def credentials_place(value: Any) -> str:
    """Read the place of credentials. Another value may be the secret itself, so the mistake does not repeat it."""
    if isinstance(value, str) and _CREDENTIALS.fullmatch(value):
        return value
    raise HiddenValueError(
        '"file:/PATH" or "systemd:NAME", a file or a credential of the service that contains the login; '
        "never the login itself"
    )


def pinned_time(value: Any) -> TimeSpec:
    """Read a time that does not move, or `live`."""
    try:
        read = time_spec.parse_time(value) if isinstance(value, str) else None
    except SnapproxyError:
        read = None
    if read is None or read.match is Match.LATEST:
        raise ValueError('"live", or an instant such as "20240601T000000Z", "2024-06-01" or "1717200000"')
    return read


def an_instant(value: Any) -> Instant:
    """Read an instant."""
    try:
        read = time_spec.parse_time(value) if isinstance(value, str) else None
    except SnapproxyError:
        read = None
    if read is None or read.instant is None or read.match is not Match.AT:
        raise ValueError('an instant such as "20240601T000000Z", "2024-06-01" or "1717200000"')
    return read.instant


def allowed_states(value: Any) -> list[str]:
    """Read the states that clients may request. Pinned states can always be requested."""
    read = a_list(_state, least=1)([value] if isinstance(value, str) else value)
    if PINNED not in read:
        raise ValueError(f'a list with "{PINNED}"')
    return list(dict.fromkeys(read))


def _state(value: Any) -> str:
    if value not in (PINNED, LIVE):
        raise ValueError(f'"{PINNED}" or "{LIVE}"')
    return str(value)


def client_network(value: Any) -> str:
    """Read a network of clients: a name of several, or an address with or without a prefix length."""
    try:
        return networks.canonical(value)
    except (TypeError, ValueError):
        names = ", ".join(f'"{each}"' for each in networks.NAMES)
        raise ValueError(f'{names}, or a network such as "192.0.2.0/24" or "2001:db8::/32"') from None


def root_path(value: Any) -> str:
    """Read the path of a root or an index."""
    try:
        return canonical_path(value.strip("/")) if value.strip("/") else root_path(None)
    except (SnapproxyError, AttributeError):
        raise ValueError('the path of a root or an index in the archive, such as "dists/stable/InRelease"') from None


def suite_name(value: Any) -> str:
    """Read the name of a suite, a component or an architecture."""
    if not isinstance(value, str) or not _SUITE.fullmatch(value) or ".." in value.split("/"):
        raise ValueError('a name such as "bookworm", "main" or "amd64"')
    return value


def day_folder(value: Any) -> str:
    """Read the folder of a day."""
    accepted = (
        'the path of a day below the base, with YYYY, MM and DD for the date, such as "history/YYYYMMDD/tumbleweed"'
    )
    try:
        folder = canonical_path(value.strip("/"))
    except (SnapproxyError, AttributeError):
        raise ValueError(accepted) from None
    if not _DAY_FOLDER.fullmatch(folder):
        raise ValueError(accepted)
    return folder


def list_of_days(value: Any) -> str:
    """Read the path of a list of days."""
    try:
        return canonical_path(value.strip("/"))
    except (SnapproxyError, AttributeError):
        raise ValueError('the path of a list of days below the base, such as "history/list", or "" for none') from None


def one_of(*names: str) -> Reader:
    """Return a reader of one of some words."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(", ".join(f'"{each}"' for each in names))
        return str(value)

    return read


def kept(value: Any) -> str:
    """Read which packages an observation keeps."""
    return str(one_of(*KEPT)(value))


def endpoints(value: Any) -> list[tuple[str, int]]:
    """Read one listen address, or a list of them."""
    read: list[tuple[str, int]] = a_list(endpoint)([value] if isinstance(value, str) else value)
    return read

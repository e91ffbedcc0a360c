"""Read addresses of configuration files as snapproxy would read requests: the archive, and the time if it has one.

The addresses of the services, snapproxy's mirror form on any host, the proxy form, and plain addresses of mirrors.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from snapproxy.core.address import AddressBook, read
from snapproxy.core.credentials import read_credentials
from snapproxy.core.exchange import FileTarget
from snapproxy.core.model import Archive, Instant, TimeSpec
from snapproxy.core.time_evidence import EvidenceKind, TimeEvidence
from snapproxy.core.time_spec import DAY_SECONDS, parse_time
from snapproxy.errors import ClientError
from snapproxy.formats.time_evidence.addresses import FoundAddress, SnapshotOption

_VARIABLE = re.compile(r"\$\{?\w+\}?")
_LIVE = f"Basic {b64encode(b'live:x').decode()}"


@dataclass(frozen=True, slots=True)
class PlacedAddress:
    """An address that was read. `when` is None if it has no time; `archive` is None in the address of a proxy.

    `path` is the rest of the address, relative to the archive.
    """

    archive: Archive | None
    when: TimeSpec | None
    path: str


def read_address(url: str, book: AddressBook) -> PlacedAddress | None:
    """Read an address; None if it belongs to no known archive and has no time."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        path = _VARIABLE.sub("x", parts.path) or "/"
    except ValueError:
        return None
    if "@" in parts.netloc and (when := _login_time(parts.netloc.rpartition("@")[0])) is not None:
        return PlacedAddress(None, when, "")
    for target in (path, f"{parts.scheme.lower()}://{host}{path}"):
        found = read("GET", target, book, proxy_authorization=_LIVE)
        if isinstance(found, FileTarget):
            return PlacedAddress(found.archive, None if found.when.instant is None else found.when, found.path)
    return None


def pinned(address: FoundAddress, place: str, book: AddressBook) -> TimeEvidence | None:
    """Return the evidence of an address with a time, None if it has none."""
    found = read_address(address.url, book)
    if found is None or found.when is None or found.when.instant is None:
        return None
    kind = EvidenceKind.COMMENT if address.is_comment else EvidenceKind.PIN
    first, last = _interval(found.when, found.when.instant)
    archive = found.archive.name if found.archive else ""
    return TimeEvidence(
        kind=kind, first=first, last=last, place=place, says=address.text, line=address.line, at=last, archive=archive
    )


def option_of(option: SnapshotOption, place: str) -> TimeEvidence | None:
    """Return the evidence of an option with a snapshot's id."""
    try:
        instant = parse_time(option.id).instant
    except ClientError:
        return None
    return TimeEvidence(
        kind=EvidenceKind.PIN, first=instant, last=instant, place=place, says=option.text, line=option.line, at=instant
    )


def _login_time(login: str) -> TimeSpec | None:
    """Return the time in the login of a proxy's address."""
    header = f"Basic {b64encode(unquote(login).encode()).decode()}"
    try:
        found = read_credentials(header)
    except ClientError:
        return None
    return found.when if found and found.when.instant is not None else None


def _interval(when: TimeSpec, instant: Instant) -> tuple[Instant, Instant]:
    """Return the instants that the time may mean: the folder of a day is the state at some time of that day."""
    return (instant - DAY_SECONDS + 1, instant) if when.verbatim else (instant, instant)

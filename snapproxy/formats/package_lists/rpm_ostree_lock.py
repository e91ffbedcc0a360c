"""Read a lockfile of rpm-ostree, JSON or YAML: a version for each name, and the times of the repositories.

`generated` of a repository is the time of its metadata. The newest one is an instant at which every repository had the
locked state, so it is the time of the list. `generated` of the lock itself is only a day, and used without the others.
"""

from __future__ import annotations

from typing import Any

from snapproxy.formats.package_lists.model import MOST_ENTRIES, ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import RPM_ARCHITECTURE, RPM_NAME, rpm_version
from snapproxy.formats.package_lists.times import instant_of_rfc3339
from snapproxy.formats.package_lists.tree import TreeValue, read_json, read_yaml

NAME = "rpm-ostree-lock"

_KEYS = frozenset({"packages", "metadata"})
_VERSIONS = frozenset({"evr", "evra"})


def read(data: bytes) -> PackageList:
    """Read the lockfile. An entry without an architecture has `evr` instead of `evra`."""
    document = TreeValue(_parsed(data))
    packages = document.member("packages")
    entries = tuple(_entry(name, value) for name, value in packages.members())
    if len(entries) > MOST_ENTRIES:
        raise packages.wrong(f"It has more than {MOST_ENTRIES} packages.")
    metadata = document.optional("metadata")
    return PackageList(NAME, entries, made=_made(metadata) if metadata else None)


def _parsed(data: bytes) -> Any:
    """Return the document if it is a lockfile: no other key, and a version in each package."""
    is_json = data.lstrip()[:1] == b"{"
    found = (read_json(data),) if is_json else read_yaml(data, b"packages:", is_unmistakable=False)
    raw = found[0] if len(found) == 1 else None
    packages = raw.get("packages") if isinstance(raw, dict) and raw.keys() <= _KEYS else None
    if not isinstance(packages, dict) or not packages:
        raise ListFormatError("", "It is not an object with `packages` and, at most, `metadata`.")
    first = next(iter(packages.values()))
    if not isinstance(first, dict) or not first.keys() & _VERSIONS:
        raise ListFormatError("packages", "The first package has neither evr nor evra.")
    return raw


def _entry(name: str, package: TreeValue) -> ListEntry:
    if not RPM_NAME.fullmatch(name):
        raise package.wrong("The key is not a name of an rpm package.")
    evr, evra, digest = package.optional("evr"), package.optional("evra"), package.optional("digest")
    value = evra or evr
    if value is None or (evr and evra):
        raise package.wrong("Expected evr or evra.")
    text, architecture = value.word(), ""
    if evra is not None:
        text, _, architecture = text.rpartition(".")
    version = rpm_version(text)
    if not version or (evra is not None and not RPM_ARCHITECTURE.fullmatch(architecture)):
        raise value.wrong("Expected [EPOCH:]VERSION-RELEASE, in evra with .ARCHITECTURE.")
    digests = (digest.digest(),) if digest else ()
    return ListEntry(
        package.place, family="rpm", name=name, version=version, architecture=architecture, digests=digests
    )


def _made(metadata: TreeValue) -> int | None:
    repositories, generated = metadata.optional("rpmmd_repos"), metadata.optional("generated")
    times = [_time(each.member("generated")) for _, each in repositories.members()] if repositories else []
    if not times and generated is not None:
        times.append(_time(generated))
    return max(times, default=None)


def _time(value: TreeValue) -> int:
    found = instant_of_rfc3339(value.word())
    if found is None:
        raise value.wrong("Expected a time such as 2024-07-01T12:34:56Z.")
    return found


RPM_OSTREE_LOCK = ListFormat(NAME, "a lockfile of rpm-ostree, JSON or YAML", read)

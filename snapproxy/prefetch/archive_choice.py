"""Choose the archives and suites in which the packages of a list are searched.

The distribution's name selects archives, the release its suites. What the user names has priority.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from snapproxy.archives import BUILTIN
from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive
from snapproxy.core.similar import similar
from snapproxy.errors import ConfigurationError
from snapproxy.families import LISTERS
from snapproxy.formats.package_lists.model import ListEntry

_DEBIAN = ("debian", "debian-security")
# The only packages of debian-debug are those with this ending, which no other archive has.
_DEBUG_ENDING = "-dbgsym"
_DEBIAN_DEBUG = ("debian-debug",)
_UBUNTU = ("ubuntu", "ubuntu-ports")
_OPENSUSE = ("opensuse-tumbleweed", "opensuse-leap", "opensuse-update")

# By the beginning of the name that lists use: purl namespaces, ID of os-release, mkosi's names.
_BY_DISTRIBUTION: Mapping[str, tuple[str, ...]] = {
    "debian": _DEBIAN,
    "ubuntu": _UBUNTU,
    "archarm": ("archlinuxarm",),
    "archlinuxarm": ("archlinuxarm",),
    "arch": ("archlinux",),
    "alpine": ("alpine",),
    "fedora": ("fedora",),
    "centos": ("centos-stream",),
    "rocky": ("rocky",),
    "alma": ("almalinux",),
    "opensuse": _OPENSUSE,
}

# Without a name of a distribution: the archives of most lists of the family.
_BY_FAMILY: Mapping[str, tuple[str, ...]] = {
    "apt": _DEBIAN,
    "pacman": ("archlinux",),
    "apk": ("alpine",),
    "rpm": ("fedora", "centos-stream", "rocky", "almalinux", *_OPENSUSE),
}

_ORDER = ("unstable", "testing", "stable", "oldstable")

# Suites that exist at every time, those with the most versions first; and repositories.
_SUITES: Mapping[str, tuple[str, ...]] = {
    "debian": (*_ORDER, "stable-updates", "experimental", "stable-backports"),
    "debian-security": ("stable-security", "oldstable-security", "testing-security", "stable/updates"),
    "debian-debug": ("unstable-debug", "testing-debug", "stable-debug", "stable-proposed-updates-debug"),
    "debian-ports": ("unstable", "unreleased"),
    "archlinux": ("core", "extra", "multilib", "community"),
    "archlinuxarm": ("core", "extra", "alarm", "aur", "community"),
}

# The suites of a release, by archive; {} is the release. Security had another name before bullseye.
_OF_RELEASE: Mapping[str, tuple[str, ...]] = {
    "debian": ("{}", "{}-updates", "{}-backports"),
    "debian-security": ("{}-security", "{}/updates"),
    "debian-debug": ("{}-debug", "{}-proposed-updates-debug"),
    "ubuntu": ("{}-updates", "{}-security", "{}", "{}-backports"),
    "ubuntu-ports": ("{}-updates", "{}-security", "{}", "{}-backports"),
    "alpine": ("{}/main", "{}/community"),
}

_CODENAMES = {
    "10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky",
    "18.04": "bionic", "20.04": "focal", "22.04": "jammy", "24.04": "noble", "25.10": "questing", "26.04": "resolute",
}  # fmt: skip
"""Names of releases by the numbers that purls and mkosi use."""


def archives_of(entry: ListEntry, archives: Mapping[str, Archive], named: Sequence[str] = ()) -> tuple[Archive, ...]:
    """Return the archives in which an entry without an address is searched, first choice first.

    `named` are the archives that the user named: those of the entry's family are searched, in that order. Otherwise the
    archives of the distribution (or of the family) are searched, after the user's own archives of the family. Raises
    ConfigurationError for a name that no archive has.
    """
    for name in named:
        if name not in archives:
            close = similar(name, archives)
            raise ConfigurationError(
                f"There is no archive {name[:40]!a}",
                why=f"The archives are {', '.join(sorted(archives))}.",
                hint=f"Did you mean {close}?" if close else "",
            )
    if named:
        chosen: Sequence[str] = named
    else:
        builtin = {each.name for each in BUILTIN}
        own = [name for name in archives if name not in builtin]
        chosen = (*own, *_by_distribution(entry))
    found = [archives[name] for name in dict.fromkeys(chosen) if name in archives]
    return tuple(each for each in found if entry.family in ("", each.family))


def _by_distribution(entry: ListEntry) -> tuple[str, ...]:
    word = entry.distribution.lower()
    default = () if word else _BY_FAMILY.get(entry.family, ())
    names = next((names for beginning, names in _BY_DISTRIBUTION.items() if word.startswith(beginning)), default)
    return _DEBIAN_DEBUG if names == _DEBIAN and _DEBUG_ENDING in (entry.name or entry.path) else names


def selections_of(
    archive: Archive, entries: Sequence[ListEntry], named: Sequence[str], architectures: tuple[str, ...]
) -> list[Selection]:
    """Return the suites or repositories to read, each as a selection, the most likely ones first.

    `named` are those that the user named; otherwise those of the entries, otherwise the archive's usual ones. Empty if
    none is known.
    """
    words = list(named) or _stated(archive, entries) or list(_SUITES.get(archive.name, ()))
    if archive.family == "apt":
        return [Selection(suite=word, architectures=architectures) for word in words]
    return [Selection(components=(word,), architectures=architectures) for word in words]


def shown_repositories(archive: Archive, paths: Iterable[str]) -> list[Selection]:
    """Return the repositories that the paths of packages show, those that most paths share first.

    A path shows several possible folders, and each one that does not exist costs a request.
    """
    lister = LISTERS[archive.family]
    counts = Counter(selection for path in paths for selection in lister.repositories_of(path))
    return sorted(counts, key=lambda each: (-counts[each], -len(each.components[0]), each.components))


def _stated(archive: Archive, entries: Sequence[ListEntry]) -> list[str]:
    """Return the suites that the entries state.

    An rpm list states the ids of the user's own repositories, which are not folders of an archive.
    """
    if archive.family == "rpm":
        return []
    found: dict[str, None] = {}
    for entry in entries:
        release = _release(entry)
        if not release:
            continue
        patterns = _OF_RELEASE.get(archive.name, ("{}",)) if "-" not in release and "/" not in release else ("{}",)
        found |= dict.fromkeys(pattern.format(release) for pattern in patterns)
    return list(found)


def _release(entry: ListEntry) -> str:
    """Return the release that an entry states, as its archive names it; '' if it states none.

    Lists that read os-release have a number: 12 of Debian, 12.5 (trivy), 24.04, 3.20.1 of Alpine.
    """
    word = entry.suite or entry.distribution.rpartition("-")[2]
    if not word[:1].isdecimal():
        return entry.suite
    numbers = word.split(".")
    if entry.family == "apk":
        return f"v{'.'.join(numbers[:2])}"
    return _CODENAMES.get(word) or _CODENAMES.get(numbers[0], "")

"""Sources and preferences with which apt installs some packages of another time than all others.

apt cannot be given other files under the names of one index, but it can be given a second source. The second source is
this proxy's own address, with the other time in it; preferences select single versions from it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from snapproxy.core.model import Instant
from snapproxy.core.time_spec import format_instant

_ROOT = re.compile(r"(?P<prefix>.*?)dists/(?P<suite>.+)/(?:In)?Release")
_LIST = re.compile(r"(?P<component>.+)/binary-(?P<arch>[a-z0-9-]+)/Packages(?:\.[a-z0-9]+)?")

SECOND_SOURCE = 100
"""Priority of the second source: below the 500 of other sources, so that it is used for a version or a package that
they do not have (apt_preferences(5))."""

CHOSEN = 1001
"""Priority of a chosen version: above 1000, so that it may be a downgrade (apt_preferences(5))."""


@dataclass(frozen=True, slots=True)
class AptAdditions:
    """The texts of a file for `sources.list.d` (one-line format) and of one for `preferences.d`."""

    sources: str
    preferences: str


@dataclass(frozen=True, slots=True)
class AptMixture:
    """The versions to install from another time, by package, and the files by archive that apt used at that time."""

    time: Instant
    files: tuple[tuple[str, str], ...]
    """(archive, path) of the roots and indexes."""
    versions: Mapping[str, str]
    keyrings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Existing keyrings by archive. Without one apt warns that it cannot check the second source."""

    def additions(self, base: str) -> AptAdditions:
        """Return the texts for a proxy at `base`, `http://ADDRESS:PORT`."""
        return AptAdditions("".join(self._sources(base)), "".join(self._preferences(urlsplit(base).hostname or "")))

    def _sources(self, base: str) -> Iterable[str]:
        """Yield a line for each suite and architecture.

        It is trusted, because the command has used the same files at that time, and apt or this proxy has checked them.
        """
        for archive in sorted({archive for archive, _ in self.files}):
            keyrings = ",".join(self.keyrings.get(archive, ()))
            signed_by = f" signed-by={keyrings}" if keyrings else ""
            paths = [path for name, path in self.files if name == archive]
            for root in sorted(
                {(found["prefix"], found["suite"]) for path in paths if (found := _ROOT.fullmatch(path))}
            ):
                prefix, suite = root
                uri = f"{base}/{archive}/{format_instant(self.time)}/{prefix}"
                for arch, components in sorted(_components(paths, f"{prefix}dists/{suite}/").items()):
                    yield f"deb [trusted=yes arch={arch}{signed_by}] {uri} {suite} {' '.join(sorted(components))}\n"

    def _preferences(self, host: str) -> Iterable[str]:
        yield f'Package: *\nPin: origin "{host}"\nPin-Priority: {SECOND_SOURCE}\n'
        for name, version in sorted(self.versions.items()):
            yield f"\nPackage: {name}\nPin: version {version}\nPin-Priority: {CHOSEN}\n"


def _components(paths: Iterable[str], folder: str) -> Mapping[str, set[str]]:
    """Return the components of the lists below a root's folder, by architecture."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        if path.startswith(folder) and (match := _LIST.fullmatch(path.removeprefix(folder))):
            found[match["arch"]].add(match["component"])
    return found

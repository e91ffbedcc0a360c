"""Read apt's sources, in one-line and in deb822 files (sources.list(5)): the enabled sources of binary packages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from snapproxy.formats.deb822 import stanzas

LARGEST = 1 << 18
"""Maximum size of a deb822 stanza in bytes."""

_ONE_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)")
_OFF = frozenset({"no", "false", "without", "off", "disable", "0"})


@dataclass(frozen=True, slots=True)
class AptSource:
    """One enabled source. `components` is empty for a flat repository, whose suite ends in a slash."""

    uri: str
    suite: str
    components: tuple[str, ...] = ()


def read_apt_sources(name: str, text: str) -> Iterator[AptSource]:
    """Yield the sources of a file; a name that ends in `.sources` means deb822, any other one-line.

    Raises ArchiveDataError for a deb822 file that exceeds a limit or repeats a field.
    """
    yield from _deb822(text) if name.endswith(".sources") else _one_line(text)


def _deb822(text: str) -> Iterator[AptSource]:
    plain = re.sub(r"(?m)^#.*\n?", "", text.replace("\r\n", "\n"))
    for stanza in list(stanzas([plain.encode()], max_stanza=LARGEST)):
        if stanza.get("enabled", "yes").lower() in _OFF or "deb" not in stanza.get("types", "").split():
            continue
        components = tuple(stanza.get("components", "").split())
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                yield AptSource(uri, suite, components)


def _one_line(text: str) -> Iterator[AptSource]:
    for line in text.splitlines():
        if found := _ONE_LINE.match(line.strip()):
            yield AptSource(found["uri"].strip("\"'"), found["suite"], tuple(found["components"].split()))

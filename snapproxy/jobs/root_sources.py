"""Find the archives and the parts of them from which a root installs, by the files of its package manager."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from snapproxy.core.address import AddressBook
from snapproxy.core.listing import Selection
from snapproxy.core.model import Archive
from snapproxy.errors import ArchiveDataError
from snapproxy.formats.apt_sources import read_apt_sources
from snapproxy.formats.time_evidence.addresses import addresses
from snapproxy.jobs.pinned_addresses import read_address
from snapproxy.jobs.root_evidence import RootEvidence

_SECTION = re.compile(r"\s*\[(?P<name>[^\]]+)\]\s*")
_SETTING = re.compile(r"\s*(?P<key>Server|Include)\s*=\s*(?P<value>\S+)\s*")
_MIRROR_FILE = "mirror+file:/"
_MOST = 50


@dataclass(frozen=True, slots=True)
class SourcePart:
    """A part of an archive that a root installs from."""

    archive: Archive
    selection: Selection


def parts_of(found: RootEvidence, book: AddressBook, archive: Archive | None = None) -> list[SourcePart]:
    """Return the parts, at most 50; sources of unknown archives are named in the notes of `found`.

    `archive` replaces the archives that the addresses name.
    """
    names = sorted({each.architecture for each in found.packages} - {"", "all", "any", "noarch"})
    names = names or found.sources.get("etc/apk/arch", b"").decode("ascii", "replace").split()[:1]
    read = _READERS.get(found.family)
    if read is None:
        return []
    parts: dict[tuple[str, str], SourcePart] = {}
    for url, selection in read(found.sources, tuple(names)):
        placed = read_address(url, book)
        of = archive or (placed.archive if placed else None)
        if of is None or of.family != found.family:
            found.notes.append(f"{url[:200]} is of no known archive; its lists were not compared.")
            continue
        path = "" if placed is None else placed.path.strip("/")
        if found.family == "apt" and path:
            found.notes.append(f"{url[:200]} is a folder of the archive {of.name}; its lists were not compared.")
            continue
        # The folder in the archive, if the address is of that archive; otherwise the one that the address ends in.
        wanted = selection if found.family == "apt" or not path else replace(selection, components=(_folder(path),))
        key = (of.name, f"{wanted.suite} {'' if wanted.suite else wanted.components}")
        known = parts.get(key)
        merged = wanted if known is None else _merged(known.selection, wanted)
        parts[key] = SourcePart(of, merged)
    return list(parts.values())[:_MOST]


def is_compared(family: str) -> bool:
    """Return whether the sources of roots of a family are read."""
    return family in _READERS


def _folder(path: str) -> str:
    return path.removesuffix("/x.db")


def _merged(one: Selection, other: Selection) -> Selection:
    return replace(one, components=tuple(dict.fromkeys((*one.components, *other.components))))


def _apt(files: Mapping[str, bytes], architectures: tuple[str, ...]) -> Iterator[tuple[str, Selection]]:
    for path, data in files.items():
        if not path.endswith((".list", ".sources")) or "/mirrors/" in path:
            continue
        try:
            sources = list(read_apt_sources(path, data.decode("utf-8", "replace")))
        except ArchiveDataError:
            continue
        for source in sources:
            uri = source.uri
            if uri.startswith(_MIRROR_FILE):
                mirrors = files.get(uri.removeprefix(_MIRROR_FILE).lstrip("/"), b"")
                uri = next((each.url for each in addresses(mirrors) if not each.is_comment), uri)
            yield uri, Selection(source.suite, source.components, architectures)


def _pacman(files: Mapping[str, bytes], architectures: tuple[str, ...]) -> Iterator[tuple[str, Selection]]:
    """Yield the first server of each repository of pacman.conf, as the address of its database (named `x.db`)."""
    architecture = architectures[0] if architectures else "x86_64"
    for name, server in _pacman_servers(files):
        url = server.replace("$repo", name).replace("$arch", architecture).rstrip("/")
        yield f"{url}/x.db", Selection(components=(name,), architectures=architectures)


def _pacman_servers(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    section, done = "", set[str]()
    for line in files.get("etc/pacman.conf", b"").decode("utf-8", "replace").splitlines():
        if found := _SECTION.fullmatch(line):
            section = found["name"]
        elif (found := _SETTING.fullmatch(line)) and section not in {"", "options", *done}:
            servers = [found["value"]]
            if found["key"] == "Include":
                included = files.get(found["value"].lstrip("/"), b"").decode("utf-8", "replace")
                settings = (_SETTING.fullmatch(each) for each in included.splitlines())
                servers = [each["value"] for each in settings if each and each["key"] == "Server"]
            if servers:
                done.add(section)
                yield section, servers[0]


def _apk(files: Mapping[str, bytes], architectures: tuple[str, ...]) -> Iterator[tuple[str, Selection]]:
    for address in addresses(files.get("etc/apk/repositories", b"")):
        if not address.is_comment:
            folder = "/".join(address.url.rstrip("/").split("/")[-2:])
            yield address.url, Selection(components=(folder,), architectures=architectures)


_READERS: Mapping[str, Callable[[Mapping[str, bytes], tuple[str, ...]], Iterator[tuple[str, Selection]]]] = {
    "apt": _apt,
    "pacman": _pacman,
    "apk": _apk,
}

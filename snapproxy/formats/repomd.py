"""Reads rpm-md, the metadata of rpm repositories: repomd.xml, primary.xml and prestodelta.xml, as createrepo_c writes them.

Each reader yields what a file lists: where it lies, how large it is, one checksum. Unpacking, and where the repository itself lies, are left
to others. An entry with `xml:base` lies in another repository, to which clients turn by themselves: it is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.digests import digest
from snapproxy.formats.strict_xml import XML_BASE, Element, elements

#: Checksum types as they are spelled, and what they mean. createrepo of old wrote `sha` for SHA-1.
ALGORITHMS = {"sha512": "sha512", "sha256": "sha256", "sha1": "sha1", "sha": "sha1", "md5": "md5"}

_NUMBER = re.compile(r"[0-9]{1,18}")
# Seconds since 1970, from 1995 on; before 2009 timestamps had fractions. A revision may be any text.
_SECONDS = re.compile(r"([0-9]{9,11})(?:\.[0-9]*)?")


@dataclass(frozen=True, slots=True)
class RpmPackage:
    """A file as metadata list it. `href` is a URL reference, relative to the repository; `size` in bytes, None where it is not said."""

    href: str
    size: int | None
    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True)
class Version:
    """A package's version as primary.xml lists it. `source` is the file name of the source package; '' for what is one itself."""

    name: str
    architecture: str
    epoch: str
    version: str
    release: str
    source: str


def repomd(data: bytes) -> Iterator[RpmPackage]:
    """Yield the metadata files that a repomd.xml lists, of every type. The checksum of what they unpack to is not read.

    Raises ArchiveDataError when it is no repomd, or an entry lacks its location or its checksum.
    """
    for entry in elements([data], "repomd/data", ("location", "checksum", "size")):
        size = entry.children.get("size")
        yield from _listed(entry, None if size is None else size.text)


def published(data: bytes) -> int | None:
    """Return when a repomd.xml says it was made, in seconds since 1970: its revision, else its newest timestamp; None if neither tells."""
    for revision in elements([data], "repomd/revision"):
        if found := _SECONDS.fullmatch(revision.text.strip()):
            return int(found[1])
    entries = (entry.children for entry in elements([data], "repomd/data", ("timestamp",)))
    times = [_SECONDS.fullmatch(each["timestamp"].text.strip()) for each in entries if "timestamp" in each]
    return max((int(time[1]) for time in times if time), default=None)


def primary(chunks: Iterable[bytes]) -> Iterator[RpmPackage]:
    """Yield the packages that a primary.xml (unpacked) lists. Raises ArchiveDataError as `repomd` does."""
    for package in elements(chunks, "metadata/package", ("location", "checksum", "size")):
        size = package.children.get("size")
        yield from _listed(package, None if size is None else size.attributes.get("package"))


def versions(chunks: Iterable[bytes]) -> Iterator[Version]:
    """Yield the version of every package that a primary.xml (unpacked) lists. Raises ArchiveDataError as `repomd` does."""
    for package in elements(chunks, "metadata/package", ("name", "arch", "version", "format/sourcerpm")):
        name, architecture, version = (package.children.get(each) for each in ("name", "arch", "version"))
        if name is None or architecture is None or version is None:
            raise ArchiveDataError(
                "An entry of the metadata is incomplete", why="It has no name, no architecture or no version."
            )
        numbers = version.attributes
        source = package.children.get("format/sourcerpm", Element({}))
        yield Version(
            name.text.strip(),
            architecture.text.strip(),
            numbers.get("epoch", ""),
            numbers.get("ver", ""),
            numbers.get("rel", ""),
            source.text.strip(),
        )


def deltas(chunks: Iterable[bytes]) -> Iterator[RpmPackage]:
    """Yield the delta packages that a prestodelta.xml (unpacked) lists. Raises ArchiveDataError as `repomd` does."""
    for delta in elements(chunks, "prestodelta/newpackage/delta", ("filename", "checksum", "size")):
        if (name := delta.children.pop("filename", None)) is not None:
            delta.children["location"] = Element({**name.attributes, "href": name.text.strip()})
        size = delta.children.get("size")
        yield from _listed(delta, None if size is None else size.text)


def _listed(entry: Element, size: str | None) -> Iterator[RpmPackage]:
    """Yield what an entry lists: nothing, when that lies in another repository."""
    location, checksum = entry.children.get("location"), entry.children.get("checksum")
    if location is None or checksum is None or "href" not in location.attributes:
        raise ArchiveDataError("An entry of the metadata is incomplete", why="It has no location or no checksum.")
    if XML_BASE in location.attributes:
        return
    algorithm = ALGORITHMS.get(checksum.attributes.get("type", ""))
    if algorithm is None:
        raise ArchiveDataError(
            "The metadata use an unknown checksum", why=f"Its type is {checksum.attributes.get('type', '')[:140]!r}."
        )
    yield RpmPackage(location.attributes["href"], _size(size), algorithm, digest(algorithm, checksum.text.strip()))


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text.strip()):
        raise ArchiveDataError("An index gives a malformed size", why=f"It reads {text[:140]!r}.")
    return int(text)

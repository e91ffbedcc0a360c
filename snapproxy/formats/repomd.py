"""Read rpm-md, the metadata of rpm repositories as createrepo_c writes them: repomd.xml, primary.xml, prestodelta.xml.

Each reader yields the listed files: location, size and one checksum. Callers decompress the file and add the location
of the repository. Entries with `xml:base` are skipped: they are files of another repository, which clients request
directly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from snapproxy.errors import ArchiveDataError, Drop, refuse_entry
from snapproxy.formats.digests import HEX_LENGTH, digest
from snapproxy.formats.strict_xml import XML_BASE, Element, elements

#: Algorithms by checksum type. Old versions of createrepo wrote `sha` for SHA-1.
ALGORITHMS = {name: name for name in HEX_LENGTH} | {"sha": "sha1"}

_NUMBER = re.compile(r"[0-9]{1,18}")
# Seconds since 1970, 9 to 11 digits; timestamps had fractions before 2009. A revision may be any text.
_SECONDS = re.compile(r"([0-9]{9,11})(?:\.[0-9]*)?")
_MONTH = 30 * 86400


@dataclass(frozen=True, slots=True)
class RpmPackage:
    """A listed file. `href` is a URL reference relative to the repository; `size` is in bytes, None if not listed."""

    href: str
    size: int | None
    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True)
class Version:
    """A package's version in primary.xml. `source` is the file name of the source package, '' for a source package."""

    name: str
    architecture: str
    epoch: str
    version: str
    release: str
    source: str


def repomd(data: bytes, drop: Drop = refuse_entry) -> Iterator[RpmPackage]:
    """Yield the metadata files that a repomd.xml lists, of every type. The `open-checksum` (uncompressed) is not read.

    An entry without a location, a checksum of a known type or a valid size is dropped; `drop` gets its location. Raises
    ArchiveDataError if the document is not a repomd.
    """
    found = elements([data], "repomd/data", ("location", "checksum", "size"), drop)
    return _each_listed(found, lambda size: size.text, drop)


def published(data: bytes) -> int | None:
    """Return the time of a repomd.xml in seconds since 1970.

    It is the revision, otherwise the newest timestamp, otherwise None. A revision may be any number: one that is later
    than the newest timestamp by more than a month (`2024060100`, a date and a serial number) is not a time.
    """
    entries = (entry.children for entry in elements([data], "repomd/data", ("timestamp",)))
    found = [_SECONDS.fullmatch(each["timestamp"].text.strip()) for each in entries if "timestamp" in each]
    newest = max((int(time[1]) for time in found if time), default=None)
    for element in elements([data], "repomd/revision"):
        revision = _SECONDS.fullmatch(element.text.strip())
        if revision and (newest is None or int(revision[1]) <= newest + _MONTH):
            return int(revision[1])
    return newest


def primary(chunks: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[RpmPackage]:
    """Yield the packages that a decompressed primary.xml lists, by the rules of `repomd`."""
    found = elements(chunks, "metadata/package", ("location", "checksum", "size"), drop)
    return _each_listed(found, lambda size: size.attributes.get("package"), drop)


def versions(chunks: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[Version]:
    """Yield the version of every package in a decompressed primary.xml. Entries that lack a part of it are dropped."""
    for package in elements(chunks, "metadata/package", ("name", "arch", "version", "format/sourcerpm"), drop):
        name, architecture, version = (package.children.get(each) for each in ("name", "arch", "version"))
        if name is None or architecture is None or version is None:
            drop(
                ArchiveDataError(
                    "An entry of the metadata is incomplete", why="It has no name, no architecture or no version."
                )
            )
            continue
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


def deltas(chunks: Iterable[bytes], drop: Drop = refuse_entry) -> Iterator[RpmPackage]:
    """Yield the delta packages that a decompressed prestodelta.xml lists, by the rules of `repomd`."""
    found = elements(chunks, "prestodelta/newpackage/delta", ("filename", "checksum", "size"), drop)
    return _each_listed(map(_with_location, found), lambda size: size.text, drop)


def _with_location(delta: Element) -> Element:
    """Return a delta with its file name in the form of the other documents."""
    if (name := delta.children.pop("filename", None)) is not None:
        delta.children["location"] = Element({**name.attributes, "href": name.text.strip()})
    return delta


def _each_listed(
    entries: Iterable[Element], size_in: Callable[[Element], str | None], drop: Drop
) -> Iterator[RpmPackage]:
    """Yield the file of every usable entry. `size_in` returns the size from the element that contains it."""
    for entry in entries:
        size = entry.children.get("size")
        try:
            found = list(_listed(entry, None if size is None else size_in(size)))
        except ArchiveDataError as error:
            drop(error, _href(entry))
            continue
        yield from found


def _href(entry: Element) -> str:
    location = entry.children.get("location", Element({}))
    return "" if XML_BASE in location.attributes else location.attributes.get("href", "")


def _listed(entry: Element, size: str | None) -> Iterator[RpmPackage]:
    """Yield the file that an entry lists; nothing if it is in another repository (`xml:base`)."""
    location, checksum = entry.children.get("location"), entry.children.get("checksum")
    if location is None or checksum is None or "href" not in location.attributes:
        raise ArchiveDataError("An entry of the metadata is incomplete", why="It has no location or no checksum.")
    if XML_BASE in location.attributes:
        return
    algorithm = ALGORITHMS.get(checksum.attributes.get("type", ""))
    if algorithm is None:
        raise ArchiveDataError(
            "The metadata have an unknown checksum", why=f"Its type is {checksum.attributes.get('type', '')[:140]!r}."
        )
    yield RpmPackage(location.attributes["href"], _size(size), algorithm, digest(algorithm, checksum.text.strip()))


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text.strip()):
        raise ArchiveDataError("An index has a malformed size", why=f"The size: {text[:140]!r}.")
    return int(text)

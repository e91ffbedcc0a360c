"""Read a bill of materials in SPDX 2.2 or 2.3, JSON or tag-value: of syft, of trivy, of snapproxy, or of another tool.

Packages are found by their package URLs. A package without one is the described image, an application or a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from snapproxy.formats.package_lists.documents import read_document
from snapproxy.formats.package_lists.model import LARGEST, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.sbom import RecordedPlace, SbomPackage, SbomPackages, tool_of
from snapproxy.formats.package_lists.text_lines import quoted
from snapproxy.formats.package_lists.times import instant_of_rfc3339
from snapproxy.formats.package_lists.tree import MOST_VALUES, TreeValue

JSON_NAME = "spdx"
TEXT_NAME = "spdx-tag-value"

_VERSION = re.compile(r"SPDX-2\.[0-9]{1,2}")
_TOOL = "Tool: "
_NO_URL = "without a package URL"
# `capture.spdx` writes the place of a file as a sentence.
_RECORDED = re.compile(r"(?P<archive>[^ ]+) at snapshot (?P<snapshot>[^ ]+), proof: [a-z]+")
_TAG = re.compile(r"(?P<tag>[A-Za-z]+): ?(?P<value>.*)")
_REFERENCE = re.compile(r"PACKAGE[-_]MANAGER purl (?P<purl>[^ ]+)")
_CHECKSUM = re.compile(r"(?P<algorithm>[A-Za-z0-9-]+): (?P<value>[0-9A-Fa-f]+)")
_OPENS, _CLOSES = "<text>", "</text>"


def read(data: bytes) -> PackageList:
    """Read JSON. Without SOURCE_DATE_EPOCH snapproxy writes the time 1970-01-01, which is not used."""
    document = read_document(data, b'"spdxVersion"')
    version = document.raw.get("spdxVersion")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ListFormatError("spdxVersion", "It is not SPDX 2.")
    creation = document.optional("creationInfo")
    creators = creation.optional("creators") if creation else None
    names = [_text(each) for each in creators.items()] if creators else []
    found = SbomPackages(tool_of(name.removeprefix(_TOOL) for name in names if name.startswith(_TOOL)))
    packages = document.optional("packages")
    for package in packages.items() if packages else ():
        purl = _purl(package)
        if purl:
            found.add(_package(package, purl))
        else:
            found.left_out[_NO_URL] += 1
    created = creation.optional("created") if creation else None
    return found.result(JSON_NAME, _made(created.word() if created else ""))


def _purl(package: TreeValue) -> str:
    """Return the first package URL, '' without one."""
    references = package.optional("externalRefs")
    for each in references.items() if references else ():
        kind = each.optional("referenceType")
        if kind is not None and kind.raw == "purl":
            return _text(each.member("referenceLocator"))
    return ""


def _package(package: TreeValue, purl: str) -> SbomPackage:
    checksums, name = package.optional("checksums"), package.optional("name")
    source, path = package.optional("sourceInfo"), package.optional("packageFileName")
    place = _RECORDED.fullmatch(_text(source)) if source else None
    return SbomPackage(
        package.place,
        purl,
        _text(name) if name else "",
        tuple(
            (each.member("algorithm").word(), each.member("checksumValue").word())
            for each in (checksums.items() if checksums else ())
        ),
        recorded=RecordedPlace(place["archive"], place["snapshot"], path.word()) if place and path else None,
    )


def _text(value: TreeValue) -> str:
    if not isinstance(value.raw, str):
        raise value.wrong("Expected a text.")
    return value.raw


def _made(text: str) -> int | None:
    return instant_of_rfc3339(text) or None


@dataclass(slots=True)
class _TextPackage:
    """A package while its tags are read."""

    place: str
    name: str
    purl: str = ""
    digests: list[tuple[str, str]] = field(default_factory=list)

    def take(self, tag: str, value: str) -> None:
        """Add a tag; tags that are not used here change nothing."""
        if tag == "ExternalRef" and not self.purl and (reference := _REFERENCE.fullmatch(value)):
            self.purl = reference["purl"]
        elif tag == "PackageChecksum" and (checksum := _CHECKSUM.fullmatch(value)):
            self.digests.append((checksum["algorithm"], checksum["value"]))


def read_text(data: bytes) -> PackageList:
    """Read tag-value: lines `Tag: value`; a value within <text> may have several lines, and is skipped."""
    if len(data) > LARGEST or not data.lstrip().startswith(b"SPDXVersion: SPDX-2."):
        raise ListFormatError("line 1", "It does not begin with SPDXVersion: SPDX-2.")
    if data.count(b"\n") > MOST_VALUES:
        raise ListFormatError("", f"It has more than {MOST_VALUES} lines.", is_recognised=True)
    found = SbomPackages()
    package: _TextPackage | None = None
    made, is_text = "", False
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        if is_text or not line.strip() or line.startswith("#"):
            is_text = is_text and _CLOSES not in line
            continue
        parts = _TAG.fullmatch(line.rstrip("\r"))
        if parts is None:
            raise ListFormatError(f"line {number}", f"Expected TAG: VALUE, not {quoted(line)}.", is_recognised=True)
        tag, value = parts["tag"], parts["value"]
        is_text = _OPENS in value and _CLOSES not in value
        if tag == "PackageName":
            _finish(found, package)
            package = _TextPackage(f"line {number}", value)
        elif tag == "Creator" and value.startswith(_TOOL):
            found.tool = found.tool or tool_of([value.removeprefix(_TOOL)])
        elif tag == "Created":
            made = value
        elif package is not None:
            package.take(tag, value)
    _finish(found, package)
    return found.result(TEXT_NAME, _made(made))


def _finish(found: SbomPackages, package: _TextPackage | None) -> None:
    if package is not None and package.purl:
        found.add(SbomPackage(package.place, package.purl, package.name, tuple(package.digests)))
    elif package is not None:
        found.left_out[_NO_URL] += 1


SPDX = ListFormat(JSON_NAME, "a bill of materials in SPDX 2 JSON, by its package URLs", read)
SPDX_TEXT = ListFormat(TEXT_NAME, "a bill of materials in SPDX 2 tag-value, by its package URLs", read_text)

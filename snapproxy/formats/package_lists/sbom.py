"""Collect the packages of a bill of materials by their package URLs, as syft, trivy and snapproxy write them.

syft and trivy write the epoch of an rpm as the qualifier `epoch`, and trivy that of a deb too; in other deb versions it
is a part. `distro` is `debian-12` (syft), `3.16.0` (trivy for apk). Versions are percent-encoded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from packageurl import PackageURL

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.apkindex import checksum
from snapproxy.formats.digests import is_digest
from snapproxy.formats.package_lists.deb_forms import DEB_ARCHITECTURE, DEB_NAME, DEB_VERSION
from snapproxy.formats.package_lists.file_names import recorded_entry
from snapproxy.formats.package_lists.model import (
    MOST_ENTRIES,
    DigestOf,
    ListedDigest,
    ListEntry,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.name_forms import (
    APK_NAME,
    APK_VERSION,
    APK_VIRTUAL,
    PACMAN_ARCHITECTURE,
    PACMAN_NAME,
    PACMAN_VERSION,
    RPM_ARCHITECTURE,
    RPM_NAME,
    RPM_VERSION,
    rpm_version,
)
from snapproxy.formats.package_lists.text_lines import counted

RPM_KEY = "gpg-pubkey"
"""The name under which rpm's database has imported keys."""

LONGEST = 2048
"""Maximum length of a package URL in characters."""

_FAMILIES = {"deb": "apt", "apk": "apk", "rpm": "rpm", "alpm": "pacman"}
_APK_ARCHITECTURE = re.compile(r"[a-z0-9_]+")
_FORMS = {
    "apt": (DEB_NAME, DEB_VERSION, DEB_ARCHITECTURE),
    "apk": (APK_NAME, APK_VERSION, _APK_ARCHITECTURE),
    "rpm": (RPM_NAME, RPM_VERSION, RPM_ARCHITECTURE),
    "pacman": (PACMAN_NAME, PACMAN_VERSION, PACMAN_ARCHITECTURE),
}
_EPOCH = re.compile(r"[0-9]{1,10}")
_TOOLS = ("snapproxy", "trivy")
# trivy writes the C: of an apk as SHA-1, the SHA-256 of a deb from /var/lib/dpkg/available, and the sigmd5 of an rpm,
# which covers its header and payload: not the file. syft writes no digest of a package file.
_COVERED = {
    ("snapproxy", "sha256"): DigestOf.FILE,
    ("trivy", "apt", "sha256"): DigestOf.FILE,
    ("trivy", "apk", "sha1"): DigestOf.CONTROL,
}


@dataclass(frozen=True, slots=True)
class RecordedPlace:
    """The place of a file in snapproxy's own bills of materials."""

    archive: str
    snapshot: str
    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class SbomPackage:
    """A package as a document lists it.

    `name` is used for the case of its letters, which package URLs of some types lack. `digests`: algorithm as written,
    and hex. `control`: the digest of an apk's control part, in apk's notation.
    """

    place: str
    purl: str
    name: str = ""
    digests: tuple[tuple[str, str], ...] = ()
    control: str = ""
    recorded: RecordedPlace | None = None


@dataclass(slots=True)
class SbomPackages:
    """The packages found so far. `tool` is the program that wrote the document, '' for one without rules here."""

    tool: str = ""
    entries: list[ListEntry] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unused: int = 0

    def add(self, package: SbomPackage) -> None:
        """Add a package. One that is not of a package manager is counted by the type of its package URL."""
        parsed = _parsed(package.purl)
        if parsed is None:
            self.left_out["with an invalid package URL"] += 1
        elif parsed.type not in _FAMILIES:
            self.left_out[parsed.type] += 1
        else:
            self.add_known(self._entry(package, parsed))

    def add_known(self, entry: ListEntry) -> None:
        """Add a package of a package manager, unless it is a key or has no file."""
        if entry.family == "rpm" and entry.name == RPM_KEY:
            self.left_out[f"{RPM_KEY} (keys)"] += 1
        elif entry.family == "apk" and APK_VIRTUAL.fullmatch(entry.name):
            self.left_out["virtual (apk)"] += 1
        elif not is_valid(entry):
            self.left_out["with an invalid name, version or architecture"] += 1
        elif len(self.entries) == MOST_ENTRIES:
            raise ListFormatError(entry.origin, f"It has more than {MOST_ENTRIES} packages.", is_recognised=True)
        else:
            self.entries.append(entry)

    def result(self, name: str, made: int | None) -> PackageList:
        """Return the list, with a note on packages that were left out, and one on unused digests."""
        notes = []
        if self.left_out:
            counts = counted(self.left_out)
            notes.append(f"Left out, because they are no packages of apt, apk, pacman or rpm: {counts}.")
        if self.unused:
            notes.append(f"Digests that are not known to be those of package files were not used: {self.unused}.")
        return PackageList(name, tuple(self.entries), tuple(notes), made)

    def _entry(self, package: SbomPackage, purl: PackageURL) -> ListEntry:
        family = _FAMILIES[purl.type]
        qualifiers = purl.qualifiers if isinstance(purl.qualifiers, dict) else {}
        entry = ListEntry(
            package.place,
            family=family,
            name=package.name if package.name.lower() == purl.name.lower() else purl.name,
            version=_version(family, purl.version or "", qualifiers.get("epoch", "")),
            architecture=qualifiers.get("arch", ""),
            distribution=purl.namespace or "",
            suite=_suite(qualifiers.get("distro", "")),
            digests=self._digests(family, package),
        )
        at = package.recorded
        if at is None:
            return entry
        named = recorded_entry(package.place, at.archive, at.snapshot, at.path)
        return replace(entry, suite=named.suite, path=named.path, size=at.size, first=named.first, last=named.last)

    def _digests(self, family: str, package: SbomPackage) -> tuple[ListedDigest, ...]:
        found = []
        for written, value in package.digests:
            algorithm = written.lower().replace("-", "")
            of = _COVERED.get((self.tool, algorithm)) or _COVERED.get((self.tool, family, algorithm))
            if of is not None and is_digest(algorithm, value.lower()):
                found.append(ListedDigest(algorithm, value.lower(), of))
            else:
                self.unused += 1
        if package.control:
            found += self.control_digest(package.control)
        return tuple(found)

    def control_digest(self, text: str) -> tuple[ListedDigest, ...]:
        """Return the digest of a control part from apk's notation (`Q1` and base64); an invalid one is counted."""
        try:
            algorithm, value = checksum(text)
        except ArchiveDataError:
            self.unused += 1
            return ()
        return (ListedDigest(algorithm, value, DigestOf.CONTROL),)


def tool_of(names: Iterable[str]) -> str:
    """Return the tool with rules of its own among the names of those that wrote a document, else ''."""
    words = {re.split(r"[-_ @/]", name.lower())[0] for name in names}
    return next((tool for tool in _TOOLS if tool in words), "")


def is_valid(entry: ListEntry) -> bool:
    """Return whether name, version and architecture have the forms of the family; the architecture may be ''."""
    name, version, architecture = _FORMS[entry.family]
    return bool(
        name.fullmatch(entry.name)
        and version.fullmatch(entry.version)
        and (not entry.architecture or architecture.fullmatch(entry.architecture))
        and max(len(entry.name), len(entry.version), len(entry.architecture)) <= LONGEST
    )


def _parsed(text: str) -> PackageURL | None:
    if len(text) > LONGEST or not text.isascii():
        return None
    try:
        return PackageURL.from_string(text)
    except ValueError:
        return None


def _version(family: str, version: str, epoch: str) -> str:
    """Return the version with its epoch, unless that is 0 or part of it already."""
    if _EPOCH.fullmatch(epoch) and epoch.strip("0") and ":" not in version:
        version = f"{epoch}:{version}"
    return rpm_version(version) if family == "rpm" else version


def _suite(distro: str) -> str:
    """Return the release of `distro`: 12 of `debian-12`, 15.4 of `opensuse-leap-15.4`, 3.16.0 itself."""
    release = distro.rpartition("-")[2] if "-" in distro else distro if distro[:1].isdecimal() else ""
    return release if re.fullmatch(r"[A-Za-z0-9._]{1,64}", release) else ""

"""Read syft's own JSON: `artifacts`, each with its type, name and version, and the metadata of its database."""

from __future__ import annotations

from snapproxy.formats.package_lists.documents import read_document
from snapproxy.formats.package_lists.model import ListEntry, ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.name_forms import rpm_version
from snapproxy.formats.package_lists.sbom import SbomPackages
from snapproxy.formats.package_lists.tree import TreeValue

NAME = "syft"

_FAMILIES = {"deb": "apt", "apk": "apk", "rpm": "rpm", "alpm": "pacman"}


def read(data: bytes) -> PackageList:
    """Read the document. It states no time."""
    document = read_document(data, b'"artifacts"')
    artifacts, descriptor = document.raw.get("artifacts"), document.raw.get("descriptor")
    if not isinstance(artifacts, list) or not isinstance(descriptor, dict) or descriptor.get("name") != "syft":
        raise ListFormatError("", "It has no artifacts, or syft is not its descriptor.")
    distro = document.optional("distro")
    distribution, suite = (distro.word_of("id"), distro.word_of("versionID")) if distro else ("", "")
    found = SbomPackages("syft")
    for artifact in document.member("artifacts").items():
        kind = artifact.member("type").word()
        if kind in _FAMILIES:
            found.add_known(_entry(found, artifact, _FAMILIES[kind], distribution, suite))
        else:
            found.left_out[kind[:40]] += 1
    return found.result(NAME, None)


def _entry(found: SbomPackages, artifact: TreeValue, family: str, distribution: str, suite: str) -> ListEntry:
    metadata = artifact.optional("metadata")
    version, control, architecture = artifact.word_of("version"), "", ""
    if metadata is not None:
        control = metadata.word_of("pullChecksum") if family == "apk" else ""
        architecture = metadata.word_of("architecture") or metadata.word_of("arch")
    return ListEntry(
        artifact.place,
        family=family,
        name=artifact.word_of("name"),
        version=rpm_version(version) if family == "rpm" else version,
        architecture="" if architecture == "(none)" else architecture,
        distribution=distribution,
        suite=suite,
        digests=found.control_digest(control) if control else (),
    )


SYFT = ListFormat(NAME, "the JSON of syft", read)

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
    distribution = _text(distro, "id") or _text(distro, "name")
    suite = _text(distro, "versionID") or _text(distro, "version")
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
    version, control = _text(artifact, "version"), _text(metadata, "pullChecksum") if family == "apk" else ""
    architecture = _text(metadata, "architecture") or _text(metadata, "arch")
    return ListEntry(
        artifact.place,
        family=family,
        name=_text(artifact, "name"),
        version=rpm_version(version) if family == "rpm" else version,
        architecture="" if architecture == "(none)" else architecture,
        distribution=distribution,
        suite=suite,
        digests=found.control_digest(control) if control else (),
    )


def _text(parent: TreeValue | None, name: str) -> str:
    """Return a member that is a text, '' without one."""
    value = parent.optional(name) if parent is not None else None
    if value is None or value.raw == "":
        return ""
    return value.word()


SYFT = ListFormat(NAME, "the JSON of syft", read)

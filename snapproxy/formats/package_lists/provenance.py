"""Read the provenance of a build in SLSA v0.2 or v1, as BuildKit writes it, and snapproxy's own in-toto statement.

With the proxy network (`buildctl build --proxy-network`) BuildKit lists each complete download of a RUN step with its
address and SHA-256. Downloads that it could not record completely are listed apart, and are notes here. snapproxy's
statement lists the files of a record by title.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from snapproxy.formats.package_lists.documents import read_document
from snapproxy.formats.package_lists.file_names import named_entry, titled_entry
from snapproxy.formats.package_lists.model import (
    MOST_ENTRIES,
    ListEntry,
    ListFormat,
    ListFormatError,
    PackageList,
)
from snapproxy.formats.package_lists.text_lines import counted, quoted
from snapproxy.formats.package_lists.times import instant_of_rfc3339
from snapproxy.formats.package_lists.tree import TreeValue

NAME = "provenance"

MOST_SHOWN = 10
"""Maximum number of incomplete downloads that are notes of their own."""

_BUILDKIT = "https://mobyproject.org/buildkit@v1#metadata"
_SCHEMES = ("http://", "https://")
_IMAGE = "pkg:docker/"


@dataclass(slots=True)
class _Materials:
    """The materials found so far, and the numbers of the others by kind."""

    entries: list[ListEntry] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read(data: bytes) -> PackageList:
    """Read the provenance. Images, repositories of git and materials without a SHA-256 are counted in a note."""
    document = read_document(data, b'"buildDefinition"', b'"materials"', b'"resolvedDependencies"')
    materials = _listed(document)
    if len(materials.raw) > MOST_ENTRIES:
        raise materials.wrong(f"It has more than {MOST_ENTRIES} materials.")
    found = _Materials()
    for each in materials.items():
        _add(found, each)
    notes = []
    if found.left_out:
        notes.append(f"Left out, because they are no files at an address: {counted(found.left_out)}.")
    metadata, finished = _metadata(document)
    notes += _incomplete(metadata)
    return PackageList(NAME, tuple(found.entries), tuple(notes), instant_of_rfc3339(finished))


def _listed(document: TreeValue) -> TreeValue:
    """Return the list of materials: of v1, of snapproxy's statement, or of v0.2."""
    definition = document.raw.get("buildDefinition")
    if isinstance(definition, dict) and isinstance(definition.get("resolvedDependencies"), list):
        return document.member("buildDefinition").member("resolvedDependencies")
    for name, beside in (("resolvedDependencies", "unpinned"), ("materials", "buildType")):
        if isinstance(document.raw.get(name), list) and beside in document.raw:
            return document.member(name)
    raise ListFormatError("", "It has no buildDefinition with resolvedDependencies, and no buildType with materials.")


def _add(found: _Materials, material: TreeValue) -> None:
    uri, digests, name = material.optional("uri"), material.optional("digest"), material.optional("name")
    sha256 = digests.optional("sha256") if digests else None
    address = uri.word() if uri else ""
    titled = titled_entry(material.place, name.word()) if name else None
    if titled is not None and sha256 is not None:
        found.entries.append(replace(titled, digests=(sha256.sha256(),)))
    elif address.startswith(_SCHEMES) and sha256 is not None and uri is not None:
        url = uri.address()
        entry = named_entry(material.place, url.partition("?")[0])
        found.entries.append(replace(entry, url=url, path="", digests=(sha256.sha256(),)))
    elif address.startswith(_IMAGE):
        found.left_out["container images"] += 1
    elif address.startswith(_SCHEMES):
        found.left_out["addresses without a SHA-256 (git)"] += 1
    else:
        found.left_out["of other kinds"] += 1


def _metadata(document: TreeValue) -> tuple[TreeValue | None, str]:
    """Return BuildKit's metadata and the time at which the build finished: of v1, or of v0.2."""
    details = document.optional("runDetails")
    metadata = details.optional("metadata") if details else document.optional("metadata")
    if metadata is None:
        return None, ""
    finished = metadata.optional("finishedOn" if details else "buildFinishedOn")
    return metadata.optional("buildkit_metadata" if details else _BUILDKIT), finished.word() if finished else ""


def _incomplete(metadata: TreeValue | None) -> Iterator[str]:
    """Yield a sentence for each of the first incomplete downloads of the proxy network, and one for the others."""
    value = metadata
    for name in ("network", "proxy", "incomplete"):
        value = value.optional(name) if value else None
    items = list(value.items()) if value else []
    for each in items[:MOST_SHOWN]:
        method, uri, reason = (each.word_of(name) for name in ("method", "uri", "reason"))
        yield f"BuildKit did not record this completely: {method} {quoted(uri)} ({reason})."
    if len(items) > MOST_SHOWN:
        yield f"BuildKit recorded {len(items) - MOST_SHOWN} more incomplete downloads."


PROVENANCE = ListFormat(NAME, "the SLSA provenance of BuildKit, or an in-toto statement of snapproxy", read)

"""Read a bill of materials in CycloneDX JSON: of syft, of trivy, of snapproxy, or of another tool by its package URLs.

The control digest of an apk is the property `syft:metadata:pullChecksum` of syft, and a SHA-1 of trivy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from snapproxy.formats.package_lists.documents import read_document
from snapproxy.formats.package_lists.model import ListFormat, ListFormatError, PackageList
from snapproxy.formats.package_lists.sbom import RecordedPlace, SbomPackage, SbomPackages, tool_of
from snapproxy.formats.package_lists.times import instant_of_rfc3339
from snapproxy.formats.package_lists.tree import TreeValue

NAME = "cyclonedx"

_PULL_CHECKSUM = "syft:metadata:pullChecksum"
_OURS = "snapproxy:"
_SIZE = re.compile(r"[0-9]{1,18}")


def read(data: bytes) -> PackageList:
    """Read the document. Components may be nested; `metadata.component` is the described image, and not read."""
    document = read_document(data, b'"bomFormat"')
    if document.raw.get("bomFormat") != "CycloneDX":
        raise ListFormatError("bomFormat", "It is not CycloneDX.")
    metadata = document.optional("metadata")
    found = SbomPackages(tool_of(_tools(metadata)) if metadata else "")
    waiting = _components(document)
    while waiting:
        component = waiting.pop()
        _add(found, component)
        waiting += _components(component)
    timestamp = metadata.optional("timestamp") if metadata else None
    return found.result(NAME, instant_of_rfc3339(timestamp.word()) if timestamp else None)


def _components(parent: TreeValue) -> list[TreeValue]:
    """Return the components, last one first."""
    components = parent.optional("components")
    return list(components.items())[::-1] if components else []


def _tools(metadata: TreeValue) -> Iterator[str]:
    """Yield the names of the tools: a list in CycloneDX 1.4, an object with `components` since 1.5."""
    tools = metadata.optional("tools")
    if tools is not None and isinstance(tools.raw, dict):
        tools = tools.optional("components")
    for tool in tools.items() if tools else ():
        name = tool.optional("name")
        if name is not None and isinstance(name.raw, str):
            yield name.raw


def _add(found: SbomPackages, component: TreeValue) -> None:
    purl, name = component.optional("purl"), component.optional("name")
    if purl is None:
        kind = component.optional("type")
        found.left_out[f"of type {kind.word()[:40]}" if kind else "without a package URL"] += 1
        return
    if not isinstance(purl.raw, str):
        raise purl.wrong("Expected a package URL.")
    properties = _properties(component)
    found.add(
        SbomPackage(
            component.place,
            purl.raw,
            name.raw if name is not None and isinstance(name.raw, str) else "",
            _hashes(component),
            properties.get(_PULL_CHECKSUM, ""),
            _recorded(properties),
        )
    )


def _hashes(component: TreeValue) -> tuple[tuple[str, str], ...]:
    hashes = component.optional("hashes")
    items = hashes.items() if hashes else ()
    return tuple((each.member("alg").word(), each.member("content").word()) for each in items)


def _properties(component: TreeValue) -> dict[str, str]:
    """Return the properties that are used here; one that occurs twice has its first value."""
    found: dict[str, str] = {}
    properties = component.optional("properties")
    for each in properties.items() if properties else ():
        name, value = each.optional("name"), each.optional("value")
        if name is None or value is None or not isinstance(name.raw, str) or not isinstance(value.raw, str):
            continue
        if name.raw == _PULL_CHECKSUM or name.raw.startswith(_OURS):
            found.setdefault(name.raw, value.raw)
    return found


def _recorded(properties: dict[str, str]) -> RecordedPlace | None:
    """Return the place of a file in a record of snapproxy, None in documents of other tools."""
    archive, snapshot, path = (properties.get(_OURS + word, "") for word in ("archive", "snapshot", "path"))
    size = properties.get(_OURS + "size", "")
    if not (archive and snapshot and path):
        return None
    return RecordedPlace(archive, snapshot, path, int(size) if _SIZE.fullmatch(size) else None)


CYCLONEDX = ListFormat(NAME, "a bill of materials in CycloneDX JSON, by its package URLs", read)

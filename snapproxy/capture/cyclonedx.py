"""Write a record as a bill of materials: CycloneDX 1.6, JSON (ECMA-424; cyclonedx.org/docs/1.6/json).

Packages are libraries with a package URL, all other files are files. The serial number is omitted: it would have to be
random, and the document would not be reproducible.
"""

from __future__ import annotations

from typing import Any

from snapproxy.capture.contents import RecordedFile, recorded_files
from snapproxy.capture.lock import digest
from snapproxy.core.model import Instant
from snapproxy.core.record import Record
from snapproxy.core.time_spec import format_rfc3339
from snapproxy.formats.canonical_json import indented


def write(record: Record, created: Instant | None = None) -> bytes:
    """Return the document; `created`, from SOURCE_DATE_EPOCH, is the only time it contains.

    Raises the same errors as `recorded_files`.
    """
    metadata: dict[str, Any] = {
        "properties": [
            _property("lock", f"sha256:{digest(record)}"),
            *(_property("solver", solver) for solver in sorted(record.solvers)),
            *(_property("unpinned", host) for host in sorted(record.unpinned)),
        ],
        # The version is omitted: the same record gives the same bytes in every version of snapproxy.
        "tools": {"components": [{"name": "snapproxy", "type": "application"}]},
    }
    if created is not None:
        metadata["timestamp"] = format_rfc3339(created)
    return indented(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "components": [_component(content) for content in recorded_files(record)],
            "metadata": metadata,
            "specVersion": "1.6",
            "version": 1,
        }
    )


def _component(content: RecordedFile) -> dict[str, Any]:
    facts = {
        "archive": content.archive,
        "path": content.path,
        "proof": content.proof.word,
        "role": content.role.value,
        "size": str(content.size),
        "snapshot": content.snapshot,
    }
    component: dict[str, Any] = {
        "bom-ref": content.title,
        "hashes": [{"alg": "SHA-256", "content": content.sha256}],
        "name": content.title,
        "properties": [_property(name, value) for name, value in facts.items()],
        "type": "file",
    }
    if content.package is not None:
        named = {"name": content.package.name, "version": content.package.version, "purl": content.purl}
        component |= {"type": "library", **named}
    return component


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"snapproxy:{name}", "value": value}

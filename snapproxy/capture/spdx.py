"""Writes a record as a bill of materials: SPDX 2.3, JSON (ISO/IEC 5962's successor; spdx.github.io/spdx-spec/v2.3).

Every file is a package of SPDX's, of purpose INSTALL or FILE: SPDX's own files must have a SHA-1 (clause 8.4), which we neither have nor
want to vouch by.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from snapproxy.capture.contents import RecordedFile, recorded_files
from snapproxy.capture.lock import FILE_NAME, digest
from snapproxy.core.model import Instant
from snapproxy.core.record import Record
from snapproxy.core.time_spec import format_rfc3339
from snapproxy.formats.canonical_json import indented

_DOCUMENT = "SPDXRef-DOCUMENT"
_UNSAID = "NOASSERTION"


def write(record: Record, created: Instant | None = None) -> bytes:
    """Write the document; `created` comes from SOURCE_DATE_EPOCH, and is 1970-01-01 without it, since SPDX will not go without.

    Raises RecordError (`recorded_files`).
    """
    when, lock = format_rfc3339(created or 0), digest(record)
    # Clause 6.5: unique to the document, and need not lead anywhere. Two documents of one record and time are one document.
    unique = sha256(f"{lock} {when}".encode()).hexdigest()
    packages = [_package(content) for content in recorded_files(record)]
    return indented(
        {
            "SPDXID": _DOCUMENT,
            "comment": f"What a build was served through snapproxy, from the lock of sha256 {lock}.{_unpinned(record)}",
            "creationInfo": {"created": when, "creators": ["Tool: snapproxy"]},
            "dataLicense": "CC0-1.0",
            "documentNamespace": f"https://spdx.org/spdxdocs/{FILE_NAME}-{unique}",
            "name": FILE_NAME,
            "packages": packages,
            "relationships": [_describes(package["SPDXID"]) for package in packages],
            "spdxVersion": "SPDX-2.3",
        }
    )


def _unpinned(record: Record) -> str:
    hosts = ", ".join(sorted(record.unpinned))
    return f" Hosts that were reached unpinned, of which nothing is recorded: {hosts}." if hosts else ""


def _package(content: RecordedFile) -> dict[str, Any]:
    package: dict[str, Any] = {
        "SPDXID": f"SPDXRef-{sha256(content.title.encode()).hexdigest()[:32]}",
        "checksums": [{"algorithm": "SHA256", "checksumValue": content.sha256}],
        "downloadLocation": _UNSAID,
        "filesAnalyzed": False,
        "name": content.title,
        "packageFileName": content.path,
        "primaryPackagePurpose": "FILE",
        "sourceInfo": f"{content.archive} at snapshot {content.snapshot}, proof: {content.proof.word}",
    }
    if content.package is not None:
        reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceLocator": content.purl, "referenceType": "purl"}
        package |= {
            "externalRefs": [reference],
            "name": content.package.name,
            "primaryPackagePurpose": "INSTALL",
            "versionInfo": content.package.version,
        }
    return package


def _describes(identifier: str) -> dict[str, str]:
    return {
        "relatedSpdxElement": identifier,
        "relationshipType": "DESCRIBES",
        "spdxElementId": _DOCUMENT,
    }

"""Write a record as a bill of materials: SPDX 2.3, JSON (ISO/IEC 5962's successor; spdx.github.io/spdx-spec/v2.3).

Every file is an SPDX package of purpose INSTALL or FILE, because an SPDX file must have a SHA-1 (clause 8.4), which
snapproxy neither has nor trusts.
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
_NO_ASSERTION = "NOASSERTION"


def write(record: Record, created: Instant | None = None) -> bytes:
    """Return the document.

    `created` is the value of SOURCE_DATE_EPOCH; without it, 1970-01-01 is used, because SPDX requires a time.

    Raises the same errors as `recorded_files`.
    """
    when, lock = format_rfc3339(created or 0), digest(record)
    # Clause 6.5: unique to the document, need not be a working address. Equal records with equal times are the same
    # document.
    unique = sha256(f"{lock} {when}".encode()).hexdigest()
    packages = [_package(content) for content in recorded_files(record)]
    return indented(
        {
            "SPDXID": _DOCUMENT,
            "comment": "The files that a build was served through snapproxy, "
            f"from the lock with sha256 {lock}.{_solvers(record)}{_unpinned(record)}",
            "creationInfo": {"created": when, "creators": ["Tool: snapproxy"]},
            "dataLicense": "CC0-1.0",
            "documentNamespace": f"https://spdx.org/spdxdocs/{FILE_NAME}-{unique}",
            "name": FILE_NAME,
            "packages": packages,
            "relationships": [_describes(package["SPDXID"]) for package in packages],
            "spdxVersion": "SPDX-2.3",
        }
    )


def _solvers(record: Record) -> str:
    solvers = ", ".join(sorted(record.solvers))
    return f" Solvers that chose packages: {solvers}." if solvers else ""


def _unpinned(record: Record) -> str:
    hosts = ", ".join(sorted(record.unpinned))
    return f" Hosts that were reached unpinned, without a record of their files: {hosts}." if hosts else ""


def _package(content: RecordedFile) -> dict[str, Any]:
    package: dict[str, Any] = {
        "SPDXID": f"SPDXRef-{sha256(content.title.encode()).hexdigest()[:32]}",
        "checksums": [{"algorithm": "SHA256", "checksumValue": content.sha256}],
        "downloadLocation": _NO_ASSERTION,
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

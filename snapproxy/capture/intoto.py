"""Write a record as an in-toto statement.

It has a predicate of snapproxy's own, which contains the list of dependencies that SLSA calls `resolvedDependencies`.

snapproxy served the build and did not run it, so this is not a provenance: it names no builder, no build type and no
product. A builder that writes a provenance can copy the list unchanged. The statement is not signed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snapproxy.capture.contents import RecordedFile, recorded_files
from snapproxy.capture.lock import FILE_NAME, digest
from snapproxy.core.record import Record
from snapproxy.formats.canonical_json import indented

STATEMENT = "https://in-toto.io/Statement/v1"

PREDICATE = "urn:x-snapproxy:served:v1"
"""Not a registered namespace, hence the x-; in-toto only requires a unique URI."""


REPRODUCED = "urn:x-snapproxy:reproduced:v1"
"""The predicate type for a build that was repeated offline, from a lock alone, with the same result."""


def write(record: Record) -> bytes:
    """Return the statement; its subject is the lock of the record. Raises the same errors as `recorded_files`."""
    return indented(statement(record, (FILE_NAME, digest(record))))


def statement(record: Record, subject: tuple[str, str]) -> dict[str, Any]:
    """Return the statement of the files served to a subject's build.

    `subject`: name and sha256 (hex) of the product, or of the lock.
    """
    name, named_digest = subject
    return {
        "_type": STATEMENT,
        "predicate": {
            "resolvedDependencies": [_descriptor(content) for content in recorded_files(record)],
            # Statements about records without solvers keep their bytes.
            **({"solvers": sorted(record.solvers)} if record.solvers else {}),
            "unpinned": sorted(record.unpinned),
        },
        "predicateType": PREDICATE,
        "subject": [{"digest": {"sha256": named_digest}, "name": name}],
    }


def reproduced(subject: tuple[str, str], lock: str, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Return the statement that a subject (its name, and its sha256 in hex) was reproduced offline.

    `lock` is the sha256 of the lock. `outputs` are the sha256 of the compared files, by path; empty if the lists of
    served files were compared.
    """
    name, named_digest = subject
    return {
        "_type": STATEMENT,
        "predicate": {
            "lock": {"digest": {"sha256": lock}, "name": FILE_NAME},
            "outputs": [{"digest": {"sha256": outputs[path]}, "name": path} for path in sorted(outputs)],
        },
        "predicateType": REPRODUCED,
        "subject": [{"digest": {"sha256": named_digest}, "name": name}],
    }


def _descriptor(content: RecordedFile) -> dict[str, Any]:
    """Return a file as in-toto's ResourceDescriptor, which SLSA's build definition uses."""
    descriptor: dict[str, Any] = {
        "annotations": {"proof": content.proof.word, "role": content.role.value, "size": content.size},
        "digest": {"sha256": content.sha256},
        "name": content.title,
    }
    if content.purl:
        descriptor["uri"] = content.purl
    return descriptor

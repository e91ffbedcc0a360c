"""Writes a record as an in-toto statement: the list of dependencies that SLSA calls `resolvedDependencies`, under a predicate of our own.

snapproxy served the build and did not run it, so this is no provenance: it names no builder, no build type and no product. A builder
that writes provenance may take the list over as it stands. Nothing here signs.
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
"""Not a registered name space, as its x- says; in-toto wants a URI that is unique, and no more."""


REPRODUCED = "urn:x-snapproxy:reproduced:v1"
"""As PREDICATE: the subject's build ran again offline, from a lock alone, and came to the same."""


def write(record: Record) -> bytes:
    """Write the statement; its subject is the lock of the record. Raises RecordError (`recorded_files`)."""
    return indented(statement(record, (FILE_NAME, digest(record))))


def statement(record: Record, subject: tuple[str, str]) -> dict[str, Any]:
    """Say of a subject (its name, and its sha256 in hex) what was served to the build it came from, or is the list of."""
    name, named_digest = subject
    return {
        "_type": STATEMENT,
        "predicate": {
            "resolvedDependencies": [_descriptor(content) for content in recorded_files(record)],
            "unpinned": sorted(record.unpinned),
        },
        "predicateType": PREDICATE,
        "subject": [{"digest": {"sha256": named_digest}, "name": name}],
    }


def reproduced(subject: tuple[str, str], lock: str, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Say of a subject (its name, and its sha256 in hex) that it was reproduced offline.

    `lock` is the sha256 of the lock, `outputs` those of what was compared, by path; none where the lists of files served were.
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
    """Describe a file as in-toto's ResourceDescriptor, which SLSA's build definition uses."""
    descriptor: dict[str, Any] = {
        "annotations": {"proof": content.proof.word, "role": content.role.value, "size": content.size},
        "digest": {"sha256": content.sha256},
        "name": content.title,
    }
    if content.purl:
        descriptor["uri"] = content.purl
    return descriptor

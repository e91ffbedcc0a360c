"""Parse a lock strictly, in bounded memory, and report the place of every fault. RecordError is the only exception.

Any formatting of the JSON is accepted, because a formatter or a merge may have changed it; the content must be complete
and consistent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapproxy.capture.lock import (
    ABSENCE_MEMBERS,
    ARCHIVE_MEMBERS,
    FILE_MEMBERS,
    OPTIONAL_SECTIONS,
    SCHEMA,
    SECTIONS,
    snapshots_by_time,
)
from snapproxy.core.model import Instant, Proof, Role
from snapproxy.core.paths import names_a_file
from snapproxy.core.record import SOLVER_TEXT, Record, RecordEntry
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.errors import ClientError
from snapproxy.families import FAMILIES
from snapproxy.formats.strict_json import JsonDocument, JsonValue, load

LARGEST_FILE = 2**53 - 1
"""Maximum size of a file in bytes: the largest integer that every JSON parser represents exactly (RFC 8785, section
3.2.2.3)."""

_LOCK = JsonDocument(
    "lock",
    "Get an unaltered copy: write it again with `snapproxy lock NAME`, or take it from the artifact that contains it.",
)
_ARCHIVE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:.+_-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9:.+_-]{0,63}){0,3}")
# The path of an `exchange.ServiceTarget`: escaped as requested, with its query. It is never used as a file name, so
# dots are harmless.
_CALL = re.compile(r"/(?:mr|file)/[!-\[\]-~]{0,4090}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,255}")
_INSTANT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_WORD = re.compile(r"[a-z]+")
_ROLES = {role.value: role for role in Role}
_PROOFS = {proof.word: proof for proof in Proof}


def decode(data: bytes) -> Record:
    """Return the record of a lock. Raises RecordError, which names the violated rule and its place."""
    top = load(data, _LOCK)
    _check_schema(top)
    present = [name for name in OPTIONAL_SECTIONS if isinstance(top.raw, dict) and name in top.raw]
    absences, archives, files, _, unpinned, *solvers = top.members(*SECTIONS, *present)
    entries: dict[tuple[str, str, str], RecordEntry] = {}
    sizes: dict[str, int] = {}
    for value, entry in _entries(files, absences):
        if entries.setdefault(entry.key, entry) is not entry:
            raise value.wrong("another entry has the same archive, requested and path")
        if sizes.setdefault(entry.sha256, entry.size) != entry.size:
            raise value.wrong("another entry has the same sha256 and another size")
    families, valid = _archives(archives, tuple(entries.values()))
    return Record(tuple(entries[key] for key in sorted(entries)), families, valid, _hosts(unpinned), _solvers(solvers))


def _check_schema(top: JsonValue) -> None:
    """Check the version first, because a later version may have other members."""
    schema = top.raw.get("schema") if isinstance(top.raw, dict) else None
    if type(schema) is int and schema > SCHEMA:
        hint = "Use a newer snapproxy, or write the lock again with this version."
        raise JsonDocument("lock", hint).error(
            f"Its schema is {str(schema)[:20]}; this snapproxy reads schema {SCHEMA}."
        )
    if isinstance(top.raw, dict) and "schema" in top.raw:
        JsonValue(schema, "schema", top.document).integer(SCHEMA, SCHEMA)


def _entries(files: JsonValue, absences: JsonValue) -> Iterator[tuple[JsonValue, RecordEntry]]:
    for value in files.items():
        *members, digest, size = value.members(*FILE_MEMBERS)
        found = digest.text(_DIGEST, "64 lower-case hex digits")
        yield value, _entry(members, _time(members[-1]), size.integer(0, LARGEST_FILE), found)
    for value in absences.items():
        members = list(value.members(*ABSENCE_MEMBERS))
        yield value, _entry(members, "" if members[-1].raw == "" else _time(members[-1]), 0, "")


def _entry(members: list[JsonValue], snapshot: str, size: int, digest: str) -> RecordEntry:
    archive, path, proof, requested, role, _ = members
    if not isinstance(path.raw, str) or not (names_a_file(path.raw) or _CALL.fullmatch(path.raw)):
        raise path.wrong("expected the canonical path of a file within the archive, or a request to its service")
    return RecordEntry(
        archive=_name(archive),
        requested=_time(requested),
        snapshot=snapshot,
        path=path.raw,
        role=_ROLES[_one_of(role, _ROLES)],
        proof=_PROOFS[_one_of(proof, _PROOFS)],
        size=size,
        sha256=digest,
    )


def _archives(
    archives: JsonValue, entries: tuple[RecordEntry, ...]
) -> tuple[dict[str, str], dict[tuple[str, str], tuple[Instant, Instant]]]:
    """Return the families and the valid spans, and check that the section agrees with the entries."""
    served = dict(snapshots_by_time(entries))
    families: dict[str, str] = {}
    valid: dict[tuple[str, str], tuple[Instant, Instant]] = {}
    for value in archives.items():
        archive, family, requested, snapshots, span = value.members(*ARCHIVE_MEMBERS)
        name, time = _name(archive), _time(requested)
        listed = [_time(each) for each in snapshots.items()]
        if (name, time) not in served or sorted(listed) != sorted(served.pop((name, time))):
            raise value.wrong("its snapshots differ from those of the entries with its archive and requested")
        if families.setdefault(name, _one_of(family, FAMILIES)) != family.raw:
            raise family.wrong(f"expected the same family as in the first item of {name}")
        if span.raw is not None:
            valid[name, time] = _span(span)
    for name, time in served:
        raise archives.wrong(f"there are entries of {name} at {time}, but no item")
    return families, valid


def _span(value: JsonValue) -> tuple[Instant, Instant]:
    ends = [_instant(each) for each in value.items()]
    if len(ends) != 2 or ends[0] > ends[1]:  # noqa: PLR2004 (a span has two ends)
        raise value.wrong("expected the first and the last instant of a span")
    return ends[0], ends[1]


def _instant(value: JsonValue) -> Instant:
    expected = "an instant such as 20240601T000000Z"
    try:
        instant = parse_time(value.text(_INSTANT, expected)).instant
    except ClientError:
        instant = None
    if instant is None or format_instant(instant) != value.raw:
        raise value.wrong(f"expected {expected}")
    return instant


def _hosts(unpinned: JsonValue) -> frozenset[str]:
    hosts: set[str] = set()
    for value in unpinned.items():
        host = value.text(_HOST, "a host")
        if host in hosts:
            raise value.wrong(f"the host {host} is repeated", shown=False)
        hosts.add(host)
    return frozenset(hosts)


def _solvers(sections: list[JsonValue]) -> frozenset[str]:
    solvers: set[str] = set()
    for value in (value for section in sections for value in section.items()):
        solver = value.text(SOLVER_TEXT, "a solver in at most 200 printable ASCII characters")
        if solver in solvers:
            raise value.wrong("the solver is repeated", shown=False)
        solvers.add(solver)
    return frozenset(solvers)


def _name(value: JsonValue) -> str:
    return value.text(_ARCHIVE, "the name of an archive")


def _time(value: JsonValue) -> str:
    return value.text(_TIME, "a time or the id of a snapshot")


def _one_of(value: JsonValue, words: Iterable[str]) -> str:
    known = sorted(words)
    word = value.text(_WORD, f"one of {', '.join(known)}")
    if word not in known:
        raise value.wrong(f"expected one of {', '.join(known)}")
    return word

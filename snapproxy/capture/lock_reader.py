"""Reads a lock back into a record: strictly, in bounded memory, every fault with its place. Total: RecordError is the only way out.

Any spelling of the JSON is taken (a formatter or a merge may have touched it); what it says must be whole and agree with itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from snapproxy.capture.lock import ABSENCE_MEMBERS, ARCHIVE_MEMBERS, FILE_MEMBERS, SCHEMA, SECTIONS, snapshots_by_time
from snapproxy.core.model import Instant, Proof, Role
from snapproxy.core.paths import names_a_file
from snapproxy.core.record import Record, RecordEntry
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.errors import ClientError
from snapproxy.families import FAMILIES
from snapproxy.formats.strict_json import JsonDocument, JsonValue, load

LARGEST_FILE = 2**53 - 1
"""Bytes a file may have: the largest whole number that every JSON reader takes exactly (RFC 8785, section 3.2.2.3)."""

_LOCK = JsonDocument(
    "lock", "Take it from where it was written, unaltered: `snapproxy lock NAME` or the artifact it came with."
)
_ARCHIVE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:.+_-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9:.+_-]{0,63}){0,3}")
# What `exchange.ServiceTarget` may hold: escaped as it was asked, its query included. Never the name of a file, so dots lead nowhere.
_CALL = re.compile(r"/(?:mr|file)/[!-\[\]-~]{0,4090}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,255}")
_INSTANT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_WORD = re.compile(r"[a-z]+")
_ROLES = {role.value: role for role in Role}
_PROOFS = {proof.word: proof for proof in Proof}


def decode(data: bytes) -> Record:
    """Read a lock. Raises RecordError, which says where it breaks which rule."""
    top = load(data, _LOCK)
    _check_schema(top)
    absences, archives, files, _, unpinned = top.members(*SECTIONS)
    entries: dict[tuple[str, str, str], RecordEntry] = {}
    sizes: dict[str, int] = {}
    for value, entry in _entries(files, absences):
        if entries.setdefault(entry.key, entry) is not entry:
            raise value.wrong("its archive, requested and path stand in another entry, too")
        if sizes.setdefault(entry.sha256, entry.size) != entry.size:
            raise value.wrong("another entry gives its sha256 another size")
    families, valid = _archives(archives, tuple(entries.values()))
    return Record(tuple(entries[key] for key in sorted(entries)), families, valid, _hosts(unpinned))


def _check_schema(top: JsonValue) -> None:
    """Look at the version before anything else: what a later one holds is not for us to judge."""
    schema = top.raw.get("schema") if isinstance(top.raw, dict) else None
    if type(schema) is int and schema > SCHEMA:
        hint = "Use a newer snapproxy, or have the lock written again by one of this version."
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
        raise path.wrong("the canonical path of a file within the archive, or a call of its service, is wanted")
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
    """Read what answered for which time, and hold it to the entries it sums up."""
    served = dict(snapshots_by_time(entries))
    families: dict[str, str] = {}
    valid: dict[tuple[str, str], tuple[Instant, Instant]] = {}
    for value in archives.items():
        archive, family, requested, snapshots, span = value.members(*ARCHIVE_MEMBERS)
        name, time = _name(archive), _time(requested)
        told = [_time(each) for each in snapshots.items()]
        if (name, time) not in served or sorted(told) != sorted(served.pop((name, time))):
            raise value.wrong("its snapshots are not those of the entries with its archive and requested")
        if families.setdefault(name, _one_of(family, FAMILIES)) != family.raw:
            raise family.wrong(f"the family that {name} has above is wanted")
        if span.raw is not None:
            valid[name, time] = _span(span)
    for name, time in served:
        raise archives.wrong(f"entries speak of {name} at {time}, which is not there")
    return families, valid


def _span(value: JsonValue) -> tuple[Instant, Instant]:
    ends = [_instant(each) for each in value.items()]
    if len(ends) != 2 or ends[0] > ends[1]:  # noqa: PLR2004 (a span has two ends)
        raise value.wrong("the first and the last instant of a span are wanted")
    return ends[0], ends[1]


def _instant(value: JsonValue) -> Instant:
    wanted = "an instant such as 20240601T000000Z"
    try:
        instant = parse_time(value.text(_INSTANT, wanted)).instant
    except ClientError:
        instant = None
    if instant is None or format_instant(instant) != value.raw:
        raise value.wrong(f"{wanted} is wanted")
    return instant


def _hosts(unpinned: JsonValue) -> frozenset[str]:
    hosts: set[str] = set()
    for value in unpinned.items():
        host = value.text(_HOST, "a host")
        if host in hosts:
            raise value.wrong("stands there twice")
        hosts.add(host)
    return frozenset(hosts)


def _name(value: JsonValue) -> str:
    return value.text(_ARCHIVE, "the name of an archive")


def _time(value: JsonValue) -> str:
    return value.text(_TIME, "a time, or the id of a snapshot,")


def _one_of(value: JsonValue, words: Iterable[str]) -> str:
    known = sorted(words)
    word = value.text(_WORD, f"one of {' '.join(known)}")
    if word not in known:
        raise value.wrong(f"one of {' '.join(known)} is wanted")
    return word

"""Find the names that need a stored file, and from which each can be fetched again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from snapproxy.base.names import file_space
from snapproxy.capture.captures import Captures
from snapproxy.core.model import Proof, Role
from snapproxy.core.record import RecordEntry
from snapproxy_storage import Audit


@dataclass(frozen=True, slots=True)
class NeedingName:
    """A name that needs a file: its text, and the entry with which it is fetched again."""

    name: str
    entry: RecordEntry


async def needed_by(digests: Collection[str], audit: Audit, captures: Captures) -> Mapping[str, Sequence[NeedingName]]:
    """Return the names that need each of these files: those of captures first, open ones included."""
    needs: defaultdict[str, list[NeedingName]] = defaultdict(list)
    for capture in captures.names():
        for entry in await captures.entries(capture):
            if entry.sha256 in digests:
                needs[entry.sha256].append(NeedingName(f"capture {capture}: {_name(entry)}", entry))
    for each in await audit.names_of(digests):
        space = file_space(each.space)
        if space is not None:
            archive, snapshot = space
            value = each.value
            entry = RecordEntry(
                archive, snapshot, snapshot, each.name, Role.PACKAGE, Proof(value.proof), value.size, value.digest
            )
            needs[value.digest].append(NeedingName(_name(entry), entry))
    return needs


def _name(entry: RecordEntry) -> str:
    return f"{entry.archive}/{entry.snapshot}/{entry.path}"

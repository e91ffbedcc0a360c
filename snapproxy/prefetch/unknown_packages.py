"""Explain names of packages that the indexes of a time do not list: similar names, and the times at which they existed.

The sources are the indexes in the store, and the archive's own record of its history. A name that neither has gets no
clause. Nothing here fails: the explanation is part of an error message.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cmp_to_key

from snapproxy.answer.selected_indexes import RefusedFileError, SelectedIndexes
from snapproxy.core.listing import Selection, chosen
from snapproxy.core.model import Archive, TimeSpec
from snapproxy.core.similar import similar
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import SnapproxyError
from snapproxy.families import LISTERS
from snapproxy.formats.package_lists.model import ListEntry
from snapproxy.prefetch.archive_reader import ArchiveReader, ReaderParts
from snapproxy.prefetch.evidence import HistoryFile, IndexEvidence, Period
from snapproxy.prefetch.query import Query
from snapproxy.prefetch.records import Records

MOST_NAMES = 10
"""Maximum number of names that are explained. Each costs the archive's record two requests."""

MOST_ROOTS = 12
"""Maximum number of stored roots of an archive that are read; a large index takes a second."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._@-]{0,254}")


@dataclass(frozen=True, slots=True)
class SearchedPart:
    """The parts of one archive in which the names were not found."""

    archive: Archive
    selections: tuple[Selection, ...]


def plain_name(word: str, family: str) -> str:
    """Return the name in an argument such as `name=1.2` or `name:i386`; '' for a pattern or a capability.

    `family` is that of the archives: in apk a name with a colon, such as `so:libc.so`, is a capability.
    """
    name = re.split(r"[=:/<>~]" if family == "apt" else r"[=/<>~]", word, maxsplit=1)[0]
    return name if _NAME.fullmatch(name) else ""


def _named(words: Sequence[str], family: str) -> dict[str, str]:
    """Return the words that have a plain name, with the names."""
    return {word: name for word in words[:MOST_NAMES] if (name := plain_name(word, family))}


async def times_of(
    words: Sequence[str], archives: Sequence[Archive], architecture: str, parts: ReaderParts, records: Sequence[Records]
) -> dict[str, str]:
    """Return for each word a clause with the times at which its package existed; some have none."""
    named = _named(words, archives[0].family)
    names = list(dict.fromkeys(named.values()))
    queries = [
        Query(
            number=number,
            entry=ListEntry(name),
            archives=tuple(archives),
            name=name,
            architecture=architecture,
            is_bare=True,
        )
        for number, name in enumerate(names)
    ]
    evidence = IndexEvidence()
    architectures = (architecture,) if architecture else ()
    for archive in archives:
        await ArchiveReader(archive, queries, (), architectures, evidence, parts).read_stored(MOST_ROOTS)
    await _ask(records, archives, queries, evidence)
    newest = [
        replace(query, version=_newest(evidence.versions[query.name], archives[0].family), is_bare=False)
        for query in queries
        if evidence.versions.get(query.name)
    ]
    await _ask(records, archives, newest, evidence)
    versions = {query.name: query.version for query in newest}
    clauses = {
        query.name: _clause(versions.get(query.name, ""), evidence.recorded[query.number], evidence.spans[query.name])
        for query in queries
    }
    return {word: clauses[name] for word, name in named.items() if clauses[name]}


async def _ask(
    records: Sequence[Records], archives: Sequence[Archive], queries: Sequence[Query], evidence: IndexEvidence
) -> None:
    for record in records:
        served = [each for each in archives if record.serves(each)]
        if served and queries:
            await record.ask(served, queries, evidence)


def _newest(versions: Collection[str], family: str) -> str:
    def order(one: str, other: str) -> int:
        return LISTERS[family].compare(one, other) or 0

    return max(sorted(versions), key=cmp_to_key(order))


def _clause(newest: str, recorded: Sequence[HistoryFile], spans: Mapping[str, Period]) -> str:
    """Return the times of the latest version in indexes, and those of the newest one in the record if it differs."""
    clauses = []
    if spans:
        version, (first, last) = max(spans.items(), key=lambda each: (each[1][1], each[0]))
        until = f" to {format_instant(last)}" if last != first else ""
        clauses.append(f"existed at {format_instant(first)}{until} (version {version})")
    if recorded and newest not in spans:
        first = min(each.first for each in recorded)
        clauses.append(f"existed from {format_instant(first)} on (version {newest})")
    return "; ".join(clauses)


async def similar_names(
    words: Sequence[str], searched: Sequence[SearchedPart], when: TimeSpec, parts: ReaderParts
) -> dict[str, str]:
    """Return for each word the most similar name in the indexes of the time; some have none."""
    named = _named(words, searched[0].archive.family)
    if not named:
        return {}
    known: set[str] = set()
    for each in searched:
        known |= await _names(each, when, parts)
    found = await asyncio.to_thread(lambda: {word: similar(name, known) for word, name in named.items()})
    return {word: near for word, near in found.items() if near}


async def _names(searched: SearchedPart, when: TimeSpec, parts: ReaderParts) -> set[str]:
    """Return the names of the packages in the parts. An index that cannot be read adds none."""
    indexes = SelectedIndexes(searched.archive, parts.answerer, parts.tables, parts.listings, parts.progress)
    found: set[str] = set()
    for selection in searched.selections:
        try:
            roots = LISTERS[searched.archive.family].roots(selection)
            listed = await indexes.parts(roots, await indexes.roots(roots, when))
            for part in chosen((each.part for each in listed), selection):
                found |= {package.name for package in await indexes.packages(part, when, selection)}
        except (RefusedFileError, SnapproxyError):
            continue
    return found

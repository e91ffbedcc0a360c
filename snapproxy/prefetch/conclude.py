"""Decide the outcome of each entry from the evidence, and choose the times to fetch from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from snapproxy.core.interval_cover import fewest_points, includes, merged
from snapproxy.core.model import STRONG, Archive, ExpectedFile, Instant, Match, TimeSpec
from snapproxy.core.similar import similar
from snapproxy.core.time_spec import format_instant
from snapproxy.prefetch.evidence import FoundFile, HistoryFile, IndexEvidence
from snapproxy.prefetch.identity import has_header_only, is_by_identity
from snapproxy.prefetch.model import IS_FOUND, Candidate, Finding, ResolvedEntry, WantedAt, WantedFile
from snapproxy.prefetch.near_versions import near_versions
from snapproxy.prefetch.query import Compare, Query, best_digest

_MOST_SUGGESTIONS = 20
"""Maximum number of unknown names that are compared with all names of the indexes."""

_MOST_NAMED = 4
"""Maximum number of files that the sentence about an ambiguous entry names."""


def conclude(query: Query, evidence: IndexEvidence, at: Collection[Instant], compare: Compare) -> ResolvedEntry:
    """Return the outcome of an entry. `at` are the times that the user requested: they decide between several files."""
    listed = sorted(evidence.listed.get(query.number, ()), key=lambda each: query.archives.index(each.archive))
    if listed:
        return _listed(query, _requested(listed, at))
    if query.number in evidence.contradicted:
        return ResolvedEntry(query.entry, Finding.NOT_FOUND, why=evidence.contradicted[query.number])
    recorded = evidence.recorded.get(query.number, ())
    failure = evidence.unanswered.get(query.number) or next(
        (evidence.failures[each.name] for each in query.archives if each.name in evidence.failures), ""
    )
    if failure and not any(each.when for each in recorded):
        return ResolvedEntry(query.entry, Finding.UNANSWERED, why=failure)
    return _recorded(query, recorded) or _missing(query, evidence, compare)


def _requested(listed: Sequence[FoundFile], at: Collection[Instant]) -> Sequence[FoundFile]:
    """Return the files that are listed at a requested time, all files if none is."""
    return [each for each in listed if any(includes(merged(each.periods), instant) for instant in at)] or listed


def _listed(query: Query, listed: Sequence[FoundFile]) -> ResolvedEntry:
    candidates = tuple(
        Candidate(
            each.archive,
            each.indexed.file.path,
            best_digest(query, each.indexed.file.digests),
            each.indexed.file.size,
            merged(each.periods),
        )
        for each in listed
    )
    files = [each.indexed.file for each in listed]
    if any(_differ(one, other) for one in files for other in files):
        return ResolvedEntry(query.entry, Finding.AMBIGUOUS, candidates, _ambiguous(listed))
    if has_header_only(query):
        why = "The list has the digest of the header, which no index lists. The file was found by its name."
        return ResolvedEntry(query.entry, Finding.HEADER_ONLY, candidates, why)
    if is_by_identity(query, listed[0].indexed):
        return ResolvedEntry(query.entry, Finding.BY_IDENTITY, candidates)
    return ResolvedEntry(query.entry, Finding.RESOLVED, candidates)


def _differ(one: ExpectedFile, other: ExpectedFile) -> bool:
    """Return whether two files cannot be the same bytes: a digest of one algorithm differs."""
    return any(other.digests.get(algorithm, value) != value for algorithm, value in one.digests.items())


def _ambiguous(listed: Sequence[FoundFile]) -> str:
    files = [
        f"{each.indexed.file.path} of {each.archive.name} at {format_instant(max(each.periods)[1])}"
        for each in listed[:_MOST_NAMED]
    ]
    architectures = {each.indexed.architecture for each in listed}
    if len(architectures) > 1:
        return f"The list does not name the architecture, and there is one file for each: {', '.join(files)}."
    return f"Several files have this name and version: {', '.join(files)}. A time selects one of them."


def _recorded(query: Query, recorded: Sequence[HistoryFile]) -> ResolvedEntry | None:
    """Return the outcome of an entry whose file a record of the archive names, and no index that was read lists."""
    chosen = sorted(recorded, key=lambda each: query.archives.index(each.archive))
    if not chosen:
        return None
    candidates = tuple(
        Candidate(
            each.archive,
            each.path,
            best_digest(query, {"sha1": each.sha1} if each.sha1 else {}),
            each.size,
            () if each.when else ((each.first, each.first),),
            each.when,
        )
        for each in chosen
    )
    if len({each.digest for each in candidates}) > 1:
        why = "The archive has several files of this name and version, and no index that was read lists one of them."
        return ResolvedEntry(query.entry, Finding.AMBIGUOUS, candidates, why)
    if candidates[0].digest.partition(":")[0] in STRONG:
        return ResolvedEntry(query.entry, Finding.RESOLVED, candidates[:1])
    known = "by its SHA-1" if candidates[0].digest else "by its name"
    why = f"The archive knows the file {known} only: no index that was read lists it with a strong digest."
    return ResolvedEntry(query.entry, Finding.DIGEST_MISSING, candidates[:1], why)


def _missing(query: Query, evidence: IndexEvidence, compare: Compare) -> ResolvedEntry:
    """Return the outcome of an entry without a file, with the versions or names that are nearest."""
    if not query.archives:
        word = query.entry.distribution or query.entry.family or "the list"
        why = f"No configured archive is known for {word}. Name an archive, or add one to the configuration."
        return ResolvedEntry(query.entry, Finding.OUT_OF_REACH, why=why)
    places = ", ".join(each.name for each in query.archives)
    known = evidence.versions.get(query.name, {}) if query.name else {}
    if known:
        why = f"No index of {places} that was read lists this version. {near_versions(query.version, known, compare)}"
    elif evidence.names and query.name and query.name not in evidence.names:
        why = f"No index of {places} that was read lists a package of this name.{_suggestion(query.name, evidence)}"
    elif evidence.names:
        why = f"No index of {places} that was read lists this file."
    else:
        why = f"No index of {places} was read. Name a time (--at), and a suite (--suite) or a repository (--repo)."
    return ResolvedEntry(query.entry, Finding.NOT_FOUND, why=why)


def _suggestion(name: str, evidence: IndexEvidence) -> str:
    """Return the name that was probably meant. It takes half a second, so only some names get a suggestion."""
    if name not in evidence.suggestions and len(evidence.suggestions) < _MOST_SUGGESTIONS:
        evidence.suggestions[name] = similar(name, evidence.names)
    close = evidence.suggestions.get(name)
    return f" Did you mean {close}?" if close else ""


def choose_times(entries: Iterable[ResolvedEntry], named: Mapping[Instant, TimeSpec]) -> tuple[WantedAt, ...]:
    """Return the files to fetch, at the fewest times of each archive. `named`: the user's own times, by instant.

    An entry with files in several archives is fetched from the first of them.
    """
    within: defaultdict[Archive, list[list[Candidate]]] = defaultdict(list)
    outside: defaultdict[tuple[Archive, TimeSpec], list[WantedFile]] = defaultdict(list)
    for entry in entries:
        if entry.finding not in IS_FOUND or not entry.candidates:
            continue
        first = entry.candidates[0]
        if first.when is not None:
            outside[first.archive, first.when].append(_wanted(first, first.when))
        else:
            within[first.archive].append([each for each in entry.candidates if each.archive == first.archive])
    groups = [group for archive, lines in within.items() for group in _at_fewest(archive, lines, named)]
    lasting = [WantedAt(archive, when, _distinct(files)) for (archive, when), files in outside.items()]
    return (*groups, *lasting)


def _at_fewest(
    archive: Archive, lines: Sequence[Sequence[Candidate]], named: Mapping[Instant, TimeSpec]
) -> list[WantedAt]:
    points = fewest_points([[span for each in line for span in each.spans] for line in lines])
    files: defaultdict[Instant, list[WantedFile]] = defaultdict(list)
    for line in lines:
        point, candidate = next(
            (point, each) for point in reversed(points) for each in line if includes(each.spans, point)
        )
        files[point].append(_wanted(candidate, _time(point, named)))
    return [WantedAt(archive, _time(point, named), _distinct(files[point])) for point in points if files[point]]


def _time(instant: Instant, named: Mapping[Instant, TimeSpec]) -> TimeSpec:
    return named.get(instant) or TimeSpec(format_instant(instant), instant, Match.AT)


def _wanted(candidate: Candidate, when: TimeSpec) -> WantedFile:
    return WantedFile(candidate.archive, when, candidate.path, candidate.digest, candidate.size)


def _distinct(files: Iterable[WantedFile]) -> tuple[WantedFile, ...]:
    return tuple(dict.fromkeys(files))

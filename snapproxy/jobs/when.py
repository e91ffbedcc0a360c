"""Infer when a root, an image, a Dockerfile or a list was made: gather the evidence, compare lists, conclude.

`core.time_evidence` concludes. The archive's lists are compared if the packages of a root and its sources are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from snapproxy.core.address import AddressBook
from snapproxy.core.model import Archive, Instant
from snapproxy.core.time_evidence import EvidenceKind, TimeEvidence, TimeVerdict, infer
from snapproxy.core.time_spec import format_instant
from snapproxy.jobs.dockerfile_evidence import StageEvidence
from snapproxy.jobs.listing_probe import Entries, ListingProbe, OpenIndexes, SearchSpan
from snapproxy.jobs.root_evidence import RootEvidence
from snapproxy.jobs.root_sources import is_compared, parts_of

SEARCHED_SECONDS = 3 * 366 * 86400
"""Length of the searched time if no evidence says how old the root is at most."""

_LIMITS = frozenset({EvidenceKind.LOG, EvidenceKind.BUILD, EvidenceKind.INDEX})
_GUESSES = (EvidenceKind.PIN, EvidenceKind.COMMENT, EvidenceKind.STATED, EvidenceKind.FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One thing with its verdict: a root, an image, a stage, a list. `packages` counts the installed ones.

    `family` is the package manager, '' if unknown. `warnings` need attention, `notes` explain.
    """

    name: str
    kind: str
    verdict: TimeVerdict
    family: str = ""
    packages: int = 0
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ProbeAccess:
    """Access to the lists of archives. `archive` replaces the archives that the sources name."""

    open_indexes: OpenIndexes
    entries: Entries
    archive: Archive | None = None


async def when_made(
    found: RootEvidence, name: str, kind: str, book: AddressBook, access: ProbeAccess, now: Instant
) -> Subject:
    """Return the verdict on a root or an image, after comparing the lists of its archives."""
    evidence = list(found.evidence)
    parts = parts_of(found, book, access.archive)
    notes = list(found.notes)
    if parts and found.packages:
        probe = ListingProbe(found.packages, parts, access.open_indexes)
        pin = next((each for each in evidence if each.kind is EvidenceKind.PIN and each.at is not None), None)
        agreed = None if pin is None else await probe.agrees_with(pin)
        if agreed is not None:
            evidence.append(agreed)
        else:
            result = await probe.search(search_window(evidence, now), access.entries, now)
            notes += result.notes
            evidence += [result.evidence] if result.evidence is not None else []
    elif found.packages:
        notes.append(
            "No source of a known archive was found, so no lists were compared."
            if is_compared(found.family)
            else "The lists of its archives were not compared: this is supported for apt, pacman and apk."
        )
    verdict = infer(evidence, now)
    return Subject(
        name=name,
        kind=kind,
        verdict=verdict,
        family=found.family,
        packages=len(found.packages),
        warnings=warnings_of(verdict),
        notes=tuple(dict.fromkeys(notes)),
    )


def of_stages(stages: Sequence[StageEvidence], name: str, now: Instant) -> list[Subject]:
    """Return the verdict on every stage of a Dockerfile."""
    subjects = []
    for stage in stages:
        verdict = infer(stage.evidence, now)
        subjects.append(
            Subject(
                name=f"{name}, stage {stage.name} ({stage.base})",
                kind="stage",
                verdict=verdict,
                warnings=warnings_of(verdict),
                notes=stage.notes,
            )
        )
    return subjects


def of_list(evidence: Sequence[TimeEvidence], name: str, now: Instant) -> Subject:
    """Return the verdict on a list."""
    verdict = infer(evidence, now)
    return Subject(name=name, kind="list", verdict=verdict, warnings=warnings_of(verdict))


def search_window(evidence: Sequence[TimeEvidence], now: Instant) -> SearchSpan:
    """Return the time in which to compare snapshots: between build dates and logs, as far as they are known."""
    limits = [each for each in evidence if each.kind in _LIMITS]
    last = min((each.last for each in limits if each.last is not None), default=now)
    last = min(last, now)
    first = max((each.first for each in limits if each.first is not None), default=_default_first(evidence, last))
    if first >= last:  # the limits contradict each other
        first, last = min(first, last), now
    guesses = (each.at or each.last or each.first for kind in _GUESSES for each in evidence if each.kind is kind)
    start = next((each for each in guesses if each is not None and first <= each <= last), first)
    return SearchSpan(first, last, start)


def _default_first(evidence: Sequence[TimeEvidence], last: Instant) -> Instant:
    """Return the first instant of the search without a limit. A date of a file may only make it earlier."""
    dates = (each.first for each in evidence if each.kind is EvidenceKind.FILE)
    return min([last - SEARCHED_SECONDS, *(each for each in dates if each is not None)])


def warnings_of(verdict: TimeVerdict) -> tuple[str, ...]:
    """Return the sentences that a user should not miss."""
    found = [each.sentence for each in verdict.contradictions]
    if verdict.is_newer_than_pin:
        at = format_instant(verdict.at) if verdict.at is not None else "that time"
        found.append(
            "The base is newer than the pin, the commonest cause of unmet dependencies: packages of the pin need the "
            f"versions of their own time. Use a base that is not newer than the pin, or pin to {at} or later."
        )
    return tuple(found)

"""Infer the instant at which something was made from dated evidence: intervals in, a verdict out.

Each piece of evidence limits the instant of the archive whose packages were used. The strongest kind is the base of the
verdict; weaker kinds narrow it, or contradict it. A contradiction is never resolved silently: the verdict then spans
both, and its `at` is the newer end, because new packages are installable beside old ones more often than the reverse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from snapproxy.core.model import Instant
from snapproxy.core.time_spec import format_instant

CLOSE_SECONDS = 7 * 86400
"""Maximum length of an interval whose two ends come from an index and a log, for the confidence `good`."""


class EvidenceKind(StrEnum):
    """The kind of a piece of evidence, strongest first. The value is its name for users."""

    PIN = "pinned address"
    """An address with a time, from which the packages are installed."""
    LISTING = "archive listing"
    """The archive lists the installed packages in exactly this interval."""
    STATED = "stated date"
    """A date that the thing has for this purpose: in a tag, in a list."""
    COMMENT = "address in a comment"
    """An address with a time that was used once."""
    INDEX = "date of an index"
    """The archive's state is not older than the index that was downloaded from it."""
    LOG = "log"
    """The packages were installed by then."""
    BUILD = "build date"
    """A package that is installed was built then, so the archive had it later."""
    FILE = "file date"
    """A time of change of a file, which copying or a build tool may have set."""


class Confidence(StrEnum):
    """How sure a verdict is. The value is the word for users; `MEANINGS` has its definition."""

    EXACT = "exact"
    GOOD = "good"
    WEAK = "weak"
    UNKNOWN = "unknown"


MEANINGS = {
    Confidence.EXACT: "an address with a time states it, and no evidence contradicts it",
    Confidence.GOOD: "the archive's own lists, a stated date, or an index and a log a few days apart agree on it",
    Confidence.WEAK: "only build dates, logs or dates of files limit it, or evidence contradicts it",
    Confidence.UNKNOWN: "no evidence has a date",
}
"""The definition of each confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEvidence:
    """One piece of evidence: the instant is not before `first` and not after `last` (both included, None: no limit).

    `place` and `line` say where it was found (line 0: the whole file), `says` quotes it. `at` is the instant to use, if
    the evidence names one; `archive` is the archive that it concerns, '' for any.
    """

    kind: EvidenceKind
    first: Instant | None
    last: Instant | None
    place: str
    says: str
    line: int = 0
    at: Instant | None = None
    archive: str = ""

    @property
    def where(self) -> str:
        """The place and the line."""
        return f"{self.place}:{self.line}" if self.line else self.place


def not_before(kind: EvidenceKind, first: Instant, place: str, says: str, line: int = 0) -> TimeEvidence:
    """Return evidence that limits the instant from below."""
    return TimeEvidence(kind=kind, first=first, last=None, place=place, says=says, line=line)


def not_after(kind: EvidenceKind, last: Instant, place: str, says: str, line: int = 0) -> TimeEvidence:
    """Return evidence that limits the instant from above."""
    return TimeEvidence(kind=kind, first=None, last=last, place=place, says=says, line=line)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """TimeEvidence that excludes the interval of stronger evidence. `is_newer`: it is later than that interval."""

    evidence: TimeEvidence
    against: TimeEvidence
    is_newer: bool

    @property
    def sentence(self) -> str:
        """The contradiction as a sentence."""
        limit = self.evidence.first if self.is_newer else self.evidence.last
        other = self.against.last if self.is_newer else self.against.first
        word = "newer" if self.is_newer else "older"
        return (
            f"{self.evidence.where} ({self.evidence.kind}, {_shown(limit)}) is {word} than "
            f"{self.against.where} ({self.against.kind}, {_shown(other)})."
        )


@dataclass(frozen=True)
class TimeVerdict:
    """The inferred interval, both ends included, None where nothing limits it; and the instant `at` to use.

    `evidence` is sorted: strongest first.
    """

    earliest: Instant | None
    latest: Instant | None
    at: Instant | None
    confidence: Confidence
    evidence: tuple[TimeEvidence, ...]
    contradictions: tuple[Contradiction, ...] = ()

    @cached_property
    def is_newer_than_pin(self) -> bool:
        """Whether something is newer than a pinned address: packages to be installed may be older than their base."""
        return any(each.is_newer and each.against.kind is EvidenceKind.PIN for each in self.contradictions)


_RANK = {kind: rank for rank, kind in enumerate(EvidenceKind)}
_NAMES_AN_INSTANT = frozenset({EvidenceKind.LISTING, EvidenceKind.STATED, EvidenceKind.COMMENT})


def infer(evidence: Iterable[TimeEvidence], now: Instant) -> TimeVerdict:
    """Return the verdict on all evidence. No instant is after `now`."""
    known = tuple(sorted(evidence, key=_order))
    dated = _without_left_bases([each for each in known if _has_date(each, now)])
    if not dated:
        return TimeVerdict(None, None, None, Confidence.UNKNOWN, known)
    base = _base(dated)
    first, last = base.first, base.last
    contradictions: list[Contradiction] = []
    # The evidence that set each end, for the sentence of a contradiction.
    lower, upper = base, base
    for each in dated:
        if each.first is not None and last is not None and each.first > last:
            contradictions += _against(each, upper, is_newer=True)
        elif each.last is not None and first is not None and each.last < first:
            contradictions += _against(each, lower, is_newer=False)
        else:
            if each.first is not None and (first is None or (each.first > first and _narrows(each))):
                first, lower = each.first, each
            if each.last is not None and (last is None or (each.last < last and _narrows(each))):
                last, upper = each.last, each
    return _verdict(known, base, (first, last), contradictions, now)


def _has_date(evidence: TimeEvidence, now: Instant) -> bool:
    """Whether evidence limits the instant. A date after `now` is an error of a clock, except in an address."""
    if evidence.first is not None and evidence.first > now and evidence.kind is not EvidenceKind.PIN:
        return False
    return evidence.first is not None or evidence.last is not None


def _without_left_bases(dated: Sequence[TimeEvidence]) -> list[TimeEvidence]:
    """Return the evidence, where an address in a comment only limits the past if other evidence is newer.

    The thing was changed since it was made from that address, so the two do not contradict each other.
    """
    others = (each.first for each in dated if each.kind not in {EvidenceKind.COMMENT, EvidenceKind.FILE})
    newest = max((each for each in others if each is not None), default=None)
    return [
        replace(each, last=None)
        if each.kind is EvidenceKind.COMMENT and newest is not None and each.last is not None and each.last < newest
        else each
        for each in dated
    ]


def _narrows(evidence: TimeEvidence) -> bool:
    """Return whether evidence may narrow a limit. A date of a file only replaces a missing one."""
    return evidence.kind is not EvidenceKind.FILE


def _order(evidence: TimeEvidence) -> tuple[object, ...]:
    """Sort by strength, then the newest first; the rest makes the order independent of that of the input."""
    newest = evidence.first if evidence.first is not None else evidence.last
    ends = (evidence.first or 0, evidence.last is None, evidence.last or 0, evidence.at or 0)
    return _RANK[evidence.kind], -(newest or 0), evidence.place, evidence.line, *ends, evidence.archive, evidence.says


def _base(dated: Sequence[TimeEvidence]) -> TimeEvidence:
    """Return the evidence to start from: the strongest with both ends (no date of a file), otherwise the strongest.

    Of several pins it is the newest: archives have snapshots of their own, shortly before one common time.
    """
    return next(
        (each for each in dated if each.first is not None and each.last is not None and _narrows(each)), dated[0]
    )


def _against(evidence: TimeEvidence, other: TimeEvidence, *, is_newer: bool) -> list[Contradiction]:
    """Return the contradiction, if it is one.

    Pins of different archives may differ, because each has its own snapshots, and a file's date proves nothing.
    """
    if evidence.kind is EvidenceKind.FILE:
        return []
    # An address that was used before, or the date of a base: a base may be older than the pin of later packages.
    if not is_newer and evidence.kind in {EvidenceKind.COMMENT, EvidenceKind.STATED}:
        return []
    is_pair = evidence.kind is other.kind is EvidenceKind.PIN or evidence.kind is other.kind is EvidenceKind.COMMENT
    if is_pair and evidence.archive != other.archive:
        return []
    return [Contradiction(evidence, other, is_newer)]


def _verdict(
    known: tuple[TimeEvidence, ...],
    base: TimeEvidence,
    span: tuple[Instant | None, Instant | None],
    contradictions: list[Contradiction],
    now: Instant,
) -> TimeVerdict:
    first, last = span
    at = base.at if base.at is not None and _is_within(base.at, first, last) else None
    if at is None:
        at = last if last is not None else first
    for each in contradictions:
        if each.is_newer and each.evidence.first is not None:
            at = last = max(each.evidence.first, last or 0)
        elif not each.is_newer and each.evidence.last is not None:
            first = min(each.evidence.last, first if first is not None else each.evidence.last)
    if base.kind is not EvidenceKind.PIN:  # a pin may be in the future; the packages of today cannot
        last = None if last is None else min(last, now)
        at = None if at is None else min(at, now)
    confidence = Confidence.WEAK if contradictions else _confidence(base, known, first, last)
    return TimeVerdict(first, last, at, confidence, known, tuple(contradictions))


def _confidence(
    base: TimeEvidence, known: Sequence[TimeEvidence], first: Instant | None, last: Instant | None
) -> Confidence:
    if base.kind is EvidenceKind.PIN:
        return Confidence.EXACT
    if base.kind in _NAMES_AN_INSTANT and base.first is not None and base.last is not None:
        return Confidence.GOOD
    kinds = {each.kind for each in known}
    is_close = first is not None and last is not None and last - first <= CLOSE_SECONDS
    return Confidence.GOOD if is_close and {EvidenceKind.INDEX, EvidenceKind.LOG} <= kinds else Confidence.WEAK


def _is_within(instant: Instant, first: Instant | None, last: Instant | None) -> bool:
    return (first is None or first <= instant) and (last is None or instant <= last)


def _shown(instant: Instant | None) -> str:
    return "no date" if instant is None else format_instant(instant)

"""Inference: intervals in, a verdict out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.time_evidence import MEANINGS, Confidence, EvidenceKind, TimeEvidence, infer, not_after, not_before

PIN, LISTING, STATED, COMMENT = EvidenceKind.PIN, EvidenceKind.LISTING, EvidenceKind.STATED, EvidenceKind.COMMENT
INDEX, LOG, BUILD, FILE = EvidenceKind.INDEX, EvidenceKind.LOG, EvidenceKind.BUILD, EvidenceKind.FILE
DAY = 86400
T = 1_717_200_000
NOW = T + 1000 * DAY


def at(kind: EvidenceKind, first: int, last: int | None = None, archive: str = "") -> TimeEvidence:
    last = first if last is None else last
    return TimeEvidence(kind=kind, first=first, last=last, place=str(kind), says="x", at=last, archive=archive)


def after(kind: EvidenceKind, first: int) -> TimeEvidence:
    return not_before(kind, first, str(kind), "x")


def before(kind: EvidenceKind, last: int) -> TimeEvidence:
    return not_after(kind, last, str(kind), "x")


def test_without_dates_it_cannot_tell() -> None:
    for evidence in ([], [TimeEvidence(kind=LOG, first=None, last=None, place="p", says="x")]):
        found = infer(evidence, NOW)
        assert (found.earliest, found.latest, found.at, found.confidence) == (None, None, None, Confidence.UNKNOWN)


def test_a_pinned_address_is_exact() -> None:
    found = infer([at(PIN, T), after(BUILD, T - DAY), before(LOG, T + DAY), before(FILE, T - DAY)], NOW)
    assert (found.earliest, found.latest, found.at, found.confidence) == (T, T, T, Confidence.EXACT)
    assert not found.contradictions


@pytest.mark.parametrize("kind", [LISTING, INDEX, BUILD, STATED])
def test_anything_newer_than_the_pin_is_reported(kind: EvidenceKind) -> None:
    found = infer([at(PIN, T), after(kind, T + DAY)], NOW)
    assert found.is_newer_than_pin
    assert (found.earliest, found.at, found.confidence) == (T, T + DAY, Confidence.WEAK)
    assert "is newer than" in found.contradictions[0].sentence


@pytest.mark.parametrize("kind", [LISTING, LOG])
def test_packages_older_than_the_pin_are_reported(kind: EvidenceKind) -> None:
    found = infer([at(PIN, T), before(kind, T - DAY)], NOW)
    assert not found.is_newer_than_pin
    assert (found.earliest, found.latest, found.at) == (T - DAY, T, T)
    assert found.confidence is Confidence.WEAK


@pytest.mark.parametrize("kind", [COMMENT, STATED, FILE])
def test_an_older_base_or_file_does_not_contradict_a_pin(kind: EvidenceKind) -> None:
    found = infer([at(PIN, T), at(kind, T - DAY) if kind is not FILE else before(FILE, T - DAY)], NOW)
    assert (found.at, found.confidence, found.contradictions) == (T, Confidence.EXACT, ())


def test_the_date_of_a_file_never_contradicts() -> None:
    assert not infer([at(PIN, T), after(FILE, T + DAY)], NOW).contradictions


def test_pins_of_two_archives_may_differ_and_pins_of_one_may_not() -> None:
    found = infer([at(PIN, T, archive="a"), at(PIN, T - DAY, archive="b")], NOW)
    assert (found.at, found.confidence) == (T, Confidence.EXACT)
    found = infer([at(PIN, T, archive="a"), at(PIN, T - DAY, archive="a")], NOW)
    assert (found.earliest, found.latest, found.at, found.confidence) == (T - DAY, T, T, Confidence.WEAK)


def test_a_comment_is_good_until_something_is_newer() -> None:
    assert infer([at(COMMENT, T)], NOW).confidence is Confidence.GOOD
    found = infer([at(COMMENT, T), after(BUILD, T + DAY), before(LOG, T + 9 * DAY)], NOW)
    assert (found.earliest, found.latest, found.confidence) == (T + DAY, T + 9 * DAY, Confidence.WEAK)
    assert not found.contradictions


def test_a_listing_is_good_and_names_the_snapshot() -> None:
    listing = TimeEvidence(kind=LISTING, first=T, last=T + 2 * DAY, place="a", says="x", at=T + DAY)
    found = infer([listing, after(BUILD, T - DAY), before(LOG, T + 9 * DAY)], NOW)
    assert (found.earliest, found.latest, found.at, found.confidence) == (T, T + 2 * DAY, T + DAY, Confidence.GOOD)


def test_an_index_and_a_log_some_days_apart_are_good_and_far_apart_weak() -> None:
    assert infer([after(INDEX, T), before(LOG, T + 7 * DAY)], NOW).confidence is Confidence.GOOD
    assert infer([after(INDEX, T), before(LOG, T + 8 * DAY)], NOW).confidence is Confidence.WEAK
    assert infer([after(BUILD, T), before(LOG, T + DAY)], NOW).confidence is Confidence.WEAK


def test_a_file_date_only_replaces_a_missing_limit() -> None:
    found = infer([after(BUILD, T), before(LOG, T + 9 * DAY), before(FILE, T + 2 * DAY)], NOW)
    assert found.latest == T + 9 * DAY
    assert infer([after(BUILD, T), before(FILE, T + 2 * DAY)], NOW).latest == T + 2 * DAY


def test_a_file_date_with_two_ends_is_not_preferred_to_a_log() -> None:
    found = infer([before(LOG, T), at(FILE, T + DAY, T + 2 * DAY)], NOW)
    assert (found.earliest, found.latest) == (None, T)


def test_nothing_but_a_pin_is_in_the_future() -> None:
    found = infer([before(LOG, NOW + DAY)], NOW)
    assert (found.latest, found.at) == (NOW, NOW)
    assert infer([at(PIN, NOW + DAY)], NOW).at == NOW + DAY


def test_a_date_in_the_future_is_an_error_of_a_clock() -> None:
    verdict = infer([at(EvidenceKind.PIN, 100), after(EvidenceKind.BUILD, NOW + 1)], NOW)
    assert (verdict.at, verdict.contradictions) == (100, ())


def test_every_confidence_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Confidence)


instants = st.integers(T - 100 * DAY, T + 100 * DAY)


@st.composite
def some_evidence(draw: st.DrawFn) -> TimeEvidence:
    one, other = sorted((draw(instants), draw(instants)))
    first, last = draw(st.sampled_from([(one, other), (one, None), (None, other), (one, one)]))
    kind = draw(st.sampled_from(list(EvidenceKind)))
    return TimeEvidence(
        kind=kind, first=first, last=last, place="p", says="x", archive=draw(st.sampled_from(["", "a"]))
    )


@given(st.lists(some_evidence(), max_size=8), st.randoms())
def test_the_order_of_evidence_does_not_matter(evidence: list[TimeEvidence], random) -> None:
    shuffled = list(evidence)
    random.shuffle(shuffled)
    one, other = infer(evidence, NOW), infer(shuffled, NOW)
    assert (one.earliest, one.latest, one.at, one.confidence) == (
        other.earliest,
        other.latest,
        other.at,
        other.confidence,
    )


@given(st.lists(some_evidence(), min_size=1, max_size=8))
def test_the_interval_is_one_and_contains_the_instant_to_use(evidence: list[TimeEvidence]) -> None:
    found = infer(evidence, NOW)
    assert found.at is not None
    if found.earliest is not None:
        assert found.earliest <= found.at
    if found.latest is not None:
        assert found.at <= found.latest
    if found.confidence in {Confidence.EXACT, Confidence.GOOD}:
        assert not found.contradictions


@given(st.lists(some_evidence(), min_size=1, max_size=8), instants)
def test_evidence_that_agrees_on_an_instant_keeps_it(evidence: list[TimeEvidence], instant: int) -> None:
    agreeing = [
        each
        for each in evidence
        if (each.first is None or each.first <= instant) and (each.last is None or instant <= each.last)
        if each.kind is not FILE
    ]
    found = infer(agreeing, NOW)
    assert not found.contradictions
    assert found.earliest is None or found.earliest <= instant
    assert found.latest is None or instant <= found.latest

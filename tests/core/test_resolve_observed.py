"""A time resolved from observations of a root: exact within a span, noted between two, refused beyond them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.model import Archive, Instant, Match, ObservedRoot, Refusal, Resolved, Span, TimeSpec
from snapproxy.core.resolve_observed import resolve_bracketed, resolve_observed
from snapproxy.core.time_spec import format_instant, parse_time

HOUR = 3600
T0 = 1_717_200_000
NOW = T0 + 1000 * HOUR
ROW = Archive("a", "apt", "captured", max_gap=48 * HOUR)
FIRST = Span(T0, T0 + 10 * HOUR, format_instant(T0))
SECOND = Span(T0 + 11 * HOUR, T0 + 20 * HOUR, format_instant(T0 + 11 * HOUR))
LATE = Span(T0 + 100 * HOUR, T0 + 101 * HOUR, format_instant(T0 + 100 * HOUR))


def ask(
    when: str, before: Span | None = FIRST, after: Span | None = None, row: Archive = ROW, passed: Instant | None = None
) -> Resolved | Refusal:
    return resolve_observed(row, parse_time(when), ObservedRoot("root", before, after, passed), NOW)


def refused(answer: Resolved | Refusal | None, status: int) -> str:
    assert isinstance(answer, Refusal), answer
    assert answer.status == status
    assert len(answer.reason) <= 80
    return answer.reason


class TestObserved:
    @pytest.mark.parametrize("at", [T0, T0 + 1, T0 + 10 * HOUR])
    def test_within_a_span_the_answer_is_exact(self, at: Instant) -> None:
        answer = ask(format_instant(at))
        assert answer == Resolved(FIRST.snapshot, T0, (T0, T0 + 10 * HOUR), reported=format_instant(at))

    def test_an_answer_within_a_span_is_named_by_the_request_however_wide_the_span_is(self) -> None:
        at = format_instant(T0 + HOUR)
        wider = Span(T0 - 5 * HOUR, T0 + 90 * HOUR, format_instant(T0 - 5 * HOUR))
        names = [answer.name for span in (FIRST, wider) if isinstance(answer := ask(at, span), Resolved)]
        assert names == [at, at]

    def test_an_answer_beyond_a_span_is_named_by_its_last_observation_however_early_the_first_was(self) -> None:
        at = format_instant(FIRST.last + 5)
        wider = replace(FIRST, first=T0 - 5 * HOUR, snapshot=format_instant(T0 - 5 * HOUR))
        names = [answer.name for span in (FIRST, wider) if isinstance(answer := ask(at, span, SECOND), Resolved)]
        assert names == [format_instant(FIRST.last)] * 2

    def test_what_came_back_is_answered_from_where_it_was_kept_first(self) -> None:
        again = Span(T0 + 30 * HOUR, T0 + 31 * HOUR, FIRST.snapshot)
        assert ask(format_instant(T0 + 30 * HOUR), again) == Resolved(
            FIRST.snapshot, again.first, (again.first, again.last), reported=format_instant(again.first)
        )

    def test_between_two_observations_the_last_one_answers_and_says_so(self) -> None:
        answer = ask(format_instant(T0 + 10 * HOUR + 5), FIRST, SECOND)
        assert isinstance(answer, Resolved)
        assert (answer.snapshot, answer.valid) == (FIRST.snapshot, (T0, FIRST.last))
        last, first = format_instant(FIRST.last), format_instant(SECOND.first)
        assert answer.note == f"sure up to {last}; from then until {first} it may have changed"

    def test_a_gap_is_refused_and_both_its_ends_are_named(self) -> None:
        reason = refused(ask(format_instant(T0 + 50 * HOUR), SECOND, LATE), 410)
        assert reason.endswith(f"use {format_instant(SECOND.last)} or {format_instant(LATE.first)}")

    def test_beyond_the_last_observation_is_refused_and_named(self) -> None:
        assert refused(ask(format_instant(FIRST.last + 1)), 425).endswith(f"use {format_instant(FIRST.last)}")

    def test_before_the_first_is_gone(self) -> None:
        assert refused(ask(format_instant(T0 - 1), None, FIRST), 410).endswith(f"use {format_instant(T0)}")

    def test_what_was_never_observed_says_how_to_begin(self) -> None:
        answer = ask(format_instant(T0), None)
        refused(answer, 425)
        assert isinstance(answer, Refusal)
        assert "observe" in answer.hint

    def test_the_future_is_refused(self) -> None:
        assert refused(ask(format_instant(NOW + 1)), 425).endswith(f"use {format_instant(FIRST.last)}")
        unobserved = ask(format_instant(NOW + 1), None)
        assert isinstance(unobserved, Refusal)
        assert "in the past" in unobserved.hint

    def test_exact_wants_an_instant_that_an_observation_is_called_by(self) -> None:
        assert isinstance(ask(f"{format_instant(T0)}.exact"), Resolved)
        refused(ask(f"{format_instant(T0 + 1)}.exact"), 410)

    def test_nearest_takes_the_last_one_however_old(self) -> None:
        answer = ask(f"{format_instant(T0 + 900 * HOUR)}.nearest")
        assert isinstance(answer, Resolved)
        assert answer.snapshot == FIRST.snapshot
        assert "last observation at or before" in answer.note
        refused(ask(f"{format_instant(T0 - 1)}.nearest", None, FIRST), 410)

    def test_latest_is_the_last_one(self) -> None:
        answer = ask("latest")
        assert isinstance(answer, Resolved)
        assert answer.snapshot == FIRST.snapshot

    def test_an_ended_archive_stays_as_it_was_seen_last(self) -> None:
        answer = ask(format_instant(NOW - 1), row=replace(ROW, frozen=True))
        assert isinstance(answer, Resolved)
        assert answer.valid == (T0, NOW - 1)

    def test_a_bad_one_is_refused_by_its_id_and_passed_over_with_a_note(self) -> None:
        bad = replace(ROW, bad=(SECOND.first,))
        refused(ask(format_instant(SECOND.first), FIRST, None, bad, SECOND.first), 410)
        follower = replace(LATE, first=T0 + 21 * HOUR)
        answer = ask(format_instant(SECOND.first + 5), FIRST, follower, bad, SECOND.first)
        assert isinstance(answer, Resolved)
        assert answer.snapshot == FIRST.snapshot
        assert f"{format_instant(SECOND.first)} is marked bad and was skipped" in answer.note

    @given(st.sampled_from(Match), st.integers(0, NOW * 2), st.booleans(), st.booleans())
    def test_it_is_total_and_never_answers_with_a_later_state(
        self, match: Match, instant: int, has_before: bool, has_after: bool
    ) -> None:
        when = TimeSpec("t", None if match in {Match.LIVE, Match.LATEST} else instant, match)
        asked = NOW if when.instant is None else instant
        before = Span(asked - 5, asked + 3, format_instant(1)) if has_before and asked > 5 else None
        after = Span(asked + 9, asked + 10, format_instant(2)) if has_after else None
        answer = resolve_observed(ROW, when, ObservedRoot("root", before, after), NOW)
        if isinstance(answer, Resolved):
            assert answer.instant <= asked


class TestBracketed:
    def test_a_root_that_stayed_the_same_makes_all_between_exact(self) -> None:
        for instant in (T0, T0 + 5, FIRST.last):
            answer = resolve_bracketed(parse_time(format_instant(instant)), ObservedRoot("root", FIRST, SECOND), NOW)
            assert answer == Resolved(FIRST.snapshot, T0, (T0, FIRST.last), is_for_one_root=True)

    @pytest.mark.parametrize(
        "when",
        [format_instant(FIRST.last + 1), f"{format_instant(T0)}.exact", "latest", "live", format_instant(NOW + 1)],
    )
    def test_anything_less_proves_nothing(self, when: str) -> None:
        assert resolve_bracketed(parse_time(when), ObservedRoot("root", FIRST, SECOND), NOW) is None
        assert resolve_bracketed(parse_time(when), ObservedRoot("root", None, SECOND), NOW) is None

"""Honest time if every second is a snapshot, and between two observations of one root."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.model import LIVE, Archive, Match, Refusal, Resolved, TimeSpec
from snapproxy.core.resolve import resolve_any
from snapproxy.core.time_spec import parse_time
from tests.core.world import HOUR, NOW, ROW, at

Seen = tuple[int, str] | None


class TestAnyInstant:
    ROW = replace(ROW, history="any-instant", settle_after=HOUR, first=at("20230301"))

    def resolve(self, when: str, row: Archive | None = None) -> Resolved | Refusal:
        return resolve_any(row or self.ROW, parse_time(when), NOW)

    @pytest.mark.parametrize(
        "when", ["20240601T123456Z", "20240601T123456Z.exact", "20240601T123456Z.nearest", "1717245296"]
    )
    def test_every_settled_second_is_its_own_snapshot(self, when: str) -> None:
        assert self.resolve(when) == Resolved("20240601T123456Z", at("20240601T123456Z"))

    def test_the_first_and_the_last_settled_second_are_in(self) -> None:
        assert self.resolve("20230301").snapshot == "20230301T000000Z"
        assert self.resolve("20240720T110000Z").snapshot == "20240720T110000Z"

    def test_before_the_record_is_gone(self) -> None:
        answer = self.resolve("20230228T235959Z")
        assert (answer.status, answer.reason) == (
            410,
            "that is before the archive's record begins: use 20230301T000000Z",
        )

    def test_the_last_hour_is_not_settled(self) -> None:
        answer = self.resolve("20240720T110001Z")
        assert (answer.status, answer.reason) == (425, "that time is not settled yet: use 20240720T110000Z")
        assert "it becomes settled 60 minutes after that instant. " in answer.why

    def test_the_future_is_too_early(self) -> None:
        answer = self.resolve("20240720T120001Z")
        assert (answer.status, answer.reason) == (425, "that time is in the future: use 20240720T110000Z")

    def test_latest_and_unsettled_nearest_keep_to_the_hour(self) -> None:
        now = NOW + 1234
        assert resolve_any(self.ROW, parse_time("latest"), now) == Resolved("20240720T110000Z", at("20240720T110000Z"))
        answer = resolve_any(self.ROW, parse_time(f"{now}.nearest"), now)
        assert answer.snapshot == "20240720T110000Z"
        assert "newest settled" in answer.note

    def test_an_instant_marked_bad_is_refused_and_fallen_past(self) -> None:
        row = replace(self.ROW, bad=(at("20240601"), at("20240601") - 1))
        answer = self.resolve("20240601", row)
        assert (answer.status, answer.reason) == (410, "that instant is marked bad: use 20240531T235958Z")
        assert "was skipped" in self.resolve("20240601.nearest", row).note

    def test_live_is_live(self) -> None:
        assert self.resolve("live") == Resolved(LIVE, NOW)

    @given(st.sampled_from(Match), st.integers(0, NOW * 2), st.integers(at("20230101"), NOW), st.booleans())
    def test_it_is_total(self, match: Match, instant: int, now: int, has_first: bool) -> None:
        when = TimeSpec("t", None if match in {Match.LIVE, Match.LATEST} else instant, match)
        answer = resolve_any(self.ROW if has_first else replace(self.ROW, first=None), when, now)
        if isinstance(answer, Resolved):
            assert answer.instant <= (now if match is Match.LIVE else now - HOUR)

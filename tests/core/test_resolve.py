"""Honest time for listed snapshots: how a time is resolved or refused, and the texts of the refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.core.model import LIVE, Refusal, Resolved
from snapproxy.core.resolve import refuse_moving
from snapproxy.core.time_spec import format_instant
from tests.core.world import DAY, HOUR, MAY, NOW, ROW, World, at, steady


class TestHeld:
    def test_the_newest_snapshot_at_or_before_answers_until_the_next_one(self) -> None:
        answer = steady().resolve("20240601T070000Z")
        expected = at("20240601T060000Z")
        assert answer == Resolved("20240601T060000Z", expected, valid=(expected, expected + 6 * HOUR - 1))

    def test_an_instant_that_is_a_snapshot_needs_no_later_one(self) -> None:
        world = steady()
        assert world.resolve("20240601T060000Z") == Resolved("20240601T060000Z", at("20240601T060000Z"))
        assert len(world.asked) == 1

    def test_the_first_of_a_month_is_answered_from_the_month_before(self) -> None:
        world = World([*MAY, at("20240601T020000Z")], NOW)
        answer = world.resolve("20240601")
        assert (answer.snapshot, answer.valid) == ("20240531T180000Z", (MAY[-1], at("20240601T015959Z")))
        assert [(format_instant(need.start), format_instant(need.end)) for need in world.asked] == [
            ("20240601T000000Z", "20240701T000000Z"),
            ("20240501T000000Z", "20240601T000000Z"),
        ]

    def test_the_last_hour_of_a_month_is_answered_with_one_question(self) -> None:
        """What follows a window is told with it, so the next month need not be asked."""
        world = World([*MAY, at("20240601T020000Z")], NOW)
        assert world.resolve("20240531T230000Z").snapshot == "20240531T180000Z"
        assert len(world.asked) == 1

    def test_the_future_is_too_early(self) -> None:
        answer = steady().resolve("20240720T120001Z")
        assert answer == Refusal(
            425,
            "that time is in the future: use 20240720T060000Z",
            "The clock of this machine shows 20240720T120000Z.",
            "Request 20240720T060000Z.",
        )

    def test_later_than_the_newest_snapshot_is_too_early_for_nothing_proves_what_was_held(self) -> None:
        answer = World(MAY, NOW).resolve("20240601")
        assert answer.status == 425
        assert answer.reason == "that time is later than the newest snapshot: use 20240531T180000Z"
        assert "nothing proves the state of the archive after it yet" in answer.why
        assert ".nearest" in answer.why
        assert answer.hint == "Request 20240531T180000Z."

    def test_a_snapshot_without_a_later_one_settles_with_age(self) -> None:
        young = World(MAY, MAY[-1] + ROW.settle_after - 1)
        answer = young.resolve(format_instant(MAY[-1]))
        assert answer.status == 425
        assert answer.reason == "that snapshot is not settled yet: use 20240531T120000Z"
        assert answer.why == "A snapshot is settled once a later one exists, or 24 hours after it was taken."
        old = World(MAY, MAY[-1] + ROW.settle_after)
        assert old.resolve(format_instant(MAY[-1])) == Resolved("20240531T180000Z", MAY[-1])

    def test_a_snapshot_with_a_later_one_is_settled_however_young(self) -> None:
        world = World(MAY, MAY[-1] + 1)
        assert world.resolve(format_instant(MAY[-2])).snapshot == format_instant(MAY[-2])
        assert world.resolve(format_instant(MAY[-2] + 5)).snapshot == format_instant(MAY[-2])

    def test_before_the_first_snapshot_is_gone(self) -> None:
        answer = steady().resolve("20050101")
        assert answer == Refusal(
            410,
            "that is before the archive's first snapshot: use 20050312T060000Z",
            "",
            "Request 20050312T060000Z.",
        )
        assert steady().resolve("19990101").reason == answer.reason

    def test_an_archive_that_has_recorded_nothing_has_nothing_to_offer(self) -> None:
        for when in ("20240601", "latest", "20240601.nearest", "20100101"):
            answer = World([], NOW).resolve(when)
            assert (answer.status, answer.reason) == (425, "the archive has no settled snapshot yet")

    def test_a_gap_longer_than_the_row_allows_is_gone_and_names_both_sides(self) -> None:
        answer = steady(skip=lambda each: at("20240602") <= each < at("20240605")).resolve("20240603")
        assert answer == Refusal(
            410,
            "that time is in a gap of the archive: use 20240601T180000Z or 20240605T000000Z",
            "Its state at that time is unknown: the surrounding snapshots are 3 days apart, and max_gap is 2 days. "
            "Append .nearest to select the newest settled snapshot before it.",
            "Request 20240601T180000Z or 20240605T000000Z.",
        )

    def test_a_gap_as_long_as_the_row_allows_is_answered(self) -> None:
        world = World([at("20240601"), at("20240603"), at("20240605T000001Z")], NOW)
        assert world.resolve("20240602").snapshot == "20240601T000000Z"
        assert world.resolve("20240604").status == 410
        assert (
            World(world.snapshots, NOW, replace(ROW, max_gap=3 * DAY)).resolve("20240604").snapshot
            == "20240603T000000Z"
        )

    @pytest.mark.parametrize("suffix", ["", ".exact"])
    def test_an_equal_id_inside_a_gap_is_still_fine(self, suffix: str) -> None:
        world = World([at("20240101"), at("20240601"), at("20240610")], NOW)
        assert world.resolve("20240601" + suffix).snapshot == "20240601T000000Z"

    def test_a_mirror_that_froze_is_never_answered_with_its_last_day(self) -> None:
        """snapshot-cloudflare stood still at 20240531T083821Z, and every image built afterwards got that day."""
        frozen_mirror = World([*MAY[:-2], at("20240531T083821Z")], NOW)
        for when in ("20240531T090000Z", "20240601", "20240720"):
            answer = frozen_mirror.resolve(when)
            assert (answer.status, "20240531T083821Z" in answer.reason) == (425, True)

    def test_an_ended_archives_last_snapshot_answers_for_every_later_instant(self) -> None:
        row = replace(ROW, frozen=True)
        answer = World(MAY, NOW, row).resolve("20240715")
        assert answer == Resolved("20240531T180000Z", MAY[-1], valid=(MAY[-1], NOW))
        assert World(MAY, NOW, row).resolve("20240720T120001Z").status == 425
        assert World(MAY, NOW, row).resolve("20240410").status == 410


class TestSuffixes:
    def test_exact_takes_only_a_snapshot_of_that_very_instant(self) -> None:
        assert steady().resolve("20240601T060000Z.exact").snapshot == "20240601T060000Z"
        answer = steady().resolve("20240601T060001Z.exact")
        assert (answer.status, answer.reason) == (
            410,
            "no snapshot has exactly that instant: use 20240601T060000Z or 20240601T120000Z",
        )

    def test_nearest_takes_the_newest_settled_one_however_old_and_says_so(self) -> None:
        answer = World(MAY, NOW).resolve("20240715.nearest")
        assert answer.snapshot == "20240531T180000Z"
        assert answer.note == "20240531T180000Z is the newest settled snapshot at or before that time"
        assert steady().resolve("20240601T060000Z.nearest").note == ""

    def test_nearest_never_takes_an_unsettled_one(self) -> None:
        """SOURCE_DATE_EPOCH of a commit made an hour ago."""
        world = World(MAY, MAY[-1] + HOUR)
        assert world.resolve(f"{MAY[-1] + 1}.nearest").snapshot == format_instant(MAY[-2])

    def test_nearest_to_the_future_or_before_the_first_is_refused_as_any_time_is(self) -> None:
        assert steady().resolve("20240721.nearest").status == 425
        assert steady().resolve("20050101.nearest").status == 410

    def test_latest_is_the_newest_settled_one(self) -> None:
        assert World(MAY, MAY[-1] + HOUR).resolve("latest") == Resolved(format_instant(MAY[-2]), MAY[-2])
        assert World(MAY, NOW).resolve("latest") == Resolved(format_instant(MAY[-1]), MAY[-1])

    def test_latest_is_refused_where_no_capture_holds_it_and_names_its_id(self) -> None:
        refusal = refuse_moving(Resolved(format_instant(MAY[-1]), MAY[-1]))
        assert refusal is not None
        assert (refusal.status, refusal.reason) == (425, "latest is not a fixed time: use 20240531T180000Z")

    def test_live_asks_nothing(self) -> None:
        world = steady()
        assert world.resolve("live") == Resolved(LIVE, NOW)
        assert not world.asked


class TestBad:
    ROW = replace(ROW, bad=(at("20240601T060000Z"),))

    @pytest.mark.parametrize("suffix", ["", ".exact"])
    def test_a_snapshot_marked_bad_is_refused_by_its_id(self, suffix: str) -> None:
        answer = steady(row=self.ROW).resolve("20240601T060000Z" + suffix)
        assert answer == Refusal(
            410,
            "that snapshot is marked bad: use 20240601T000000Z or 20240601T120000Z",
            "The configuration marks it bad (the archive's `bad`); locks that name it can still be replayed.",
            "Request 20240601T000000Z or 20240601T120000Z.",
        )

    def test_only_settled_neighbours_of_a_bad_one_are_named(self) -> None:
        row = replace(ROW, bad=(MAY[-1],))
        answer = World(MAY, MAY[-1], row).resolve(format_instant(MAY[-1]))
        assert isinstance(answer, Refusal)
        assert answer.reason == f"that snapshot is marked bad: use {format_instant(MAY[-3])}"

    @pytest.mark.parametrize("suffix", ["", ".nearest"])
    def test_a_time_that_falls_back_past_a_bad_one_is_told(self, suffix: str) -> None:
        answer = steady(row=self.ROW).resolve("20240601T070000Z" + suffix)
        assert answer.snapshot == "20240601T000000Z"
        assert answer.note.startswith("20240601T060000Z is marked bad and was skipped")

    def test_times_beside_it_are_told_nothing(self) -> None:
        assert steady(row=self.ROW).resolve("20240601T050000Z").note == ""
        assert steady(row=self.ROW).resolve("20240601T130000Z").note == ""

"""What the views show: traffic, calendars, captures, packages, client configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snapproxy.capture.forms import FORMS
from snapproxy.cli import main
from snapproxy.pages import packages as packages_module
from snapproxy.pages.plots import BARS, DAY, HEIGHT, by_hour, day_plot
from snapproxy.pages.service import TrafficSample, TrafficTotals
from snapproxy.pages.view import duration, number, share, size
from snapproxy_storage import Name
from tests.fakes.page_site import DIGESTS, HOSTILE, NOW, STORED, MadeUpSite


async def values(made_up: MadeUpSite, path: str, **query: str) -> dict[str, Any]:
    return dict(json.loads((await made_up.get(path, "application/json", **query)).body))


class TestNow:
    async def test_the_figures_are_those_of_the_counters(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/")
        assert found["shown"]["figures"]["hit_rate"]["value"] == "95.1%"
        assert found["traffic"]["saved"] == 842 << 30
        assert [each["readers"] for each in found["transfers"]] == [12, 1, 3]
        first = found["shown"]["tables"]["upstreams"]["rows"][0]
        assert first[0]["text"] == "snapshot.debian.org"
        assert first[-1] == "cooling down, 6 min 58 s left (429)"

    async def test_a_service_without_traffic_has_no_shares(
        self, made_up: MadeUpSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = made_up.service
        monkeypatch.setattr(service, "totals", TrafficTotals)
        monkeypatch.setattr(service, "last_day", lambda: ())
        monkeypatch.setattr(service, "upstreams", lambda: ())
        service.transfers_now = ()
        page = (await made_up.get("/")).body.decode()
        for text in ("No traffic was sampled yet.", "Nothing is being downloaded.", "No upstream was asked"):
            assert text in page

    async def test_many_transfers_are_cut(self, made_up: MadeUpSite) -> None:
        made_up.service.transfers_now = made_up.service.transfers_now * 200
        found = await values(made_up, "/")
        assert len(found["transfers"]) == len(found["shown"]["tables"]["transfers"]["rows"]) == 100
        assert found["shown"]["figures"]["running"]["value"] == "600"


class TestPlots:
    def test_the_highest_bar_fills_the_plot(self) -> None:
        samples = [TrafficSample(at=NOW - hour * 3600, hits=hour, misses=1) for hour in range(24)]
        plot = day_plot(samples, NOW, lambda each: each.hits, lambda each: each.misses)
        assert plot.most == 24
        assert max(bar.lower + bar.upper for bar in plot.bars) == pytest.approx(HEIGHT, abs=0.2)
        assert min(bar.top for bar in plot.bars) == pytest.approx(0, abs=0.2)

    @pytest.mark.parametrize("at", [NOW + 1, NOW + DAY, NOW - DAY, 0])
    def test_other_days_are_not_shown(self, at: int) -> None:
        sample = TrafficSample(at=at, hits=1)
        assert not day_plot([sample], NOW, lambda each: each.hits, lambda each: each.misses).bars
        assert not by_hour([sample], NOW)

    def test_the_edges_of_the_day_are_bars(self) -> None:
        samples = [TrafficSample(at=at, hits=1) for at in (NOW, NOW - DAY + 1)]
        bars = day_plot(samples, NOW, lambda each: each.hits, lambda each: each.misses).bars
        assert [bar.left for bar in bars] == [0, (BARS - 1) * 10]

    def test_hours_are_summed(self) -> None:
        start = NOW // 3600 * 3600
        samples = [TrafficSample(at=start + minute * 60, hits=1, sent=5) for minute in range(2)]
        assert by_hour(samples, NOW) == [TrafficSample(at=start, hits=2, sent=10)]


class TestArchives:
    async def test_archives_in_use_come_first(self, made_up: MadeUpSite) -> None:
        found = (await values(made_up, "/archives"))["archives"]
        assert [each["name"] for each in found[:3]] == ["debian", "debian-security", "archlinux"]
        assert (found[0]["stored_snapshots"], found[0]["newest_stored"], found[0]["bad"]) == (3, STORED[-1], 1)

    async def test_live_files_are_no_snapshot(self, made_up: MadeUpSite) -> None:
        """The store has the present roots under `live`, in a form of its own."""
        await made_up.store.catalog.put_name("roots:debian/live", "dists/bookworm/InRelease", Name("", 0, 0))
        found = (await values(made_up, "/archives"))["archives"]
        assert found[0]["newest_stored"] == STORED[-1]
        packages = await values(made_up, "/packages", archive="debian", name="curl")
        assert [each["snapshot"] for each in packages["snapshots"]] == list(reversed(STORED))
        by_address = await values(made_up, "/packages", archive="debian", name="curl", at="live")
        assert by_address["snapshots"][0]["versions"] == []

    async def test_a_calendar_shows_what_is_known_stored_and_bad(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/archives/debian", year="2024")
        days = {each["day"]: each for each in found["days"]}
        assert len(days) == 366
        assert (days["2024-05-31"]["known"], days["2024-05-31"]["is_listed"]) == (0, False)
        assert days["2024-06-01"] == {
            "day": "2024-06-01", "known": 4, "stored": 1, "observed": 0, "bad": 0, "is_listed": True,
        }  # fmt: skip
        assert days["2024-06-11"]["bad"] == 1
        assert days["2024-12-01"]["is_listed"] is False  # the list was asked for before that day
        assert found["counts"]["stored"] == 3
        assert not found["is_cut"]

    async def test_a_day_lists_its_snapshots(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/archives/debian", day="2024-06-11")
        assert [each["snapshot"] for each in found["snapshots"]] == [
            f"20240611T{hour:02}0000Z" for hour in (0, 6, 12, 18)
        ]
        (bad,) = [each for each in found["snapshots"] if each["bad"]]
        assert HOSTILE in bad["because"]

    async def test_observations_are_spans_of_days(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/archives/vendor", year="2024")
        observed = [each["day"] for each in found["days"] if each["observed"]]
        assert observed == [f"2024-11-{day}" for day in (20, 21, 22, 23, 24, 25, 26, 28)]

    async def test_another_year_is_empty_and_an_impossible_one_is_near(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/archives/debian", year="2019")
        assert (found["year"], found["counts"]["known"]) == (2019, 0)
        assert (await values(made_up, "/archives/debian", year="0001"))["year"] == 1970
        assert (await values(made_up, "/archives/debian", year="x"))["year"] == 2024


class TestCaptures:
    async def test_the_contents_are_paged(self, made_up: MadeUpSite) -> None:
        first = await values(made_up, "/captures/web-image-2024-06")
        second = await values(made_up, "/captures/web-image-2024-06", after=first["next_after"])
        assert (len(first["entries"]), len(second["entries"]), second["next_after"]) == (100, 36, None)
        assert first["capture"] | {"begun": ""} == {
            "name": "web-image-2024-06", "begun": "", "closed": True, "archives": ["debian"],
            "files": 135, "absences": 1, "bytes": first["capture"]["bytes"],
        }  # fmt: skip

    async def test_what_is_unverified_has_a_reason(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/captures/nightly")
        assert {each["reason"].partition(",")[0]: each["files"] for each in found["unverified"]} == {
            "No root or index lists it.": 1,
            "An index lists it": 1,
        }
        assert found["unpinned"] == ["github.com:443"]

    @pytest.mark.parametrize("form", ["lock", "spdx", "cyclonedx", "sha256sums", "in-toto"])
    async def test_a_download_is_what_the_verb_writes(self, made_up: MadeUpSite, form: str) -> None:
        page = await made_up.get(f"/captures/web-image-2024-06/{form}")
        record = await made_up.captures.record("web-image-2024-06")
        assert page.body == FORMS[form](record, None)
        assert page.headers["Content-Disposition"].startswith('attachment; filename="web-image-2024-06.')

    async def test_the_differences_are_those_of_the_verb(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/compare", one="web-image-2024-06", other="web-image-2024-11")
        assert found["differs"]
        assert {
            "archive": "debian",
            "package": "curl amd64",
            "kind": "changed",
            "before": ["8.1-1"],
            "after": ["9.1-1"],
        } in found["packages"]
        same = await values(made_up, "/compare", one="nightly", other="nightly")
        assert not same["differs"]


class TestPackages:
    async def test_each_stored_snapshot_has_its_version(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/packages", archive="debian", name="curl")
        assert [(each["snapshot"], each["versions"][0]["version"]) for each in found["snapshots"]] == list(
            zip(reversed(STORED), reversed(DIGESTS), strict=True)
        )
        unread = ["dists/bookworm/contrib/binary-amd64/Packages.xz"]
        assert [(each["indexes_read"], each["indexes_not_read"]) for each in found["snapshots"]] == [(1, unread)] * 3

    async def test_a_name_is_not_a_beginning(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/packages", archive="debian", name="cur")
        assert [each["versions"] for each in found["snapshots"]] == [[], [], []]

    async def test_one_snapshot(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/packages", archive="debian", name="dash", at=STORED[1])
        assert [each["snapshot"] for each in found["snapshots"]] == [STORED[1]]

    async def test_snapshots_are_paged(self, made_up: MadeUpSite, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages_module, "PAGE_SNAPSHOTS", 2)
        first = await values(made_up, "/packages", archive="debian", name="curl")
        second = await values(made_up, "/packages", archive="debian", name="curl", below=first["next_below"])
        assert [each["snapshot"] for each in (*first["snapshots"], *second["snapshots"])] == list(reversed(STORED))
        assert second["next_below"] is None

    async def test_too_many_indexes_are_left_out(self, made_up: MadeUpSite, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages_module, "MOST_TABLES", 1)
        found = await values(made_up, "/packages", archive="debian", name="curl")
        assert [each["indexes_read"] for each in found["snapshots"]] == [1, 0, 0]
        again = await values(made_up, "/packages", archive="debian", name="curl")  # the first is kept in memory
        assert [each["indexes_read"] for each in again["snapshots"]] == [1, 1, 0]


class TestSetup:
    @pytest.mark.parametrize(
        ("distro", "suite", "form"),
        [("debian", "bookworm", "mirror"), ("ubuntu", "noble", "dockerfile"), ("archlinux", "", "cache"),
         ("alpine", "v3.20", "proxy"), ("debian", "bookworm", "script")],
    )  # fmt: skip
    async def test_the_text_is_that_of_the_verb(
        self, made_up: MadeUpSite, distro: str, suite: str, form: str, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        found = await values(made_up, "/setup", distro=distro, suite=suite, form=form, at="2024-06-01")
        monkeypatch.delenv("SNAPPROXY_CONFIG", raising=False)
        options = [] if form == "script" or not suite else ["--suite", suite]
        base = "http://proxy.example.org:3142"
        assert main(["sources", distro, "--at", "2024-06-01", "--form", form, "--base", base, "--json", *options]) == 0
        printed = json.loads(capsys.readouterr().out)["files"]
        if form == "script":  # the site has one archive more
            assert found["files"][0]["text"][:300] == printed[0]["text"][:300]
        else:
            assert found["files"] == printed

    async def test_a_mistake_is_explained(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/setup", distro="debian", suite="bokworm", at="2024-06-01")
        assert (found["files"], found["error"]["reason"]) == ([], "debian has no suite 'bokworm'")
        assert "bookworm" in found["error"]["hint"]
        assert (await values(made_up, "/setup", at="latest"))["error"]["reason"] == "The time `latest` changes"

    @pytest.mark.parametrize(
        "field", [{"suite": "stable main\ndeb http://evil/"}, {"repo": "x\ny"}, {"base": "http://user@evil:1"},
                  {"base": "http://x:1/path"}, {"base": "javascript:alert(1)"}, {"base": "http://x:1\nevil"}]
    )  # fmt: skip
    async def test_a_field_adds_no_line(self, made_up: MadeUpSite, field: dict[str, str]) -> None:
        query = {"distro": "debian-archive", "suite": "etch", "at": "2009-06-01", **field}
        found = await values(made_up, "/setup", **query)
        assert found["files"] == []
        assert found["error"]

    async def test_another_distribution_does_not_keep_the_suite(self, made_up: MadeUpSite) -> None:
        query = {"suite": "bookworm", "at": "2024-06-01", "shown": "debian"}
        for distro, suite in (("debian", "bookworm"), ("ubuntu", "noble"), ("archlinux", "")):
            found = await values(made_up, "/setup", distro=distro, **query)
            assert (found["choice"]["suite"], found["error"]) == (suite, None)

    async def test_without_choices_there_is_an_example(self, made_up: MadeUpSite) -> None:
        found = await values(made_up, "/setup")
        assert (found["choice"]["distro"], found["choice"]["at"]) == ("debian", "20241122T000000Z")
        assert found["files"][0]["path"] == "/etc/apt/sources.list.d/debian.sources"


def test_values_are_written_for_people() -> None:
    assert (size(1), size(0), size(1_500_000)) == ("1 byte", "0 bytes", "1.5 MB")
    assert (number(1234567), share(1, 3), share(1, 0)) == ("1,234,567", "33.3%", "–")  # noqa: RUF001 # as shown
    assert (duration(0), duration(61), duration(90061), duration(-5)) == ("0 s", "1 min 1 s", "1 d 1 h", "0 s")

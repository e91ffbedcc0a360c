"""The snapshot service: its listing, its redirect if the listing fails, and how each is read."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.archives.histories.snapshots import LONGEST_ANSWER
from snapproxy.core.history import TimelineAnswer
from snapproxy.core.model import Instant, NeedWindow, Refusal, Resolved, Window
from snapproxy.core.time_spec import format_instant, parse_time
from snapproxy.core.timeline import window_is_settled
from tests.archives.contract import NOW, HistoryContract, ServicePlayer, settle

HISTORY = HISTORIES["snapshots"]
ROW = next(row for row in BUILTIN if row.name == "debian")
BASE = ROW.snapshot[0]
NOT_FOUND = TimelineAnswer(404, "", b"No mirrorrun found at this date.")


def at(text: str) -> Instant:
    instant = parse_time(text).instant
    assert instant is not None
    return instant


def listing(snapshots: list[Instant], name: str = "debian") -> ServicePlayer:
    """Answer /mr/timestamp/ as the service does: filtered, both bounds included, an archive without dumps left out."""

    def play(url: str) -> TimelineAnswer:
        parts = urlsplit(url)
        if parts.path != "/mr/timestamp/":
            return NOT_FOUND
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        told = [format_instant(each) for each in snapshots if query["after"] <= format_instant(each) <= query["before"]]
        result = {name: told} if told and query["archive"] == name else {}
        return TimelineAnswer(200, "", json.dumps({"_comment": "", "result": result}).encode())

    return play


def redirecting(snapshots: list[Instant]) -> ServicePlayer:
    """Answer folders only: the newest dump at or before the one asked for, 200 when it is that one."""

    def play(url: str) -> TimelineAnswer:
        folder, name = urlsplit(url).path.rstrip("/").rsplit("/", 1)
        if folder != "/archive/debian":
            return TimelineAnswer(503, "", b"")
        newest = max((each for each in snapshots if format_instant(each) <= name), default=None)
        if newest is None:
            return NOT_FOUND
        if format_instant(newest) == name:
            return TimelineAnswer(200, "", b"<html>a folder</html>")
        return TimelineAnswer(302, f"https://snapshot.debian.org/archive/debian/{format_instant(newest)}/", b"")

    return play


class TestByListing(HistoryContract):
    history = HISTORY
    row = ROW

    def player(self) -> ServicePlayer:
        return listing(list(self.snapshots))


class TestByRedirect(HistoryContract):
    history = HISTORY
    row = ROW

    def player(self) -> ServicePlayer:
        return redirecting(list(self.snapshots))


NEED = NeedWindow(at("20240601"), at("20240701"), around=at("20240610T120000Z"))
LISTING, FOLDER, FOLDER_ITSELF = HISTORY.timeline_urls(ROW, BASE, NEED)


def read(url: str, status: int, location: str = "", body: object = b"") -> Window | None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HISTORY.read_window(ROW, NEED, url, TimelineAnswer(status, location, data), NOW)


def test_the_listing_is_asked_first_a_little_beyond_the_window() -> None:
    assert LISTING == (
        "https://snapshot.debian.org/mr/timestamp/?archive=debian&after=20240531T235959Z&before=20240802T000000Z"
    )
    assert FOLDER == "https://snapshot.debian.org/archive/debian/20240610T120001Z/"
    assert FOLDER_ITSELF == "https://snapshot.debian.org/archive/debian/20240610T120000Z/"


def test_a_base_of_another_shape_is_asked_by_folder_only() -> None:
    urls = HISTORY.timeline_urls(ROW, "https://m.example/debian", NEED)
    assert urls == ("https://m.example/debian/20240610T120001Z/", "https://m.example/debian/20240610T120000Z/")
    assert HISTORY.timeline_urls(ROW, "https://m.example/debian", replace(NEED, around=None)) == ()


def test_a_listing_is_cut_to_the_window_and_tells_what_follows() -> None:
    ids = [
        "20240701T000000Z",
        "20240531T235959Z",
        "20240601T000000Z",
        "20240630T235959Z",
        "20240601T000000Z",
        "20240702T000000Z",
    ]
    window = read(LISTING, 200, body={"result": {"debian": ids}})
    expected = (at("20240601"), at("20240630T235959Z"))
    assert window == Window(NEED.start, NEED.end, expected, NOW, after=at("20240701"))
    assert window_is_settled(window, ROW, NOW)


def test_an_archive_left_out_has_no_dumps_there_and_that_is_never_settled() -> None:
    window = read(LISTING, 200, body={"result": {"debian-security": ["20240601T000000Z"]}})
    assert window == Window(NEED.start, NEED.end, (), NOW)
    assert not window_is_settled(window, ROW, NOW)


def test_a_listing_too_long_to_be_one_is_not_read() -> None:
    body = json.dumps({"result": {}}).encode()
    assert read(LISTING, 200, body=body + b" " * (LONGEST_ANSWER - len(body))) is not None
    assert read(LISTING, 200, body=body + b" " * (LONGEST_ANSWER + 1 - len(body))) is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_tells_of_one_dump_and_that_none_stands_behind_it(status: int) -> None:
    window = read(FOLDER, status, "https://snapshot-mlm-01.debian.org/archive/debian/20240610T080000Z/")
    assert window == Window(at("20240610T080000Z"), at("20240610T120001Z"), (at("20240610T080000Z"),), NOW)
    assert not window_is_settled(window, ROW, NOW), "it holds for one instant, and is no month to be shared"


def test_a_redirect_tells_of_the_very_instant_too() -> None:
    window = read(FOLDER, 302, "https://snapshot.debian.org/archive/debian/20240610T120000Z/")
    assert window is not None
    assert window.instants == (NEED.around,)


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (302, "https://snapshot.debian.org/archive/debian/20240610T120001Z/"),  # to https, say: the same folder
        (302, "https://snapshot.debian.org/archive/debian/20240611T000000Z/"),  # later than asked
        (302, "https://snapshot.debian.org/archive/debian-ports/20240610T080000Z/"),
        (302, "https://snapshot.debian.org/archive/debian/20240610/"),
        (302, "https://snapshot.debian.org/archive/debian/20240610T080000Z/dists/"),
        (302, "https://snapshot.debian.org/archive/debian/now/"),
        (200, "https://snapshot.debian.org/archive/debian/20240610T080000Z/"),
        (200, ""),  # any proxy's error page is a 200
        (404, ""),
    ],
)
def test_other_redirects_tell_nothing(status: int, location: str) -> None:
    assert read(FOLDER, status, location) is None


def test_the_redirect_stands_in_where_the_listing_fails() -> None:
    """And with the same decisions: a gap, the newest end and settled instants alike."""
    snapshots = [at("20240601"), at("20240601T060000Z"), at("20240610"), at("20240610T060000Z")]
    for when, expected in {
        "20240601T010000Z": "20240601T000000Z",
        "20240601T000000Z.exact": "20240601T000000Z",
        "20240605": 410,
        "20240611": 425,
        "20240605.nearest": "20240601T060000Z",
        "latest": "20240610T060000Z",
        "20240301": 424,
    }.items():
        answer = settle(HISTORY, ROW, when, redirecting(snapshots))
        assert (answer.snapshot if isinstance(answer, Resolved) else answer.status) == expected, when


def test_without_either_nothing_is_decided() -> None:
    answer = settle(HISTORY, ROW, "20240601", lambda _: TimelineAnswer(509, "", b""))
    assert isinstance(answer, Refusal)
    assert answer.status == 424


def test_a_file_lies_below_its_dump() -> None:
    assert (
        HISTORY.url(ROW, BASE, "20240601T000000Z", "pool/main/g/g++.deb")
        == f"{BASE}/20240601T000000Z/pool/main/g/g%2B%2B.deb"
    )

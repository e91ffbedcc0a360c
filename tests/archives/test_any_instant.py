"""Servers that answer for every second."""

from __future__ import annotations

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.core.history import TimelineAnswer
from snapproxy.core.model import NeedWindow
from tests.archives.contract import NOW, HistoryContract, ServicePlayer

HISTORY = HISTORIES["any-instant"]
ROWS = {row.name: row for row in BUILTIN}


def unasked(url: str) -> TimelineAnswer:
    raise AssertionError(f"nothing needs to be asked, yet {url} was")


class TestAnyInstant(HistoryContract):
    history = HISTORY
    row = ROWS["ubuntu"]

    def player(self) -> ServicePlayer:
        return unasked


def test_there_is_no_timeline_to_ask_for() -> None:
    assert HISTORY.timeline_urls(ROWS["ubuntu"], ROWS["ubuntu"].snapshot[0], NeedWindow(0, NOW, around=1)) == ()


def test_a_ppas_time_stands_behind_owner_name_and_distribution() -> None:
    url = HISTORY.url(
        ROWS["ppa"], ROWS["ppa"].snapshot[0], "20240601T000000Z", "owner/name/ubuntu/dists/noble/InRelease"
    )
    base = "https://snapshot.ppa.launchpadcontent.net/owner/name/ubuntu"
    assert url == f"{base}/20240601T000000Z/dists/noble/InRelease"

"""The addresses of an archive that keeps one folder a day, on this proxy itself and through it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.archives.dated_addresses import DatedSettings
from snapproxy.core.exchange import FileTarget, ServiceTarget, TunnelTarget
from snapproxy.core.model import Match, TimeSpec
from snapproxy.core.time_spec import parse_time, read_day
from tests.core.addresses import BOOK, ROWS, TS, ask, file, refused

ARCH = ROWS["archlinux"]
DB = "core/os/x86_64/core.db"
DAY = TimeSpec("2024/05/31", read_day("2024/05/31"), Match.EXACT, verbatim=True)
PACKAGE = "packages/g/gtk+/gtk+-1-1-any.pkg.tar.zst"


def timeless(name: str) -> TimeSpec:
    return TimeSpec(name, None, Match.EXACT, verbatim=True)


PLACES = pytest.mark.parametrize("place", ["/", "http://archive.archlinux.org/", "http://proxy.example:3142/"])


@PLACES
def test_a_day_s_folder_is_verbatim(place: str) -> None:
    assert ask(f"{place}repos/2024/05/31/{DB}") == FileTarget(ARCH, DAY, DB)
    assert ask(f"{place}repos/2024/05/31/") == FileTarget(ARCH, DAY, "")
    assert ask(f"{place}repos/2024/05/31") == FileTarget(ARCH, DAY, "")


@PLACES
def test_what_stands_beside_the_days_belongs_to_no_time(place: str) -> None:
    assert ask(f"{place}packages/g/gtk%2b/gtk+-1-1-any.pkg.tar.zst") == FileTarget(ARCH, timeless("packages"), PACKAGE)
    everything = "packages/.all/gtk+-1-1-any.pkg.tar.zst.sig"
    assert ask(f"{place}{everything}") == FileTarget(ARCH, timeless("packages"), everything)
    assert ask(f"{place}iso/2024.06.01/arch/version") == FileTarget(
        ARCH, timeless("iso"), "iso/2024.06.01/arch/version"
    )


@PLACES
@pytest.mark.parametrize("word", ["last", "week", "month"])
def test_moving_folders_ask_for_the_newest(place: str, word: str) -> None:
    target = ask(f"{place}repos/{word}/{DB}")
    assert (target.when.match, target.when.text) == (Match.LATEST, word)


@PLACES
@pytest.mark.parametrize("path", ["packages/.all/index.0.xz", "repos/last/lastsync"])
def test_lists_that_change_are_answers_about_the_archive(place: str, path: str) -> None:
    assert ask(f"{place}{path}") == ServiceTarget(ARCH, f"/{path}")


@PLACES
def test_listings_of_packages_are_answers_about_the_archive_too(place: str) -> None:
    for path in ("packages/g/gtk%2B/", "packages/.all/"):
        assert ask(f"{place}{path}") == ServiceTarget(ARCH, f"/{path}", is_listing=True)


def test_the_folder_of_a_snapshot_id_stands_where_a_time_does() -> None:
    assert ask(f"/archlinux/2024/05/31/{DB}") == FileTarget(ARCH, DAY, DB)
    assert ask(f"/archlinux/{TS}/{DB}") == file("archlinux", TS, DB, base="/archlinux/")


@pytest.mark.parametrize(
    "path",
    [
        *["repos/2024/13/31/x", "repos/2024/02/30/x", "repos/2024/05/x", "repos/20240531/x", "repos/", "packages/"],
        *[
            "packages/g/gtk",
            "packages/.all",
            "packages/g/",
            "packages/g",
            "packages/g/gtk/x/",
            "iso/latest/x",
            "iso/2024.06.01/",
            "archlinux/2024/13/01/x",
        ],
    ],
)
def test_what_the_archive_cannot_have_is_refused(path: str) -> None:
    refused(ask(f"/{path}"), 400)


@pytest.mark.parametrize(
    "url",
    [
        "http://mirror.example/core/os/x86_64/core.db",
        "http://mirror.example/pub/linux/arch/core/os/x86_64/core.db",
        "http://mirror.example:8080/archlinux/core/os/x86_64/core.db",
    ],
)
def test_a_mirror_is_known_by_what_follows_any_folder(url: str) -> None:
    assert ask(url, pair="20240601:x") == FileTarget(ARCH, parse_time("20240601"), DB)


@pytest.mark.parametrize(
    "url",
    [
        "http://mirror.example/centos/7/os/x86_64/repodata/repomd.xml",
        "http://mirror.example/core/os/x86_64/",
        "http://mirror.example/os/x86_64/core.db",
        "http://mirror.example/x/core/OS/x86_64/core.db",
    ],
)
def test_nothing_else_is_taken_for_one(url: str) -> None:
    refused(ask(url, pair="20240601:x"), 403)


def test_a_row_that_names_its_host_goes_before_one_that_takes_any() -> None:
    target = ask("http://ftp.de.debian.org/debian/os/x86_64/core.db", pair="20240601:x")
    assert target.archive == ROWS["debian"]


def test_any_host_is_no_host_of_a_tunnel() -> None:
    book = replace(BOOK, connect=True)
    refused(ask("mirror.example:443", book, pair="live:x", method="CONNECT"), 403)
    assert isinstance(ask("ftp.debian.org:443", book, pair="live:x", method="CONNECT"), TunnelTarget)


ROLLING = replace(
    ARCH,
    name="rolling",
    snapshot=("https://download.rolling.example",),
    hosts=("download.rolling.example/rolling/",),
    history_settings=DatedSettings(folder="history/YYYYMMDD/rolling", days="history/list"),
)
BOTH = replace(BOOK, archives=(*(row for row in BOOK.archives if row.name != "opensuse-tumbleweed"), ROLLING))


@pytest.mark.parametrize("place", ["/", "http://download.rolling.example/", "http://proxy.example:3142/"])
def test_a_row_says_how_its_days_are_spelt(place: str) -> None:
    """And with it what else its service has: a list of the days, or packages and images."""
    assert ask(f"{place}history/20240531/rolling/repo/x", BOTH) == FileTarget(ROLLING, DAY, "repo/x")
    assert ask(f"{place}history/list", BOTH) == ServiceTarget(ROLLING, "/history/list")
    assert ask(f"{place}history/latest", BOTH) == ServiceTarget(ROLLING, "/history/latest")
    for path in ("history/20240531/other/x", "history/20240231/rolling/x", "history/2024/05/31/rolling/x", "history/"):
        refused(ask(f"{place}{path}", BOTH), 400)


def test_two_rows_of_the_kind_have_their_own_addresses() -> None:
    assert ask(f"/repos/2024/05/31/{DB}", BOTH) == FileTarget(ARCH, DAY, DB)
    assert ask("/rolling/2024/05/31/repo/x", BOTH) == FileTarget(ROLLING, DAY, "repo/x")
    assert ask("/rolling/20240531/repo/x", BOTH) == FileTarget(
        ROLLING, parse_time("20240531"), "repo/x", base="/rolling/"
    )


def test_what_else_a_host_has_is_none_of_the_row() -> None:
    assert ask("http://download.rolling.example/rolling/x", BOTH, pair="20240531:x").path == "x"
    for url in ("http://download.rolling.example/repositories/x", "http://archive.archlinux.org/robots.txt"):
        refused(ask(url, BOTH, pair="20240531:x"), 403)


def test_without_such_a_row_its_addresses_are_unknown() -> None:
    book = replace(BOOK, archives=(ARCH,))
    refused(ask("/history/20240531/rolling/x", book), 404)

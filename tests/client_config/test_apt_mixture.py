"""Sources and preferences for packages of two times: derived from the files that apt used, nothing guessed."""

from __future__ import annotations

from snapproxy.client_config.apt_mixture import AptAdditions, AptMixture

TIME = 1717200000
BASE = "http://127.0.0.1:4000"
FOLDER = f"{BASE}/debian/20240601T000000Z/"


def additions(*paths: str, archive: str = "debian", **more: tuple[str, ...]) -> AptAdditions:
    return AptMixture(TIME, tuple((archive, path) for path in paths), {"b": "1:2.0", "a++": "1"}, more).additions(BASE)


def test_the_used_suites_and_components_are_the_second_source() -> None:
    found = additions(
        "dists/bookworm/InRelease",
        "dists/bookworm/main/binary-amd64/Packages.xz",
        "dists/bookworm/main/binary-i386/Packages.gz",
        "dists/bookworm/non-free/firmware/binary-amd64/Packages",
        "dists/bookworm/main/i18n/Translation-en.xz",
        "dists/bookworm/main/source/Sources.xz",
        "dists/bookworm-updates/Release",
        "dists/bookworm-updates/main/binary-amd64/Packages.xz",
    )
    assert found.sources.splitlines() == [
        f"deb [trusted=yes arch=amd64] {FOLDER} bookworm main non-free/firmware",
        f"deb [trusted=yes arch=i386] {FOLDER} bookworm main",
        f"deb [trusted=yes arch=amd64] {FOLDER} bookworm-updates main",
    ]


def test_suites_and_archives_may_have_several_segments() -> None:
    found = additions(
        "o/ppa/ubuntu/dists/a/b/InRelease", "o/ppa/ubuntu/dists/a/b/main/binary-amd64/Packages.xz", archive="ppa"
    )
    assert found.sources == f"deb [trusted=yes arch=amd64] {BASE}/ppa/20240601T000000Z/o/ppa/ubuntu/ a/b main\n"


def test_the_keyrings_are_those_of_the_archive() -> None:
    paths = "dists/stable/InRelease", "dists/stable/main/binary-amd64/Packages.xz"
    assert "[trusted=yes arch=amd64 signed-by=/a.gpg,/b.asc]" in additions(*paths, debian=("/a.gpg", "/b.asc")).sources


def test_flat_repositories_and_lists_without_a_root_are_left_out() -> None:
    assert additions("InRelease", "Packages.xz", "dists/stable/main/binary-amd64/Packages.xz").sources == ""


def test_only_the_chosen_versions_are_preferred() -> None:
    assert additions().preferences == (
        'Package: *\nPin: origin "127.0.0.1"\nPin-Priority: 100\n\n'
        "Package: a++\nPin: version 1\nPin-Priority: 1001\n\n"
        "Package: b\nPin: version 1:2.0\nPin-Priority: 1001\n"
    )

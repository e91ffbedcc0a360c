"""A root that names another suite than its path is refused only if no alias explains it."""

from __future__ import annotations

import pytest

from snapproxy.families.apt import APT

DEBIAN, UBUNTU, VENDOR = "Debian", "Ubuntu", "Example"


def found(path: str, origin: str, suite: str, codename: str) -> str:
    fields = {"Origin": origin, "Suite": suite, "Codename": codename}
    return APT.contradiction(path, "".join(f"{name}: {value}\n" for name, value in fields.items() if value).encode())


@pytest.mark.parametrize(
    ("path", "origin", "suite", "codename"),
    [
        ("stable", DEBIAN, "stable", "bookworm"),
        ("bookworm", DEBIAN, "stable", "bookworm"),
        ("bookworm", DEBIAN, "oldstable", "bookworm"),
        ("testing", DEBIAN, "testing", "trixie"),
        ("sid", DEBIAN, "unstable", "sid"),
        ("unstable", DEBIAN, "unstable", "sid"),
        ("rc-buggy", DEBIAN, "experimental", "rc-buggy"),
        ("oldstable", DEBIAN, "oldstable", "bullseye"),
        ("bookworm-updates", DEBIAN, "stable-updates", "bookworm-updates"),
        ("stable-backports", DEBIAN, "stable-backports", "bookworm-backports"),
        ("bookworm-security", DEBIAN, "stable-security", "bookworm-security"),
        ("buster/updates", DEBIAN, "oldstable", "buster"),
        ("bookworm/updates", DEBIAN, "stable-security", "bookworm-security"),
        ("proposed-updates", DEBIAN, "proposed-updates", "bookworm-proposed-updates"),
        ("Debian12.5", DEBIAN, "stable", "bookworm"),
        ("stable", DEBIAN, "", ""),
        ("unreleased", "Debian Ports", "unreleased", "sid"),
        ("noble", UBUNTU, "noble", "noble"),
        ("noble-updates", UBUNTU, "noble-updates", "noble"),
        ("devel", UBUNTU, "noble", "noble"),
        ("devel-updates", UBUNTU, "noble-updates", "noble"),
        ("kali-rolling", "Kali", "kali-rolling", "kali-rolling"),
        ("daedalus", "Devuan", "stable", "daedalus"),
        ("ceres", "Devuan", "unstable", "ceres"),
        ("bookworm", "Raspbian", "stable", "bookworm"),
        ("unstable", VENDOR, "stable", ""),
        ("sid", VENDOR, "stable", "stable"),
        ("focal", VENDOR, "stable", "xenial"),
        ("bookworm", VENDOR, "bullseye", "bullseye"),
        ("testing", VENDOR, "unstable", "testing"),
        ("stable", VENDOR, "main", "nonsense"),
    ],
)
def test_aliases_and_habits_of_archives_are_accepted(path: str, origin: str, suite: str, codename: str) -> None:
    assert found(f"dists/{path}/InRelease", origin, suite, codename) == ""
    assert found(f"below/dists/{path}/Release", origin, suite, codename) == ""
    assert found("InRelease", origin, suite, codename) == "", "a flat repository has no suite"


@pytest.mark.parametrize(
    ("path", "origin", "suite", "codename"),
    [
        ("stable", DEBIAN, "unstable", "sid"),
        ("stable", VENDOR, "unstable", "sid"),
        ("stable", "", "", "sid"),
        ("stable", DEBIAN, "testing", ""),
        ("unstable", DEBIAN, "stable", "bookworm"),
        ("bookworm", DEBIAN, "unstable", "sid"),
        ("bookworm-security", DEBIAN, "testing-security", "trixie-security"),
        ("bookworm", DEBIAN, "testing", "trixie"),
        ("noble", UBUNTU, "jammy", "jammy"),
        ("noble", UBUNTU, "noble-updates", "noble"),
    ],
)
def test_the_root_of_another_suite_contradicts_its_path(path: str, origin: str, suite: str, codename: str) -> None:
    names = " and ".join(name for name in (suite, codename) if name)
    assert found(f"dists/{path}/InRelease", origin, suite, codename) == names


def test_a_root_that_cannot_be_read_contradicts_nothing() -> None:
    assert APT.contradiction("dists/stable/InRelease", b"Suite: unstable\nSuite: sid\n") == ""

"""Which suites an archive can have, and the one that was probably meant."""

from __future__ import annotations

import pytest

from snapproxy.client_config.apt import DISTROS
from snapproxy.client_config.releases import is_release, nearest


@pytest.mark.parametrize("suite", ["sid", "stable", "oldstable", "testing", "experimental", "rc-buggy", "buzz"])
def test_every_alias_of_a_release_is_known(suite: str) -> None:
    assert is_release("debian", suite)


def test_the_examples_are_known() -> None:
    assert all(is_release(distro.name, distro.example) for distro in DISTROS.values())


@pytest.mark.parametrize(
    ("archive", "suite"),
    [
        ("debian-security", "bookworm-security"),
        ("debian-security", "buster/updates"),
        ("debian-debug", "sid-debug"),
        ("debian-ports", "unreleased"),
        ("debian-backports", "squeeze-backports-sloppy"),
        ("debian-volatile", "lenny/volatile"),
        ("ubuntu-ports", "noble-updates"),
        ("ppa", "noble"),
    ],
)
def test_other_archives_name_their_suites_after_releases(archive: str, suite: str) -> None:
    assert is_release(archive, suite)
    assert not is_release(archive, f"x{suite}")
    assert nearest(archive, f"x{suite}") == suite


def test_an_archive_of_the_user_has_any_suite() -> None:
    assert is_release("vendor", "anything")
    assert nearest("vendor", "anything") == ""


def test_names_of_another_distribution_are_not_known() -> None:
    assert not is_release("debian", "noble")
    assert not is_release("ubuntu", "bookworm")
    assert nearest("debian", "noble") == ""

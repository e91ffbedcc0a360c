"""The built-in archives: every row complete, and none that overreaches."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.core.address import RESERVED
from snapproxy.core.model import Archive
from snapproxy.core.when import spell
from snapproxy.families import FAMILIES

ROWS = {row.name: row for row in BUILTIN}
every_row = pytest.mark.parametrize("row", BUILTIN, ids=[row.name for row in BUILTIN])


def test_the_archives_of_the_first_release_are_there() -> None:
    assert set(ROWS) == {
        *["debian", "debian-security", "debian-debug", "debian-backports", "debian-ports", "debian-archive"],
        *["debian-volatile", "ubuntu", "ubuntu-ports", "ppa", "archlinux", "alpine"],
    }
    assert len(BUILTIN) == len(ROWS)


@every_row
def test_a_row_can_be_used_as_it_stands(row: Archive) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", row.name)
    assert row.name not in RESERVED
    assert row.family in FAMILIES
    assert row.history in HISTORIES
    assert bool(row.snapshot) != HISTORIES[row.history].is_observed, "what nothing remembers has nobody to ask"
    assert row.mirrors
    assert row.hosts
    assert row.max_gap > 0
    assert row.settle_after > 0


@every_row
def test_the_past_is_asked_for_over_https_and_no_base_ends_in_a_slash(row: Archive) -> None:
    for base in row.snapshot:
        assert base.startswith("https://")
    for base in (*row.snapshot, *row.mirrors):
        assert not base.endswith("/")
        assert urlsplit(base).netloc.islower()


@every_row
def test_no_regular_mirror_is_a_content_networks_name(row: Archive) -> None:
    for base in row.mirrors:
        assert not urlsplit(base).netloc.startswith(("deb.", "cdn", "httpredir."))


@every_row
def test_host_patterns_are_lower_case_and_end_in_a_slash(row: Archive) -> None:
    for pattern in row.hosts:
        assert re.fullmatch(r"(\*|[a-z0-9-]+)(\.(\*|[a-z0-9-]+))+/([a-z0-9-]+/)?", pattern) or row.name == "archlinux"


def test_arch_is_recognised_by_what_follows_any_folder_on_any_host() -> None:
    assert ROWS["archlinux"].hosts == ("*/**/*/os/*/*",)
    assert not ROWS["archlinux"].keyrings, "its databases are not signed"


def test_ended_archives_are_frozen_and_no_living_one_is() -> None:
    assert {row.name for row in BUILTIN if row.frozen} == {"debian-archive", "debian-backports", "debian-volatile"}


def test_ubuntus_record_begins_on_the_first_of_march_2023_and_settles_in_an_hour() -> None:
    for name in ("ubuntu", "ubuntu-ports"):
        assert spell(ROWS[name].first or 0) == "20230301T000000Z"
        assert ROWS[name].settle_after == 3600


def test_security_may_be_silent_for_longer_than_the_main_archive() -> None:
    assert ROWS["debian"].max_gap == 48 * 3600
    assert ROWS["debian-security"].max_gap > ROWS["debian"].max_gap


@every_row
def test_keyrings_hold_the_removed_keys_as_well(row: Archive) -> None:
    assert all(path.startswith(("/usr/share/keyrings/", "/etc/apk/", "/usr/share/apk/")) for path in row.keyrings)
    assert row.family != "apt" or row.name == "ppa" or any("removed" in path for path in row.keyrings)

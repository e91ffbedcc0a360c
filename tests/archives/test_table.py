"""The built-in archives: every one is complete, and none matches addresses of others."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from snapproxy.archives import BUILTIN, HISTORIES, RESERVED_NAMES
from snapproxy.core.model import Archive, Role
from snapproxy.core.routes import RouteKind, routes_of, select
from snapproxy.core.time_spec import format_instant
from snapproxy.families import FAMILIES

ROWS = {row.name: row for row in BUILTIN}
every_row = pytest.mark.parametrize("row", BUILTIN, ids=[row.name for row in BUILTIN])

#: Addresses in the proxy form: the archive that each selects, and the path in it. At least one for each archive.
CLIENTS = (
    ("ftp.de.debian.org/debian/dists/sid/InRelease", "debian", "dists/sid/InRelease"),
    ("security.debian.org/dists/bullseye-security/InRelease", "debian-security", "dists/bullseye-security/InRelease"),
    ("debug.mirrors.debian.org/debian-debug/dists/sid-debug/Release", "debian-debug", "dists/sid-debug/Release"),
    ("ftp.ports.debian.org/debian-ports/dists/sid/InRelease", "debian-ports", "dists/sid/InRelease"),
    ("archive.debian.org/debian/dists/lenny/Release", "debian-archive", "debian/dists/lenny/Release"),
    ("ftp.de.debian.org/debian-backports/dists/x/Release", "debian-backports", "dists/x/Release"),
    ("volatile.debian.org/debian-volatile/dists/x/Release", "debian-volatile", "dists/x/Release"),
    ("ports.ubuntu.com/ubuntu-ports/dists/noble/InRelease", "ubuntu-ports", "dists/noble/InRelease"),
    ("de.archive.ubuntu.com/ubuntu/dists/noble/InRelease", "ubuntu", "dists/noble/InRelease"),
    ("ppa.launchpadcontent.net/o/p/ubuntu/dists/noble/InRelease", "ppa", "o/p/ubuntu/dists/noble/InRelease"),
    ("geo.mirror.pkgbuild.com/core/os/x86_64/core.db", "archlinux", "core/os/x86_64/core.db"),
    ("mirror.archlinuxarm.org/aarch64/core/core.db", "archlinuxarm", "aarch64/core/core.db"),
    (
        "download.example/pub/fedora/linux/updates/42/x/repodata/repomd.xml",
        "fedora",
        "updates/42/x/repodata/repomd.xml",
    ),
    ("mirror.stream.centos.org/9-stream/BaseOS/x86_64/os/a.rpm", "centos-stream", "9-stream/BaseOS/x86_64/os/a.rpm"),
    ("dl.rockylinux.org/pub/rocky/9/BaseOS/x86_64/os/a.rpm", "rocky", "9/BaseOS/x86_64/os/a.rpm"),
    ("repo.almalinux.org/almalinux/9/BaseOS/x86_64/os/a.rpm", "almalinux", "9/BaseOS/x86_64/os/a.rpm"),
    ("cdn.opensuse.org/distribution/leap/15.6/repo/oss/x/a.rpm", "opensuse-leap", "15.6/repo/oss/x/a.rpm"),
    (
        "download.opensuse.org/update/leap/15.6/oss/repodata/repomd.xml",
        "opensuse-update",
        "leap/15.6/oss/repodata/repomd.xml",
    ),
    (
        "download.opensuse.org/tumbleweed/repo/oss/repodata/repomd.xml",
        "opensuse-tumbleweed",
        "repo/oss/repodata/repomd.xml",
    ),
    ("dl-cdn.alpinelinux.org/alpine/v3.22/main/x86_64/APKINDEX.tar.gz", "alpine", "v3.22/main/x86_64/APKINDEX.tar.gz"),
)


@pytest.mark.parametrize(("address", "name", "path"), CLIENTS)
def test_an_address_as_clients_write_it_selects_its_row_and_no_other(address: str, name: str, path: str) -> None:
    host, _, rest = address.partition("/")
    chosen = select(routes_of(BUILTIN, HISTORIES), host, rest)
    assert chosen is not None
    route, inside = chosen
    assert (route.archive.name, route.kind, inside) == (name, RouteKind.MIRROR, path)
    assert FAMILIES[ROWS[name].family].classify(inside).role is not Role.OTHER


def test_every_row_has_clients() -> None:
    assert {name for _, name, _ in CLIENTS} == set(ROWS)
    assert len(BUILTIN) == len(ROWS)


@every_row
def test_a_row_can_be_used_as_it_stands(row: Archive) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", row.name)
    assert row.name not in RESERVED_NAMES
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
        assert re.fullmatch(r"(\*|[a-z0-9-]+)(\.(\*|[a-z0-9-]+))+/([a-z0-9-]+/)*", pattern) or row.name == "archlinux"


def test_arch_is_recognised_by_what_follows_any_folder_on_any_host() -> None:
    assert ROWS["archlinux"].hosts == ("*/**/*/os/*/*",)
    assert not ROWS["archlinux"].keyrings, "its databases are not signed"


def test_ended_archives_are_frozen_and_no_living_one_is() -> None:
    assert {row.name for row in BUILTIN if row.frozen} == {"debian-archive", "debian-backports", "debian-volatile"}


def test_ubuntus_record_begins_on_the_first_of_march_2023_and_settles_in_an_hour() -> None:
    for name in ("ubuntu", "ubuntu-ports"):
        assert format_instant(ROWS[name].first or 0) == "20230301T000000Z"
        assert ROWS[name].settle_after == 3600


def test_security_may_be_silent_for_longer_than_the_main_archive() -> None:
    assert ROWS["debian"].max_gap == 48 * 3600
    assert ROWS["debian-security"].max_gap > ROWS["debian"].max_gap


@every_row
def test_keyrings_are_those_of_packages_and_hold_the_removed_keys_as_well(row: Archive) -> None:
    folders = ("/usr/share/keyrings/", "/usr/share/distribution-gpg-keys/", "/etc/apk/", "/usr/share/apk/")
    assert all(path.startswith(folders) for path in row.keyrings)
    assert row.family != "apt" or row.name == "ppa" or any("removed" in path for path in row.keyrings)

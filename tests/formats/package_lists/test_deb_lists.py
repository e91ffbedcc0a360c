"""Lists of Debian packages, and SHA256SUMS: every entry, as a whole value."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from snapproxy.formats.package_lists.known import read_list
from snapproxy.formats.package_lists.model import ListedDigest, ListEntry, PackageList
from tests.fakes.deb_sbom_lists import CONTENTS


def deb(origin: str, name: str, version: str, architecture: str = "") -> ListEntry:
    return ListEntry(origin, family="apt", name=name, version=version, architecture=architecture)


def digest(word: str) -> tuple[ListedDigest, ...]:
    return (ListedDigest("sha256", sha256(word.encode()).hexdigest()),)


@pytest.mark.parametrize("file", ["dpkg/query.txt", "dpkg/query-equals.txt"])
def test_dpkg_query(file: str) -> None:
    assert read_list(CONTENTS[file]) == PackageList(
        "dpkg-query",
        (
            deb("line 1", "broken", "3-1"),
            deb("line 2", "gone", "1.0~rc1"),
            deb("line 3", "hello", "2.10-3"),
            deb("line 4", "libstdc++6", "12.2.0-14+deb12u1", "amd64"),
            deb("line 5", "tzdata", "1:2024a-0+deb12u1"),
            deb("line 6", "unpacked", "4"),
        ),
    )


def test_a_package_that_dpkg_only_knows_has_no_version() -> None:
    assert read_list(b"hello\t2.10-3\ndebhelper\t\n") == PackageList(
        "dpkg-query",
        (deb("line 1", "hello", "2.10-3"),),
        ("Packages without a version, which are not installed, were left out: 1.",),
    )


def test_dpkg_list() -> None:
    assert read_list(CONTENTS["dpkg/list.txt"]) == PackageList(
        "dpkg-list",
        (
            deb("line 8", "hello", "2.10-3", "amd64"),
            deb("line 9", "libstdc++6", "12.2.0-14+deb12u1", "amd64"),
            deb("line 10", "tzdata", "1:2024a-0+deb12u1", "all"),
        ),
        ("Packages that are not completely installed were left out: 3.",),
    )


def test_dpkg_status() -> None:
    assert read_list(CONTENTS["dpkg/status"]) == PackageList(
        "dpkg-status",
        (
            deb("stanza 3", "hello", "2.10-3", "amd64"),
            deb("stanza 4", "libstdc++6", "12.2.0-14+deb12u1", "amd64"),
            deb("stanza 5", "tzdata", "1:2024a-0+deb12u1", "all"),
        ),
        ("Packages that are not completely installed were left out: 1 config-files, 1 half-configured, 1 unpacked.",),
    )


@pytest.mark.parametrize("state", ["hold ok installed", "install ok triggers-awaited", "install ok triggers-pending"])
def test_other_states_of_installed_packages(state: str) -> None:
    data = CONTENTS["dpkg/status"].replace(b"install ok half-configured", state.encode())
    assert read_list(data).entries[0] == deb("stanza 1", "broken", "3-1", "amd64")


def test_files_of_status_d() -> None:
    two = PackageList(
        "dpkg-status",
        (deb("stanza 1", "hello", "2.10-3", "amd64"), deb("stanza 2", "tzdata", "1:2024a-0+deb12u1", "all")),
    )
    assert read_list(CONTENTS["dpkg/status.d"]) == two
    assert read_list(CONTENTS["dpkg/status.d"].replace(b"\nPackage:", b"\n\nPackage:")) == two
    assert (
        read_list(CONTENTS["dpkg/status.d"].replace(b"\n", b"\r\n").replace(b"\r\nPackage", b"\r\n\r\nPackage")) == two
    )


def test_a_large_status_is_read() -> None:
    stanza = CONTENTS["dpkg/status"].split(b"\n\n")[2] + b"\nDepends: " + b"libc6, " * 100 + b"x\n\n"
    assert len(read_list(stanza * 5000).entries) == 5000


@pytest.mark.parametrize("file", ["snaptest_1.0_amd64.buildinfo", "signed.buildinfo"])
def test_buildinfo(file: str) -> None:
    place = "Installed-Build-Depends, item"
    assert read_list(CONTENTS[f"debian/{file}"]) == PackageList(
        "debian-buildinfo",
        (
            deb(f"{place} 1", "hello", "2.10-3"),
            deb(f"{place} 2", "libgcc-s1", "12.2.0-14+deb12u1", "i386"),
            deb(f"{place} 3", "libstdc++6", "12.2.0-14+deb12u1"),
            deb(f"{place} 4", "tzdata", "1:2024a-0+deb12u1"),
        ),
        made=1795918109,  # 2026-11-29T02:08:29Z
        architecture="amd64",
    )


def test_a_date_with_an_offset() -> None:
    data = CONTENTS["debian/snaptest_1.0_amd64.buildinfo"]
    assert read_list(data.replace(b"02:08:29 +0000", b"04:08:29 +0200")).made == 1795918109
    assert read_list(data.replace(b"02:08:29 +0000", b"02:08:29 -0000")).made == 1795918109


def test_debootsnap() -> None:
    assert read_list(CONTENTS["debootsnap/packages.txt"]) == PackageList(
        "debootsnap",
        (
            deb("line 1, item 1", "hello", "2.10-3", "amd64"),
            deb("line 1, item 2", "libstdc++6", "12.2.0-14+deb12u1", "amd64"),
            deb("line 1, item 3", "tzdata", "1:2024a-0+deb12u1"),
            deb("line 2, item 1", "gcc-12-base", "12.2.0-14+deb12u1"),
            deb("line 4, item 1", "bash", "5.2.15-2+b8"),
        ),
    )


@pytest.mark.parametrize("separator", [b",", b"\n", b"\r\n", b", \n"])
def test_separators_of_debootsnap(separator: bytes) -> None:
    found = read_list(separator.join([b"hello:amd64=2.10-3", b"bash = 5.2-1"]))
    assert [(each.name, each.version, each.architecture) for each in found.entries] == [
        ("hello", "2.10-3", "amd64"),
        ("bash", "5.2-1", ""),
    ]


def test_sha256sums_of_every_family() -> None:
    pacman = {"family": "pacman", "name": "filesystem", "version": "2024.04.07-1", "architecture": "any"}
    folder = "f/filesystem/filesystem-2024.04.07-1-any.pkg.tar.zst"
    assert read_list(CONTENTS["sha256sums/repro-get.txt"]) == PackageList(
        "sha256sums",
        (
            replace(
                deb("line 2", "hello", "", "amd64"),
                path="pool/main/h/hello/hello_2.10-3_amd64.deb",
                digests=digest("hello"),
            ),
            replace(
                deb("line 3", "libstdc++6", "", "amd64"),
                path="pool/main/g/gcc-12/libstdc++6_12.2.0-14+deb12u1_amd64.deb",
                digests=digest("libstdc"),
            ),
            ListEntry(
                "line 4",
                family="apk",
                name="bash",
                version="5.2.21-r0",
                architecture="x86_64",
                path="v3.19/main/x86_64/bash-5.2.21-r0.apk",
                digests=digest("bash"),
            ),
            ListEntry("line 5", **pacman, path=folder, digests=digest("filesystem")),
            ListEntry("line 6", **pacman, path=f"{folder}.sig", digests=digest("filesystem.sig")),
            ListEntry(
                "line 7",
                family="rpm",
                name="bind-utils",
                architecture="x86_64",
                path="bind/9.18.26/1.fc40/x86_64/bind-utils-9.18.26-1.fc40.x86_64.rpm",
                digests=digest("bind"),
            ),
        ),
    )


def test_sha256sums_by_title() -> None:
    assert read_list(CONTENTS["sha256sums/titled.txt"]) == PackageList(
        "sha256sums",
        (
            ListEntry(
                "line 1",
                family="pacman",
                name="bash",
                version="5.2.026-2",
                architecture="x86_64",
                suite="archlinux",
                path="core/os/x86_64/bash-5.2.026-2-x86_64.pkg.tar.zst",
                digests=digest("a"),
            ),
            ListEntry(
                "line 2",
                suite="debian-security",
                path="dists/bookworm-security/InRelease",
                digests=digest("b"),
                first=1717200000,  # 2024-06-01T00:00:00Z
                last=1717200000,
            ),
            ListEntry(
                "line 3",
                family="apt",
                name="hello",
                architecture="amd64",
                suite="debian",
                path="pool/main/h/hello/hello_2.10-3_amd64.deb",
                digests=digest("c"),
                first=1717187692,  # 2024-05-31T20:34:52Z
                last=1717187692,
            ),
        ),
        ("Answers of snapshot services, which are no files, were left out: 1.",),
    )

"""Databases of installed packages: which packages count, and their dates."""

from __future__ import annotations

import pytest

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.time_evidence import installed
from snapproxy.formats.time_evidence.installed import (
    InstalledPackage,
    read_apk_installed,
    read_dpkg_status,
    read_pacman_desc,
    read_rpm_query,
)

STATUS = b"""\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Description: shell
 Version: 9

Package: vim
Status: deinstall ok config-files
Architecture: amd64
Version: 2:9.0

Package: half
Status: install ok half-installed
Architecture: amd64
Version: 1
"""
DESC = (
    b"%NAME%\nbash\n\n%VERSION%\n5.2.026-2\n\n%ARCH%\nx86_64\n\n%BUILDDATE%\n1716200000\n\n%INSTALLDATE%\n1717243201\n"
)
APK = b"""\
C:Q1abc=
P:musl
V:1.2.5-r0
A:x86_64
t:1716200000
F:lib
R:ld-musl-x86_64.so.1

P:busybox
V:1.36.1-r29
A:x86_64
t:1

V:1
"""


def test_only_installed_packages_of_dpkg_count() -> None:
    assert list(read_dpkg_status(STATUS)) == [InstalledPackage("bash", "5.2.15-2+b7", "amd64")]


def test_an_image_without_dpkg_has_stanzas_without_a_status() -> None:
    stanza = b"Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\n"
    assert list(read_dpkg_status(stanza)) == [InstalledPackage("libc6", "2.36-9", "amd64")]


def test_a_desc_has_both_dates() -> None:
    found = read_pacman_desc("bash-5.2.026-2/desc", DESC)
    assert found == InstalledPackage("bash", "5.2.026-2", "x86_64", 1716200000, 1717243201)


@pytest.mark.parametrize("data", [b"", b"%NAME%\n\n%VERSION%\n1\n", b"stray\n", b"%NAME%\na\n\n%NAME%\nb\n"])
def test_a_malformed_desc_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveDataError):
        read_pacman_desc("x/desc", data)


def test_apk_has_build_dates_and_an_impossible_one_is_left_out() -> None:
    assert list(read_apk_installed(APK)) == [
        InstalledPackage("musl", "1.2.5-r0", "x86_64", 1716200000),
        InstalledPackage("busybox", "1.36.1-r29", "x86_64"),
    ]


def test_a_query_of_rpm() -> None:
    lines = b"bash\t5.2-3\tx86_64\t1716200000\t1717243201\ngpg-pubkey\t1-1\t(none)\t1716200000\t1\nbroken\tline\n"
    assert list(read_rpm_query(lines)) == [InstalledPackage("bash", "5.2-3", "x86_64", 1716200000, 1717243201)]


@pytest.mark.parametrize(("read", "record"), [
    (read_dpkg_status, b"Package: a\nVersion: 1\n\n"), (read_apk_installed, b"P:a\nV:1\n\n"),
])  # fmt: skip
def test_the_number_of_packages_is_limited(monkeypatch: pytest.MonkeyPatch, read, record: bytes) -> None:
    monkeypatch.setattr(installed, "MOST_PACKAGES", 3)
    assert len(list(read(record * 3))) == 3
    with pytest.raises(ArchiveDataError):
        list(read(record * 4))

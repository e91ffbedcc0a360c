"""The date of a build, and of an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapproxy.formats.time_evidence.build_records import build_date, index_date

BUILDINFO = b"""\
Format: 1.0
Source: hello
Build-Date: Sat, 01 Jun 2024 12:00:01 +0000
Installed-Build-Depends:
 base-files (= 12.4+deb12u5),
"""
SIGNED = (
    b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n"
    + BUILDINFO
    + (b"-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n")
)
PACMAN = (
    b"format = 2\npkgname = hello\npkgbuild_sha256sum = 00\nbuilddate = 1717243201\ninstalled = bash-5.2-1-x86_64\n"
)


@pytest.mark.parametrize(("data", "line"), [(BUILDINFO, 3), (SIGNED, 6), (PACMAN, 4)])
def test_the_date_of_a_build(data: bytes, line: int) -> None:
    found = build_date(data)
    assert found is not None
    assert (found.first, found.last, found.line) == (1717243201, 1717243201, line)


@pytest.mark.parametrize("data", [
    b"", b"\0" * 100, BUILDINFO.replace(b"2024", b"1850"), BUILDINFO.replace(b"Build-Date", b"Date"),
    SIGNED.replace(b"-----END PGP SIGNATURE-----", b""), b"builddate = 1717243201\n",
    PACMAN.replace(b"1717243201", b"soon"),
])  # fmt: skip
def test_other_data_is_no_record(data: bytes) -> None:
    assert build_date(data) is None


def test_a_date_before_the_signed_text_does_not_count() -> None:
    assert index_date(b"Date: Sat, 01 Jun 2024 12:00:01 UTC\n" + SIGNED) != build_date(SIGNED)
    assert index_date(SIGNED) is None


def test_a_genuine_root() -> None:
    data = Path("tests/data/debian-security/dists/bookworm-security/InRelease").read_bytes()
    found = index_date(data)
    assert found is not None
    assert found.text.startswith("Date: ")

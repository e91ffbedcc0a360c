"""apk: the contract, and the details of version 2. `test_apk_3` tests version 3."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.model import ExpectedFile, Place, Role
from snapproxy.core.signature_schemes import RawSignature
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apk import APK
from tests.fakes.adb import genuine
from tests.fakes.alpine import ApkFile, RsaKey, gz, index, package, tar
from tests.families.contract import FamilyContract

KEY = RsaKey("test@example.org-1.rsa.pub", bits=1024)
OTHER_KEY = RsaKey("test@example.org-2.rsa.pub", bits=1024)
HELLO = package("hello", "1.0_rc1-r0", KEY)
PLUS = package("libstdc++", "13.2.1_git20240309-r0", KEY)
FOLDER = "v3.20/main/x86_64"
ROOT = f"{FOLDER}/APKINDEX.tar.gz"
INDEX = index([HELLO, PLUS], KEY)


def expected_files(*packages: ApkFile) -> dict[str, ExpectedFile]:
    return dict(APK.read_index(ROOT, [index(packages, KEY)]))


def an_index(text: str, **further: bytes) -> bytes:
    return gz(tar({"DESCRIPTION": b"", "APKINDEX": text.encode(), **further}))


def verdict(expected: ExpectedFile, data: bytes, size: int = 7) -> str | None:
    checker = APK.checker(expected)
    for at in range(0, len(data), size):
        checker.update(data[at : at + size])
    return checker.finish()


def expected_file(each: ApkFile) -> ExpectedFile:
    return expected_files(each)[f"{FOLDER}/{each.file}"]


def unsized(expected: ExpectedFile) -> ExpectedFile:
    return replace(expected, size=None)


class TestApk(FamilyContract):
    family = APK
    samples: ClassVar = {
        ROOT: INDEX,
        "edge/testing/aarch64/APKINDEX.tar.gz": index([HELLO]),
        "main/x86_64/Packages.adb": genuine("Packages.adb"),
        "nested/spec.adb": genuine("spec.adb"),
    }
    own_algorithms: ClassVar = {
        "apk-identity-160": "sha1",
        "apk-identity-256": "sha256",
        "apk-identity-512": "sha512",
    }


# --- paths


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (ROOT, Place(Role.ROOT, lists_files=True)),
        ("APKINDEX.tar.gz", Place(Role.ROOT, lists_files=True)),
        (f"{FOLDER}/libstdc++-13.2.1-r0.apk", Place(Role.PACKAGE, parents=(ROOT, f"{FOLDER}/Packages.adb"))),
        ("v3.23/main/x86_64/Packages.adb", Place(Role.ROOT, lists_files=True)),
        ("some/where/my-index.adb", Place(Role.ROOT, lists_files=True)),
        ("v3.20/releases/x86_64/alpine-minirootfs-3.20.0-x86_64.tar.gz", Place(Role.OTHER)),
        ("v3.20/releases/x86_64/latest-releases.yaml", Place(Role.OTHER)),
        ("MIRRORS.txt", Place(Role.OTHER)),
        ("a/../APKINDEX.tar.gz", Place(Role.OTHER)),
        ("a//b.apk", Place(Role.OTHER)),
        (f"{FOLDER}/", Place(Role.OTHER)),
    ],
)
def test_paths_are_classified(path: str, place: Place) -> None:
    assert APK.classify(path) == place


# --- the index


def test_an_index_lists_the_packages_beside_it_with_size_and_control_digest() -> None:
    control = hashlib.sha1(PLUS.control).hexdigest()
    expected = ExpectedFile(f"{FOLDER}/{PLUS.file}", len(PLUS.whole), {"apk-identity-160": control})
    assert expected_files(HELLO, PLUS)[expected.path] == expected


def test_a_control_digest_is_not_strong() -> None:
    """The SHA-1 of a part is too weak for other sources: the file comes only from the archive of the requested time."""
    assert not expected_file(HELLO).is_strong


@pytest.mark.parametrize(
    ("checksum", "algorithm"),
    [
        ("X1" + "ab" * 20, "apk-identity-160"),
        ("Q2" + "q" * 43 + "=", "apk-identity-256"),
        ("Q1" + "q" * 43 + "=", "apk-identity-256"),  # apk 3 reads the length, not the number
    ],
)
def test_other_spellings_of_a_digest(checksum: str, algorithm: str) -> None:
    ((_, expected),) = APK.read_index(ROOT, [an_index(f"C:{checksum}\nP:a\nV:1\n")])
    assert list(expected.digests) == [algorithm]


def test_the_same_package_twice_must_agree() -> None:
    assert len(expected_files(HELLO, HELLO)) == 1
    with pytest.raises(ArchiveDataError, match="contradicts itself"):
        expected_files(HELLO, package("hello", "1.0_rc1-r0", KEY, b"rebuilt\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"C:{HELLO.identity}\nP:../../etc\nV:1\n", "outside its archive"),
        (f"C:{HELLO.identity}\nP:a\nV:1\\2\n", "outside its archive"),
        (f"C:{HELLO.identity}\nP:a\n", "no name"),
        (f"C:{HELLO.identity}\nP:a\nV:1\nS:-1\n", "malformed size"),
        (f"C:{HELLO.identity}\nP:a\nP:b\nV:1\n", "a duplicate field"),
        ("P:a\nV:1\n", "malformed digest"),
        ("C:Q1not base64\nP:a\nV:1\n", "malformed digest"),
        ("C:Q1AAAA\nP:a\nV:1\n", "malformed digest"),
        ("nonsense\n", "malformed line"),
    ],
)
def test_an_index_with_an_invalid_entry_is_refused(text: str, message: str) -> None:
    with pytest.raises(ArchiveDataError, match=message):
        list(APK.read_index(ROOT, [an_index(text)]))


def smuggle(files: dict[str, bytes]) -> bytes:
    """Put files into the signature part, which no signature covers."""
    return gz(tar({".SIGN.RSA.k": b"x", **files}, is_cut=True)) + index([HELLO])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (smuggle({"APKINDEX": HELLO.record.encode()}), "unsigned parts"),
        (INDEX + index([PLUS]), "trailing bytes"),
        (INDEX + b"x", "trailing bytes"),
        (INDEX[:-20], "truncated"),
        (b"", "truncated"),
        (gz(tar({"DESCRIPTION": b""})), "no list of packages"),
        (gz(b"x" * 512), "tar archive in the file is damaged"),
        (KEY.sign(b"x") * 18, "too many signatures"),
        (b"<html>", "damaged"),
    ],
)
def test_an_index_with_anything_around_its_signed_part_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ArchiveDataError, match=message):
        list(APK.read_index(ROOT, [data]))


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapproxy.formats.apkindex.MAX_UNPACKED", 1 << 20)
    with pytest.raises(ArchiveDataError, match="too large"):
        list(APK.read_index(ROOT, [gz(b"\0" * (2 << 20))]))


# --- signatures


def seals(path: str, data: bytes) -> tuple[RawSignature, ...]:
    return APK.scheme.seals(path, data)


def test_signatures_cover_every_byte_after_them() -> None:
    signed = index([HELLO], KEY, algorithm="RSA256")
    (seal,) = seals(ROOT, signed)
    assert (seal.key, seal.hash) == (KEY.name, "sha256")
    assert seal.signed == index([HELLO])


def test_an_index_may_have_several_signatures() -> None:
    found = seals(ROOT, index([HELLO], KEY, OTHER_KEY))
    assert [seal.key for seal in found] == [KEY.name, OTHER_KEY.name]
    assert len({seal.signed for seal in found}) == 1


def test_a_signature_of_an_unknown_kind_counts_for_nothing() -> None:
    strange = gz(tar({".SIGN.DSA.k.dsa.pub": b"x", ".SIGN.ED25519.k": b"x"}, is_cut=True))
    assert seals(ROOT, strange + index([HELLO])) == ()
    assert seals(ROOT, index([HELLO])) == ()


# --- packages


@given(size=st.integers(1, 2000))
def test_a_package_is_judged_as_it_passes(size: int) -> None:
    assert verdict(expected_file(HELLO), HELLO.whole, size) is None


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


REBUILT = package("hello", "1.0_rc1-r0", KEY, b"rebuilt\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda each: REBUILT.whole, "apk-identity-160 differs"),
        (lambda each: each.signature + REBUILT.control + each.data, "apk-identity-160 differs"),
        (lambda each: each.signature + each.control + REBUILT.data, "datahash differs"),
        (lambda each: flipped(each.whole, len(each.whole) - 1), "datahash differs"),
        (lambda each: each.whole[:-1], "datahash differs"),
        (lambda each: each.whole + b"x", "datahash differs"),
        (lambda each: each.signature + each.control, "datahash differs"),
        (lambda each: (each.signature + each.control)[:-1], "the package is truncated"),
        (lambda each: b"", "the package is truncated"),
        (lambda each: each.signature * 17 + each.control + each.data, "The package has too many signatures"),
        (lambda each: gz(tar({"usr/x": b""})) + each.whole, "The package has no control part"),
        (lambda each: gz(b"\0" * (17 << 20)), "A gzip member is too large"),
        (lambda each: b"BZh9", "A gzip member is damaged"),
        (lambda each: b"ADB.pckg", "the package is truncated"),
    ],
)
def test_a_package_that_differs_from_the_expected_one_is_refused(
    change: Callable[[ApkFile], bytes], words: str
) -> None:
    assert verdict(unsized(expected_file(HELLO)), change(HELLO), 4096) == words
    assert len(f"Upstream sent wrong bytes: {words}") <= 80


def test_a_package_of_another_size_is_reported_as_such() -> None:
    assert verdict(expected_file(HELLO), HELLO.whole + b"x") == "size differs"


def test_another_signature_is_accepted() -> None:
    """apk ignores the signature in a package that an index lists: a re-signed file is the same package."""
    assert verdict(unsized(expected_file(HELLO)), OTHER_KEY.sign(HELLO.control) + HELLO.control + HELLO.data) is None
    assert verdict(unsized(expected_file(HELLO)), HELLO.control + HELLO.data) is None


def test_a_package_without_a_datahash_is_pinned_by_the_digest_of_control_and_data() -> None:
    control = gz(tar({".PKGINFO": b"pkgname = old\n"}, is_cut=True))
    data = gz(tar({"usr/x": b"x"}))
    expected = ExpectedFile("x.apk", None, {"apk-identity-160": hashlib.sha1(control + data).hexdigest()})
    assert verdict(expected, control + data) is None
    assert verdict(expected, control + flipped(data, 20)) == "apk-identity-160 differs"


# --- the client


def test_the_rules_of_the_client() -> None:
    """Eight seconds; no 409 for a newer index (apk takes any index that it receives); no date on an index."""
    assert (APK.patience, APK.keeps_newer_root, APK.tells_root_dates) == (8.0, False, False)
    assert (APK.signature(ROOT), APK.root_date(INDEX)) == (None, None)
    assert APK.lasting_path(expected_file(HELLO)) == f"{FOLDER}/{HELLO.file}"

"""apk's indexes and packages of version 3: genuine files, and every kind of invalid file."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apk import APK
from snapproxy.formats.adb_package import unique_id
from tests.fakes.adb import (
    ADB,
    DATA,
    EC_ID,
    RSA_ID,
    SIGNATURE,
    blocks,
    changed,
    container,
    deflated,
    genuine,
    unpacked,
)

ROOT = "edge/main/x86_64/Packages.adb"
INDEX = genuine("Packages.adb")
HELLO = genuine("hello-1.0-r0.apk")
DATA_PACKAGE = genuine("data-2-r0.apk")
OLD = genuine("old-1-r0.apk")


def expected_files(path: str = ROOT, data: bytes = INDEX) -> dict[str, ExpectedFile]:
    return dict(APK.read_index(path, [data]))


def verdict(expected: ExpectedFile, data: bytes, size: int = 97) -> str | None:
    checker = APK.checker(ExpectedFile(expected.path, None, expected.digests))
    for at in range(0, len(data), size):
        checker.update(data[at : at + size])
    return checker.finish()


# --- expected files


def test_packages_are_in_the_folder_of_their_own_architecture() -> None:
    """A `v3` line names the folder above the architectures, and apk looks for noarch beside x86_64."""
    assert {path: each.size for path, each in expected_files().items()} == {
        "edge/main/noarch/data-2-r0.apk": len(DATA_PACKAGE),
        "edge/main/x86_64/hello-1.0-r0.apk": len(HELLO),
        "edge/main/x86_64/old-1-r0.apk": len(OLD),
    }


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("base/packages.adb", "base/"),
        ("x86_64/base/Packages.adb", "x86_64/base/"),
        ("x86_64/other.adb", "x86_64/"),
        ("Packages.adb", ""),
    ],
)
def test_packages_are_beside_an_index_that_has_a_name_or_a_place_of_its_own(path: str, folder: str) -> None:
    """An `ndx` line names the index; a `v3` line could not find it there."""
    assert list(expected_files(path)) == [
        f"{folder}{name}" for name in ("data-2-r0.apk", "hello-1.0-r0.apk", "old-1-r0.apk")
    ]


def test_an_architecture_that_apk_is_not_built_for_is_known_by_its_packages() -> None:
    strange = changed(INDEX, replace(b"x86_64", b"e2k_v6"))
    assert "edge/main/e2k_v6/hello-1.0-r0.apk" in expected_files("edge/main/e2k_v6/Packages.adb", strange)


def test_an_index_may_say_where_its_packages_are() -> None:
    hello = hashlib.sha256(blocks(HELLO)[0][1]).hexdigest()[:40]
    expected = expected_files("repo/spec.adb", genuine("spec.adb"))[f"repo/pool/{hello[:4]}/hello-1.0-r0.apk"]
    assert expected.digests == {"apk-identity-160": hello}


def replace(old: bytes, new: bytes) -> Callable[[bytearray], None]:
    """Return a function that replaces bytes in a block. Both have the same length, so that the offsets stay valid."""
    assert len(old) == len(new)

    def change(block: bytearray) -> None:
        assert old in block
        block[:] = block.replace(old, new)

    return change


def test_packages_with_absolute_addresses_are_skipped() -> None:
    absolute = changed(genuine("spec.adb"), replace(b"pool/${hash:4}", b"http://e.test/"))
    assert expected_files("repo/spec.adb", absolute) == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"pool/${hash:4}", b"../x/${hash:4}", "outside its archive"),
        (b"pool/${hash:4}", b"p//l/${hash:4}", "outside its archive"),
        (b"pool/${hash:4}", b"pool/${what:4}", "unknown path pattern"),
        (b"hello", b"he/lo", "outside its archive"),
        (b"1.0-r0", b"1/0-r0", "outside its archive"),
        (b"1.0-r0", b"1\n0-r0", "outside its archive"),
    ],
)
def test_an_index_that_names_files_elsewhere_is_refused(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(ArchiveDataError, match=message):
        expected_files("repo/spec.adb", changed(genuine("spec.adb"), replace(old, new)))


def test_a_package_without_a_digest_is_passed_over_as_apk_does() -> None:
    """The index stores a digest with its length. A length that no algorithm has is not a digest."""
    identity = hashlib.sha256(blocks(HELLO)[0][1]).digest()
    shortened = changed(INDEX, replace(b"\x20" + identity, b"\x10" + identity))
    assert sorted(expected_files(data=shortened)) == ["edge/main/noarch/data-2-r0.apk", "edge/main/x86_64/old-1-r0.apk"]


# --- signatures


def test_a_signature_names_its_key_by_the_key_itself() -> None:
    found = APK.scheme.seals(ROOT, INDEX)
    assert [(seal.key, seal.hash, seal.by_id) for seal in found] == [(RSA_ID, "sha512", True), (EC_ID, "sha512", True)]
    metadata = blocks(INDEX)[0][1]
    assert found[0].signed == b"indx\0\4" + bytes.fromhex(RSA_ID) + hashlib.sha512(metadata).digest()


@pytest.mark.parametrize(
    ("number", "kind", "count"), [(0, b"\1\4", 0), (0, b"\0\5", 0), (0, b"\0\2", 0), (0, b"\0\3", 1)]
)
def test_a_signature_of_an_unknown_kind_counts_for_nothing(number: int, kind: bytes, count: int) -> None:
    metadata, signature, _ = blocks(INDEX)
    other = container(b"indx", metadata, (SIGNATURE, kind + signature[1][2:]), (SIGNATURE, b"\0"))
    found = APK.scheme.seals(ROOT, other)
    assert len(found) == count
    assert all(seal.signed.endswith(hashlib.sha256(metadata[1]).digest()) for seal in found)


GENUINE_SEALS = APK.scheme.seals(ROOT, INDEX)


@given(at=st.integers(0, 2000), new=st.binary(min_size=1, max_size=4), is_packed=st.booleans())
def test_a_changed_index_lists_the_same_or_loses_its_signatures(at: int, new: bytes, is_packed: bool) -> None:
    data = unpacked(INDEX)
    at %= len(data)
    data = data[:at] + new + data[at + len(new) :]
    try:
        found = APK.scheme.seals(ROOT, deflated(data) if is_packed else data)
        table = expected_files(data=data)
    except ArchiveDataError:
        return
    if any(seal in GENUINE_SEALS for seal in found):
        assert table == expected_files()


# --- packages

HELLO_EXPECTED = expected_files()["edge/main/x86_64/hello-1.0-r0.apk"]
METADATA, SIGNED, *FILES = blocks(HELLO)
MAX_ERROR_LENGTH = 80 - len("Upstream sent wrong bytes: ")


def test_the_expected_packages_are_accepted() -> None:
    """Two of version 3, and one of version 2 in the same index."""
    for expected, data in zip(expected_files().values(), (DATA_PACKAGE, HELLO, OLD), strict=True):
        assert verdict(expected, data) is None
        assert expected.size == len(data)


@given(size=st.integers(1, 1000))
def test_in_any_pieces(size: int) -> None:
    assert verdict(HELLO_EXPECTED, HELLO, size) is None


@pytest.mark.parametrize("pack", [unpacked, lambda data: b"ADBc\2\0" + zstandard.compress(unpacked(data))])
def test_the_identity_is_independent_of_the_compression(pack: Callable[[bytes], bytes]) -> None:
    """The identity does not depend on the compression. The size in the index does, so such a file is still refused."""
    assert verdict(HELLO_EXPECTED, pack(HELLO)) is None
    checker = APK.checker(HELLO_EXPECTED)
    checker.update(pack(HELLO))
    assert checker.finish() == "size differs"


def test_another_signature_is_accepted() -> None:
    assert verdict(HELLO_EXPECTED, container(b"pckg", METADATA, *FILES)) is None


def file(folder: int, number: int, content: bytes) -> tuple[int, bytes]:
    return DATA, struct.pack("<II", folder, number) + content


HELLO_FILE, LONG_FILE = file(4, 2, b"hello 1.0-r0\n"), file(5, 1, b"x" * 3000)


def package(*parts: tuple[int, bytes]) -> bytes:
    return container(b"pckg", METADATA, *parts)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (genuine("hello-1.1-r0.apk"), "apk-identity-256 differs"),
        (DATA_PACKAGE, "apk-identity-256 differs"),
        (OLD, "apk-identity-256 differs"),
        (container(b"pckg", (ADB, METADATA[1] + b"x"), *FILES), "apk-identity-256 differs"),
        (container(b"indx", METADATA, *FILES), "the adb file is not a package"),
        (package(file(4, 2, b"hello 1.1-r0\n"), LONG_FILE), "sha256 of a file in it differs"),
        (package(HELLO_FILE, file(5, 1, b"x" * 2999 + b"y")), "sha256 of a file in it differs"),
        (package(HELLO_FILE, file(5, 1, b"x" * 2999)), "a file in it is out of order"),
        (package(LONG_FILE, HELLO_FILE), "a file in it is out of order"),
        (package(HELLO_FILE, HELLO_FILE, LONG_FILE), "a file in it is out of order"),
        (package(HELLO_FILE, LONG_FILE, file(5, 1, b"")), "a file in it is out of order"),
        (package(HELLO_FILE), "a file in it is missing"),
        (package(), "a file in it is missing"),
        (package(HELLO_FILE, LONG_FILE)[:-8], "the package is truncated"),
        (HELLO[:-1], "the package is truncated"),
        (HELLO + b"x", "The adb file has trailing bytes"),
        (package(HELLO_FILE, LONG_FILE) + b"xx", "the package is truncated"),
        (b"ADB", "the package is truncated"),
        (b"A", "the package is truncated"),
        (b"", "the package is truncated"),
    ],
)
def test_a_package_that_differs_from_the_expected_one_is_refused(data: bytes, words: str) -> None:
    assert (verdict(HELLO_EXPECTED, data), verdict(HELLO_EXPECTED, data, 1)) == (words, words)
    assert len(words) <= MAX_ERROR_LENGTH


@given(at=st.integers(0, 5000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_wherever_it_matters(at: int, bit: int) -> None:
    """A flipped bit is detected except in the signature, and in the bits of its size that only change the padding."""
    data = bytearray(package((SIGNATURE, SIGNED[1]), HELLO_FILE, LONG_FILE))
    at %= len(data)
    data[at] ^= 1 << bit
    words = verdict(HELLO_EXPECTED, bytes(data))
    assert words is None or len(words) <= MAX_ERROR_LENGTH
    content = len(package()) + 4
    if content - 4 <= at < content:
        return
    assert (words is None) == (content <= at < content + len(SIGNED[1]))


def test_an_identity_of_160_bits_is_a_cut_sha256_or_the_package_s_own_id() -> None:
    """`apk mkndx --hash sha256-160` writes one of them; the other is the package's own id (`apk mkpkg`)."""
    expected = next(each for path, each in expected_files("x/spec.adb", genuine("spec.adb")).items() if "hello" in path)
    own = unique_id(METADATA[1])
    assert own is not None
    for digest in (expected.digests["apk-identity-160"], own.hex()):
        assert verdict(ExpectedFile("p", None, {"apk-identity-160": digest}), HELLO) is None
    wrong = ExpectedFile("p", None, {"apk-identity-160": hashlib.sha1(METADATA[1]).hexdigest()})
    assert verdict(wrong, HELLO) == "apk-identity-160 differs"


def test_an_identity_of_512_bits() -> None:
    digest = hashlib.sha512(METADATA[1]).hexdigest()
    assert verdict(ExpectedFile("p", None, {"apk-identity-512": digest}), HELLO) is None


def test_a_package_that_is_not_compressed() -> None:
    plain = genuine("unpacked.apk")
    expected = ExpectedFile("p", None, {"apk-identity-256": hashlib.sha256(blocks(plain)[0][1]).hexdigest()})
    assert verdict(expected, plain) is None
    assert verdict(expected, plain.replace(b"data 2-r0\n", b"data 3-r0\n")) == "sha256 of a file in it differs"


def test_a_huge_declared_size_is_refused_early() -> None:
    """Metadata that would decompress to gigabytes are refused before the decompression."""
    bomb = deflated(b"ADB.pckg" + struct.pack("<IIQ", 3 << 30, 0, 1 << 40) + bytes(1 << 20))
    assert verdict(HELLO_EXPECTED, bomb) == "An adb block has an invalid size"

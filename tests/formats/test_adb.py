"""The readers of apk's adb container and its values: genuine files, every bound, and arbitrary bytes."""

from __future__ import annotations

import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats import adb_package
from snapproxy.formats.adb import Values
from snapproxy.formats.adb_blocks import Container
from snapproxy.formats.adb_index import AdbEntry, open_index
from snapproxy.formats.adb_package import DataFile, data_files, unique_id
from tests.fakes.adb import ADB, DATA, EC_ID, RSA_ID, SIGNATURE, block, blocks, container, deflated, genuine, unpacked

INDEX = genuine("Packages.adb")
PLAIN = unpacked(INDEX)
METADATA = blocks(INDEX)[0][1]
PACKAGE = genuine("hello-1.0-r0.apk")


class RecordingReceiver:
    """Record the calls of a container's parser; implements `adb_blocks.Receiver`."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def schema(self, number: int) -> None:
        self.calls.append(number)

    def metadata(self, block: bytes) -> None:
        self.calls.append(block)

    def signature(self, block: bytes) -> None:
        self.calls.append(block)

    def begin_file(self, folder: int, file: int, size: int) -> None:
        self.calls.append((folder, file, size))
        self._content = b""

    def data(self, piece: memoryview) -> None:
        self._content += piece

    def end_file(self) -> None:
        self.calls.append(self._content)


def parsed(data: bytes, size: int = 1 << 20) -> tuple[list[object], bool]:
    """Parse a container in pieces of `size` bytes. Return the recorded calls and whether the container is complete."""
    receiver = RecordingReceiver()
    parser = Container(receiver)
    for at in range(0, len(data), size):
        parser.take(data[at : at + size])
    return receiver.calls, parser.is_whole


# --- genuine files


def test_a_genuine_index() -> None:
    index = open_index(INDEX)
    assert (index.spec, [each.key for each in index.signatures]) == ("", [RSA_ID, EC_ID])
    assert [(each.name, each.version, each.architecture, each.origin, each.size) for each in index.entries()] == [
        ("data", "2-r0", "noarch", "hello-src", 337),
        ("hello", "1.0-r0", "x86_64", "hello-src", 813),
        ("old", "1-r0", "x86_64", "old", 746),
    ]
    assert [len(each.identity) for each in index.entries()] == [32, 32, 20]


def test_an_index_says_where_packages_are() -> None:
    assert open_index(genuine("spec.adb")).spec == "pool/${hash:4}/${name}-${version}.apk"


@given(size=st.integers(1, 900))
def test_a_genuine_package_arrives_in_any_pieces(size: int) -> None:
    calls, is_whole = parsed(PACKAGE, size)
    assert (calls, is_whole) == parsed(PACKAGE)
    assert is_whole
    assert calls[-4:] == [(4, 2, 13), b"hello 1.0-r0\n", (5, 1, 3000), b"x" * 3000]


def test_a_genuine_package_names_its_files_and_itself() -> None:
    metadata = blocks(PACKAGE)[0][1]
    assert [(each.folder, each.file, each.size) for each in data_files(metadata)] == [(4, 2, 13), (5, 1, 3000)]
    assert all(len(each.digest) == 64 for each in data_files(metadata)), "links and empty files have no block"
    own = unique_id(metadata)
    assert own is not None
    assert own in metadata
    assert unique_id(metadata.replace(own, own[::-1])) is None
    assert unique_id(bytes(16)) is None


@pytest.mark.parametrize(
    "packed",
    [
        PLAIN,
        b"ADBc\0\x01" + PLAIN,
        deflated(PLAIN),
        b"ADBc\x01\x09" + deflated(PLAIN)[4:],
        b"ADBc\x02\x03" + zstandard.compress(PLAIN),
    ],
    ids=["plain", "none", "deflate", "deflate with a level", "zstd"],
)
def test_the_identity_is_independent_of_the_compression(packed: bytes) -> None:
    """The apk built for the tests has no zstd: the stream is made by zstd, after the head that adb_comp.c writes."""
    assert parsed(packed, 7) == parsed(INDEX)
    assert list(open_index(packed).entries()) == list(open_index(INDEX).entries())


def test_a_block_may_say_its_size_in_the_long_way() -> None:
    """A block larger than a gigabyte needs one."""
    long = PLAIN[:8] + b"".join(block(kind, content, is_extended=True) for kind, content in blocks(INDEX))
    assert parsed(long) == parsed(INDEX)


# --- invalid files

SIGNED = blocks(INDEX)[1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (b"<html>", "not an adb file"),
        (b"ADBx" + PLAIN[4:], "not an adb file"),
        (b"ADBc\x03\0" + PLAIN, "not an adb file"),
        (deflated(b"ADBd" + PLAIN), "not an adb file"),
        (b"ADBd" + b"\xff" * 20, "damaged"),
        (INDEX + b"x", "trailing bytes"),
        (b"ADBc\x02\0" + zstandard.compress(PLAIN) + b"x", "trailing bytes"),
        (PACKAGE, "not an index"),
        (container(b"indx", (DATA, b"x" * 8)), "out of order"),
        (container(b"indx", SIGNED), "out of order"),
        (container(b"indx", (ADB, METADATA), (ADB, METADATA)), "out of order"),
        (container(b"indx", (ADB, METADATA), (DATA, b"x" * 9)), "unsigned parts"),
        (container(b"indx", (ADB, METADATA), *[SIGNED] * 17), "too many signatures"),
        (container(b"indx", (ADB, METADATA), (SIGNATURE, b"x" * 5000)), "invalid size"),
        (container(b"indx", (ADB, b"x" * 8)), "invalid size"),
        (container(b"indx", (ADB, b"\1" + METADATA[1:])), "unknown version"),
        (PLAIN[:8] + struct.pack("<I", 0), "invalid size"),
        (PLAIN[:8] + struct.pack("<IIQ", 3 << 30, 0, 1 << 40), "invalid size"),
        (PLAIN[:8] + struct.pack("<IIQ", 3 << 30 | 3, 0, 40), "out of order"),
        (PLAIN[:8] + block(ADB, METADATA, b"x"), "unsigned parts"),
    ],
)
def test_an_invalid_index_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ArchiveDataError, match=message):
        open_index(data)


@pytest.mark.parametrize("data", [PLAIN, INDEX], ids=["plain", "packed"])
def test_an_index_that_ends_anywhere_is_cut_short_or_less_signed(data: bytes) -> None:
    """An uncompressed container may end after any block: the lost blocks are signatures, so this cannot be detected."""
    ends = {8 + sum(len(block(*part)) for part in blocks(INDEX)[:count]) for count in (1, 2)}
    for at in range(len(data)):
        if data is PLAIN and at in ends:
            assert list(open_index(data[:at]).entries()) == list(open_index(data).entries())
        else:
            with pytest.raises(ArchiveDataError):
                open_index(data[:at])


def test_a_bomb_is_stopped_by_the_bound_of_its_block() -> None:
    bomb = b"ADB.indx" + struct.pack("<IIQ", 3 << 30, 0, 1 << 33) + b"\0" * (1 << 20)
    with pytest.raises(ArchiveDataError, match="invalid size"):
        open_index(deflated(bomb))


# --- values

NUMBER, LONG, TEXT, LIST = 1 << 28, 3 << 28, 8 << 28, 13 << 28


def values(*words: int, tail: bytes = b"") -> Values:
    """Return a block whose root is the first word. The second word is at offset 8, the third at 12, and so on."""
    return Values(bytes(4) + struct.pack(f"<{len(words)}I", *words) + tail)


def test_numbers_strings_and_lists() -> None:
    block = values(LIST | 8, 3, NUMBER | 7, TEXT | 20, tail=b"\2hi" + bytes(3))
    assert block.fields(block.root, 2) == (NUMBER | 7, TEXT | 20)
    assert (block.number(NUMBER | 7), block.number(LONG | 16), block.number(2 << 28 | 8)) == (7, 0x6968_02_8000_0014, 3)
    assert (block.string(TEXT | 20, 2), block.span(TEXT | 20, 2)) == (b"hi", (21, 23))
    assert (block.fields(0, 9), block.number(0), block.string(0, 9), block.span(0, 9)) == ((), 0, b"", None)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (values(LIST | 0xFFFFFF), "outside its block"),
        (values(LIST | 8, 0), "invalid length"),
        (values(LIST | 8, 99), "invalid length"),
        (values(LIST | 8, 0xFFFFFFFF), "invalid length"),
        (values(TEXT | 8, 1), "wrong type"),
        (values(NUMBER | 8, 1), "wrong type"),
    ],
)
def test_an_invalid_list_is_refused(block: Values, message: str) -> None:
    with pytest.raises(ArchiveDataError, match=message):
        block.fields(block.root, 4)


def test_a_value_of_another_type_or_outside_the_block() -> None:
    block = values(0, tail=b"\xff")
    with pytest.raises(ArchiveDataError, match="wrong type"):
        block.string(NUMBER, 9)
    with pytest.raises(ArchiveDataError, match="wrong type"):
        block.number(TEXT | 8)
    with pytest.raises(ArchiveDataError, match="invalid length"):
        block.string(TEXT | 8, 255)
    with pytest.raises(ArchiveDataError, match="outside its block"):
        block.number(LONG | 8)


def test_a_package_whose_folders_share_their_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes of lists that all point to one list would list a million times a million files."""
    monkeypatch.setattr(adb_package, "MAX_FILES", 1000)
    files, folders, folder, root = (
        [200, *[0] * 199],
        [100, *[LIST | 1208] * 99],
        [4, 0, 0, LIST | 8],
        [3, 0, LIST | 808],
    )
    words = [LIST | 1224, *files, *folders, *folder, *root]
    with pytest.raises(ArchiveDataError, match="too many files"):
        list(data_files(bytes(4) + struct.pack(f"<{len(words)}I", *words)))


# --- arbitrary bytes


def read(data: bytes) -> list[AdbEntry]:
    try:
        return list(open_index(data).entries())
    except ArchiveDataError:
        return []


def read_package(data: bytes) -> list[DataFile]:
    try:
        parts = [part for part in parsed(data)[0] if isinstance(part, bytes)]
        return [each for part in parts if unique_id(part) for each in data_files(part)]
    except ArchiveDataError:
        return []


@given(data=st.binary(max_size=300), head=st.sampled_from([b"", b"ADB.indx", b"ADBd", b"ADBc\x01\0", b"ADBc\x02\0"]))
def test_arbitrary_bytes_raise_nothing_else(data: bytes, head: bytes) -> None:
    read(head + data)


@given(
    at=st.integers(0, 2000), new=st.binary(min_size=1, max_size=4), name=st.sampled_from(["Packages.adb", "spec.adb"])
)
def test_a_changed_index_raises_nothing_else(at: int, new: bytes, name: str) -> None:
    plain = unpacked(genuine(name))
    at %= len(plain)
    read(plain[:at] + new + plain[at + len(new) :])


@given(at=st.integers(0, 4000), new=st.binary(min_size=1, max_size=4))
def test_changed_metadata_of_a_package_raise_nothing_else(at: int, new: bytes) -> None:
    plain = unpacked(PACKAGE)
    at %= len(plain)
    read_package(plain[:at] + new + plain[at + len(new) :])

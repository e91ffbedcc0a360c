"""An entry of an index that cannot be used is dropped, counted and reported; every other entry keeps its digests."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile

import pytest

from snapproxy.core.expected_files import DroppedEntries
from snapproxy.errors import ArchiveDataError
from snapproxy.families import CLIENT_CACHES, FAMILIES, LISTERS
from tests.fakes.adb import changed, genuine
from tests.fakes.alpine import gz, tar
from tests.fakes.rpm_texts import entry, package, primary, repomd

A, B = (hashlib.sha256(text).hexdigest() for text in (b"a", b"b"))
PACKAGES = "dists/t/main/binary-all/Packages"


def stanza(name: str, digest: str = A, **further: str) -> str:
    fields = {"Package": "p", "Version": "1", "Architecture": "all", "Filename": name, "Size": "1", "SHA256": digest}
    return "".join(f"{field}: {value}\n" for field, value in (fields | further).items()) + "\n"


def database(*descriptions: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, text in enumerate(descriptions):
            member = tarfile.TarInfo(f"p{number}-1-1/desc")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def desc(name: str, digest: str = A, **further: str) -> str:
    fields = {"NAME": "p", "VERSION": "1-1", "ARCH": "any", "FILENAME": name, "CSIZE": "1", "SHA256SUM": digest}
    return "".join(f"%{field}%\n{value}\n\n" for field, value in (fields | further).items())


def apk(name: str, digest: str = "Q1" + base64.b64encode(bytes(20)).decode(), extra: str = "") -> str:
    return f"C:{digest}\nP:{name}\nV:1-r0\nA:x86_64\nS:1\n{extra}\n"


def apkindex(*entries: str) -> bytes:
    return gz(tar({"DESCRIPTION": b"", "APKINDEX": "".join(entries).encode()}))


def with_a_slash_in_hello(block: bytearray) -> None:
    block[:] = block.replace(b"hello", b"he/lo")


ODD = {
    "apt, a file listed twice": (
        "apt", PACKAGES, stanza("pool/x.deb") + stanza("pool/odd.deb") + stanza("pool/odd.deb", B),
        ["pool/x.deb"], ["pool/odd.deb"],
    ),
    "apt, a malformed digest": (
        "apt", PACKAGES, stanza("pool/odd.deb", "abc") + stanza("pool/x.deb"), ["pool/x.deb"], ["pool/odd.deb"],
    ),
    "apt, a name outside": ("apt", PACKAGES, stanza("../../odd.deb") + stanza("pool/x.deb"), ["pool/x.deb"], []),
    "apt, a field twice": (
        "apt", PACKAGES, stanza("pool/odd.deb", Size="1\nSize: 2") + stanza("pool/x.deb"), ["pool/x.deb"], [],
    ),
    "apt, a flat repository": (
        "apt", "flat/Packages", stanza("x.deb") + stanza("odd.deb") + stanza("odd.deb", B),
        ["flat/x.deb", "x.deb"], ["flat/odd.deb"],
    ),
    "apt, Sources": (
        "apt", "dists/t/main/source/Sources",
        f"Directory: ..\nChecksums-Sha256:\n {A} 1 odd_1.dsc\n\nDirectory: pool\nChecksums-Sha256:\n {A} 1 x_1.dsc\n",
        ["pool/x_1.dsc"], [],
    ),
    "apt, Release": (
        "apt", "dists/t/Release", f"SHA256:\n {A} 1 x\n {A} 1 odd\n {B} 1 odd\n what is this\n",
        [f"dists/t/by-hash/SHA256/{A}", "dists/t/x"], ["dists/t/odd"],
    ),
    "apt, an Index of patches": (
        "apt", "dists/t/main/binary-all/Packages.diff/Index", f"SHA256-Download:\n {A} 1 x.gz\n abc 1 odd.gz\n",
        [f"dists/t/main/binary-all/Packages.diff/by-hash/SHA256/{A}", "dists/t/main/binary-all/Packages.diff/x.gz"],
        ["dists/t/main/binary-all/Packages.diff/odd.gz"],
    ),
    "apt, SHA256SUMS": (
        "apt", "dists/t/main/installer-amd64/1/images/SHA256SUMS", f"{A}  x\nwhat is this\n{A}  ../odd\n",
        ["dists/t/main/installer-amd64/1/images/x"], [],
    ),
    "pacman, a file listed twice": (
        "pacman", "r.db", database(desc("x"), desc("odd"), desc("odd", B)), ["x"], ["odd"],
    ),
    "pacman, a malformed digest": ("pacman", "r.db", database(desc("odd", "abc"), desc("x")), ["x"], ["odd"]),
    "pacman, a malformed signature": (
        "pacman", "r.db", database(desc("x", PGPSIG="%")), ["x"], ["x.sig"],
    ),
    "pacman, a malformed desc": ("pacman", "r.db", database("what is this\n", desc("x")), ["x"], []),
    "pacman, a name outside": ("pacman", "r.db", database(desc("../odd"), desc("x")), ["x"], []),
    "apk, a package listed twice": (
        "apk", "m/APKINDEX.tar.gz", apkindex(apk("x"), apk("odd"), apk("odd", "X1" + "ab" * 20)),
        ["m/x-1-r0.apk"], ["m/odd-1-r0.apk"],
    ),
    "apk, an unknown digest": (
        "apk", "m/APKINDEX.tar.gz", apkindex(apk("odd", "Q9AAAA"), apk("x")), ["m/x-1-r0.apk"], ["m/odd-1-r0.apk"],
    ),
    "apk, a malformed line": (
        "apk", "m/APKINDEX.tar.gz", apkindex(apk("odd", extra="what is this\n"), apk("x")),
        ["m/x-1-r0.apk"], ["m/odd-1-r0.apk"],
    ),
    "apk, a name outside": ("apk", "m/APKINDEX.tar.gz", apkindex(apk("o/dd"), apk("x")), ["m/x-1-r0.apk"], []),
    "apk 3, a name outside": (
        "apk", "m/x.adb", changed(genuine("Packages.adb"), with_a_slash_in_hello),
        ["m/data-2-r0.apk", "m/old-1-r0.apk"], [],
    ),
    "rpm, an unknown checksum": (
        "rpm", "r/repodata/repomd.xml",
        repomd(entry("repodata/odd.gz", "a").replace('"sha256"', '"crc32"'), entry("repodata/x.gz", "a")),
        ["r/repodata/x.gz"], ["r/repodata/odd.gz"],
    ),
    "rpm, a field twice": (
        "rpm", "r/repodata/repomd.xml",
        repomd(
            entry("repodata/odd.gz", "a").replace("</data>", '<location href="repodata/y"/></data>'),
            entry("repodata/x.gz", "a"),
        ),
        ["r/repodata/x.gz"], [],
    ),
    "rpm, elements in a text": (
        "rpm", "r/repodata/primary.xml",
        primary(package("odd.rpm", "a").replace("</checksum>", "<b><c>x</c></b>y</checksum>"), package("x.rpm", "a")),
        ["r/x.rpm"], [],
    ),
    "rpm, a package listed twice": (
        "rpm", "r/repodata/primary.xml",
        primary(package("x.rpm", "a"), package("odd.rpm", "a"), package("odd.rpm", "b")), ["r/x.rpm"], ["r/odd.rpm"],
    ),
    "rpm, a name outside": (
        "rpm", "r/repodata/primary.xml", primary(package("../../odd.rpm", "a"), package("x.rpm", "a")), ["r/x.rpm"], [],
    ),
}  # fmt: skip
"""By case: the family, the path and content of an index, the files that are listed, and the dropped ones by name."""


def read(family: str, path: str, data: str | bytes) -> tuple[list[str], DroppedEntries]:
    dropped = DroppedEntries()
    raw = data.encode() if isinstance(data, str) else data
    rows = list(dropped.some_of(FAMILIES[family].read_index(path, [raw], dropped.add)))
    return sorted(name for name, _ in rows if name not in dropped.paths), dropped


@pytest.mark.parametrize("case", ODD)
def test_an_odd_entry_costs_only_its_own_file(case: str) -> None:
    family, path, data, kept, names = ODD[case]
    found, dropped = read(family, path, data)
    assert found == kept
    assert sorted(dropped.paths) == names
    assert dropped.count.count >= 1
    assert dropped.count.first


@pytest.mark.parametrize("case", ODD)
def test_a_reader_that_drops_nothing_refuses_the_whole_index(case: str) -> None:
    family, path, data, _, _ = ODD[case]
    with pytest.raises(ArchiveDataError):
        list(FAMILIES[family].read_index(path, [data.encode() if isinstance(data, str) else data]))


@pytest.mark.parametrize(
    ("family", "path", "data"),
    [
        ("apt", PACKAGES, stanza("../x")),
        ("apt", "dists/t/Release", "SHA256:\n what is this\n"),
        ("pacman", "r.db", database("what is this\n")),
        ("apk", "m/APKINDEX.tar.gz", apkindex(apk("odd", "Q9AAAA"))),
        ("rpm", "r/repodata/repomd.xml", repomd(entry("x", "a").replace('"sha256"', '"crc32"'))),
    ],
)
def test_an_index_of_odd_entries_only_is_refused(family: str, path: str, data: str | bytes) -> None:
    with pytest.raises(ArchiveDataError):
        read(family, path, data)


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_apt_indexes_may_have_the_line_ends_of_windows(newline: str, size: int) -> None:
    """apt reads them. One byte at a time: a pair may be cut by the edge of a piece."""
    text = (stanza("pool/x.deb") + stanza("pool/y.deb", B)).replace("\n", newline).encode()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = dict(FAMILIES["apt"].read_index(PACKAGES, pieces))
    assert {name: expected.digests["sha256"] for name, expected in found.items()} == {"pool/x.deb": A, "pool/y.deb": B}
    release = f"Suite: t\nSHA256:\n {A} 1 x\n {B} 2 y\n".replace("\n", newline)
    assert read("apt", "dists/t/Release", release)[0][-2:] == ["dists/t/x", "dists/t/y"]


LISTINGS = {
    "apt": (PACKAGES, (stanza("x.deb") + "Package: odd\nVersion: 1 2\n\n").encode()),
    "pacman": ("r.db", database(desc("x"), desc("odd", NAME="o d d"))),
    "apk": ("m/APKINDEX.tar.gz", apkindex(apk("x"), apk("o d d"))),
    "rpm": (
        "r/repodata/primary.xml",
        primary(package("x.rpm", "a"), package("odd.rpm", "a").replace("<name>", "<what>")).encode(),
    ),
}


def test_an_odd_package_is_left_out_of_the_listing_of_its_index() -> None:
    """A comparison of two times lists the other packages."""
    path, data = LISTINGS["apt"]
    dropped = DroppedEntries()
    assert [each.name for each in LISTERS["apt"].packages(path, [data], dropped.add)] == ["p"]
    assert dropped.count.count == 1


@pytest.mark.parametrize("family", ["pacman", "apk"])
def test_an_odd_package_is_left_out_of_the_listings_of_other_families(family: str) -> None:
    path, data = LISTINGS[family]
    dropped = DroppedEntries()
    assert len(list(LISTERS[family].packages(path, [data], dropped.add))) == 1
    assert dropped.count.count == 1


def test_the_cache_of_a_client_is_laid_out_from_the_usable_entries() -> None:
    path, data = LISTINGS["apt"]
    assert list(CLIENT_CACHES["apt"].names(path, [data])) == []
    _, path, data, _, _ = ODD["apk, a package listed twice"]
    assert [name for name, _ in CLIENT_CACHES["apk"].names(path, [data])] == ["m/x-1-r0.apk"]

"""Entries with an address: the services' dated forms, hosts of mirrors, the mirror form, bases and paths."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.core.address import AddressBook
from snapproxy.core.model import Archive
from snapproxy.formats.package_lists.model import ListEntry
from snapproxy.prefetch.direct import AddressedFile, read_file_address
from snapproxy.prefetch.join import join_bases
from snapproxy.prefetch.model import Finding
from tests.fakes.hamlet import FIRST, INRELEASE, SECOND, SUITE, Hamlet, content_of, later
from tests.fakes.house import House
from tests.fakes.resolving import digest, fetched, resolved, times_of

BOOK = AddressBook(archives=BUILTIN, histories=HISTORIES, own_hosts=frozenset({"proxy:3142"}))
POOL = "pool/main/g/g++/g++_4%3a13.2.0-1_amd64.deb"
DECODED = "pool/main/g/g++/g++_4:13.2.0-1_amd64.deb"

ADDRESSES = [
    (f"https://snapshot.debian.org/archive/debian/{FIRST}/{DECODED}", "debian", FIRST, DECODED),
    (f"http://snapshot.debian.org/archive/debian-security/{FIRST}/{DECODED}", "debian-security", FIRST, DECODED),
    (f"https://snapshot.ubuntu.com/ubuntu/{FIRST}/pool/x_1_all.deb", "ubuntu", FIRST, "pool/x_1_all.deb"),
    (
        "https://archive.archlinux.org/repos/2024/05/31/core/os/x86_64/a-1:2-1-any.pkg.tar.zst",
        "archlinux",
        "2024/05/31",
        "core/os/x86_64/a-1:2-1-any.pkg.tar.zst",
    ),
    (
        "https://archive.archlinux.org/packages/a/a/a-1-1-any.pkg.tar.zst",
        "archlinux",
        "packages",
        "packages/a/a/a-1-1-any.pkg.tar.zst",
    ),
    (f"http://proxy:3142/debian/{FIRST}/pool/x_1_all.deb", "debian", FIRST, "pool/x_1_all.deb"),
    ("http://ftp.debian.org/debian/pool/x_1+b2_all.deb", "debian", "", "pool/x_1+b2_all.deb"),
    (
        "https://dl-cdn.alpinelinux.org/alpine/v3.20/main/x86_64/a-1-r0.apk",
        "alpine",
        "",
        "v3.20/main/x86_64/a-1-r0.apk",
    ),
]

UNREACHABLE = [
    ("https://cdn.example.com/rhel/Packages/b/bash-5-1.x86_64.rpm", 'mirrors = ["https://cdn.example.com/rhel"]'),
    ("https://packages.example.com/linux/debian/pool/x.deb", 'hosts = ["packages.example.com/linux/debian/"]'),
    ("https://user:secret@ftp.debian.org/debian/pool/x.deb", "requires a login"),
    ("https://ftp.debian.org/debian/pool/x.deb?token=1", "has a query"),
    ("https://ftp.debian.org/debian/../x.deb", "'..' segment"),
    ("https://ftp.debian.org/debian/pool/", "is a folder"),
    ("ftp://ftp.debian.org/debian/pool/x.deb", "neither a path nor an http address"),
    ("nonsense", "neither a path nor an http address"),
    ("https://snapshot.debian.org/mr/package/", "No configured archive"),
]


@pytest.mark.parametrize(("url", "archive", "when", "path"), ADDRESSES)
def test_an_address_selects_the_archive_the_time_and_the_path(url: str, archive: str, when: str, path: str) -> None:
    found = read_file_address(url, "", BOOK)
    assert isinstance(found, AddressedFile)
    assert (found.archive.name, found.path) == (archive, path)
    assert ("" if found.when is None else found.when.text) == when


@pytest.mark.parametrize(("url", "why"), UNREACHABLE)
def test_an_address_of_no_archive_says_why_and_what_to_add(url: str, why: str) -> None:
    found = read_file_address(url, "rpm", BOOK)
    assert isinstance(found, str)
    assert why in found
    assert "secret" not in found


def test_a_file_by_its_sha1_keeps_its_name() -> None:
    sha1 = "a" * 40
    found = read_file_address(f"https://snapshot.debian.org/file/{sha1}/x_1_all.deb", "apt", BOOK)
    assert isinstance(found, AddressedFile)
    assert (found.sha1, found.path, found.when) == (sha1, "x_1_all.deb", None)


class TestBases:
    DATED = f"https://snapshot.debian.org/archive/debian/{FIRST}/"
    MIRROR = "http://ftp.debian.org/debian"
    FOREIGN = "https://mirror.example.com/debian"

    def test_the_one_with_a_time_is_preferred(self) -> None:
        found = join_bases(ListEntry("1", path="pool/x.deb", bases=(self.FOREIGN, self.MIRROR, self.DATED)), BOOK)
        assert isinstance(found, AddressedFile)
        assert (found.when and found.when.text, found.path) == (FIRST, "pool/x.deb")

    def test_a_known_one_is_preferred_to_an_unknown_one(self) -> None:
        found = join_bases(ListEntry("1", path="/pool/x.deb", bases=(self.FOREIGN, self.MIRROR)), BOOK)
        assert isinstance(found, AddressedFile)
        assert (found.archive.name, found.path) == ("debian", "pool/x.deb")

    def test_only_unknown_ones_are_out_of_reach(self) -> None:
        found = join_bases(ListEntry("1", path="pool/x.deb", bases=(self.FOREIGN,)), BOOK)
        assert isinstance(found, str)
        assert "mirror.example.com/debian" in found


@pytest.fixture
def row(hamlet: Hamlet) -> Archive:
    return replace(hamlet.row, hosts=("deb.example.org/debian",))


@pytest.fixture
async def house(row: Archive, tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path / "house", (row,)) as house:
        yield house


class TestResolved:
    async def test_a_dated_address_needs_no_request(self, house: House, hamlet: Hamlet) -> None:
        package, content = hamlet.edition.old, content_of(hamlet.edition.old)
        url = f"{hamlet.past.url}/archive/debian/{FIRST}/{package.path}"
        found = await resolved(
            house, ListEntry("1", url=url, digests=digest("sha256", content.sha256)), ListEntry("2", url=url)
        )
        assert [each.finding for each in found.entries] == [Finding.RESOLVED, Finding.DIGEST_MISSING]
        assert hamlet.log.entries == []
        assert await fetched(house, found) == [content.data] * 2

    async def test_an_undated_one_is_searched_by_its_path_and_digest(self, house: House, hamlet: Hamlet) -> None:
        package, content = hamlet.edition.old, content_of(hamlet.edition.old)
        url = f"https://deb.example.org/debian/{package.path}"
        entry = ListEntry("1", family="apt", url=url, digests=digest("sha256", content.sha256))
        found = await resolved(house, entry, suites=(SUITE,))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED]
        assert times_of(found) == [FIRST]

    async def test_other_bytes_at_the_path_are_no_match(self, house: House, hamlet: Hamlet) -> None:
        url = f"https://deb.example.org/debian/{hamlet.edition.kept.path}"
        entry = ListEntry("1", family="apt", url=url, digests=digest("md5", "0" * 32))
        other = replace(entry, digests=digest("sha256", "0" * 64))
        found = await resolved(house, entry, other, suites=(SUITE,), at=(FIRST,))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED, Finding.NOT_FOUND]
        assert "has another digest than the list states" in found.entries[1].why

    async def test_a_path_alone_is_searched_in_the_archives_of_its_family(self, house: House, hamlet: Hamlet) -> None:
        content = content_of(hamlet.edition.new)
        entry = ListEntry("1", family="apt", path=hamlet.edition.new.path, digests=digest("sha256", content.sha256))
        found = await resolved(house, entry, suites=(SUITE,), at=(SECOND,))
        assert await fetched(house, found) == [content.data]

    async def test_a_file_by_its_sha1_is_found_by_its_name(self, house: House, hamlet: Hamlet) -> None:
        content = content_of(hamlet.edition.old)
        url = f"{hamlet.past.url}/file/{content.sha1}/moved_1_amd64.deb"
        found = await resolved(house, ListEntry("1", family="apt", url=url), suites=(SUITE,), at=(FIRST,))
        assert [(file.path, file.digest) for file in found.files] == [(hamlet.edition.old.path, f"sha1:{content.sha1}")]
        assert await fetched(house, found) == [content.data]

    async def test_a_file_by_its_sha1_alone_is_found_by_the_service(self, house: House, hamlet: Hamlet) -> None:
        content = content_of(hamlet.edition.old)
        url = f"{hamlet.past.url}/file/{content.sha1}"
        found = await resolved(house, ListEntry("1", family="apt", url=url), suites=(SUITE,))
        assert found.entries[0].finding is Finding.RESOLVED
        assert [(each.path, each.size) for each in found.files] == [(hamlet.edition.old.path, 200_000)]
        assert await fetched(house, found) == [content.data]

    async def test_an_unknown_sha1_is_not_found(self, house: House, hamlet: Hamlet) -> None:
        found = await resolved(house, ListEntry("1", url=f"{hamlet.past.url}/file/{'0' * 40}"), suites=(SUITE,))
        assert found.entries[0].finding is Finding.NOT_FOUND

    async def test_a_root_needs_a_time(self, house: House) -> None:
        entry = ListEntry("1", family="apt", url=f"http://deb.example.org/debian/{INRELEASE}")
        without = await resolved(house, entry)
        assert (without.entries[0].finding, without.files) == (Finding.NOT_FOUND, ())
        at = later(FIRST, 60)
        found = await resolved(house, entry, at=(at,))
        assert [(file.when.text, file.path) for file in found.files] == [(at, INRELEASE)]

    async def test_a_path_outside_the_archive_is_out_of_reach(self, house: House) -> None:
        found = await resolved(house, ListEntry("1", family="apt", path="pool/../../x.deb"))
        assert found.entries[0].finding is Finding.OUT_OF_REACH

    async def test_the_users_archives_replace_an_unknown_address(self, house: House, hamlet: Hamlet) -> None:
        content = content_of(hamlet.edition.old)
        entry = ListEntry(
            "1",
            family="apt",
            path=hamlet.edition.old.path,
            bases=("https://mirror.example.com/debian",),
            digests=digest("sha256", content.sha256),
        )
        assert (await resolved(house, entry)).entries[0].finding is Finding.OUT_OF_REACH
        found = await resolved(house, entry, archives=("debian",), suites=(SUITE,), at=(FIRST,))
        assert found.entries[0].finding is Finding.RESOLVED

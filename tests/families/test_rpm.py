"""rpm: the contract, and the details of the format."""

import gzip
import hashlib
import lzma
from typing import ClassVar

import pytest
import zstandard

from snapproxy.core.model import ExpectedFile, Role
from snapproxy.errors import ArchiveDataError
from snapproxy.families.rpm import RPM
from tests.fakes.rpm_texts import BASE, delta, deltas, digest, entry, package, primary, repomd
from tests.fakes.zchunk import zchunk
from tests.families.contract import FamilyContract

ROOT = f"{BASE}repodata/repomd.xml"
PRIMARY = f"{BASE}repodata/{'ab' * 32}-primary.xml.gz"
DELTAS = f"{BASE}repodata/{'ab' * 64}-prestodelta.xml"


def expected_files(path: str, text: str | bytes) -> dict[str, ExpectedFile]:
    return dict(RPM.read_index(path, [text if isinstance(text, bytes) else text.encode()]))


class TestRpm(FamilyContract):
    family = RPM
    samples: ClassVar = {
        ROOT: repomd(entry("repodata/aa-primary.xml.gz", "p"), entry("repodata/bb-filelists.xml.zck", "f")).encode(),
        PRIMARY: gzip.compress(primary(package("Packages/b/bash-5.rpm", "a"), package("c-1.rpm", "c")).encode()),
        DELTAS: deltas(delta("drpms/bash-4_5.drpm", "d")).encode(),
    }


# --- paths


@pytest.mark.parametrize("base", ["", "fedora/linux/updates/40/Everything/x86_64/", "a/repodata/b/"])
def test_a_repository_may_lie_at_any_depth(base: str) -> None:
    root = f"{base}repodata/repomd.xml"
    place = RPM.classify(root)
    assert (place.role, place.lists_files, RPM.signature(root)) == (Role.ROOT, True, f"{root}.asc")
    for name, role in {"repomd.xml.asc": Role.SIGNATURE, "repomd.xml.key": Role.OTHER, "x.yaml": Role.INDEX}.items():
        place = RPM.classify(f"{base}repodata/{name}")
        assert (place.role, place.roots, place.lists_files) == (role, (root,), False)
    assert RPM.classify(f"{base}media.1/media").roots == (root,)


@pytest.mark.parametrize(
    ("name", "lists_files", "series"),
    [
        (f"{'0f' * 32}-primary.xml.gz", True, "primary.xml"),
        (f"{'0f' * 64}-primary.xml.zst", True, "primary.xml"),
        ("primary.xml", True, "primary.xml"),
        ("primary.xml.xz", True, "primary.xml"),
        (f"{'0f' * 20}-prestodelta.xml.gz", True, "prestodelta.xml"),
        (f"{'0f' * 32}-primary.xml.zck", True, "primary.xml.zck"),
        (f"{'0f' * 32}-primary.sqlite.bz2", False, "primary.sqlite"),
        (f"{'0f' * 32}-comps-BaseOS.x86_64.xml", False, "comps-BaseOS.x86_64.xml"),
        ("notprimary.xml.gz", False, "notprimary.xml"),
    ],
)
def test_metadata_are_one_series_whatever_their_checksums(name: str, lists_files: bool, series: str) -> None:
    place = RPM.classify(f"r/repodata/{name}")
    assert (place.role, place.lists_files, place.series) == (Role.INDEX, lists_files, f"r/repodata/{series}")
    assert place.by_hash is None, "the name may show another kind of checksum than repomd gives"


@pytest.mark.parametrize("path", ["Packages/b/bash-5.2-1.fc40.x86_64.rpm", "x.src.rpm", "drpms/a-1_2.noarch.drpm"])
def test_packages_are_known_by_their_suffix(path: str) -> None:
    assert RPM.classify(path).role is Role.PACKAGE


@pytest.mark.parametrize(
    "path",
    [
        ".treeinfo",
        "EULA",
        "repodata/",
        "repodata",
        "repomd.xml",
        "content",
        "bash.rpm/",
        ".rpm",
        "repodata/x/y.xml",
        "",
        "repodata/../repomd.xml",
        "repodata//repomd.xml",
        "images/pxeboot/vmlinuz",
        "RPM-GPG-KEY-x",
        "a.rpm.asc",
    ],
)
def test_no_root_lists_any_other_path(path: str) -> None:
    place = RPM.classify(path)
    assert (place.role, place.roots, place.leads_elsewhere) == (Role.OTHER, (), False)


@pytest.mark.parametrize(
    "path",
    ["metalink", "x/mirrorlist", "repodata/repomd.xml.metalink", "a.rpm.meta4", "repodata/repomd.xml.mirrorlist"],
)
def test_a_list_of_mirrors_leads_out_of_every_pin(path: str) -> None:
    """zypper uses a metalink for a package, dnf for a repository: both would continue at today's mirrors."""
    assert RPM.classify(path).leads_elsewhere


# --- repomd


@pytest.mark.parametrize(
    ("checksum_type", "algorithm"),
    [
        ("sha512", "sha512"),
        ("sha384", "sha384"),
        ("sha256", "sha256"),
        ("sha224", "sha224"),
        ("sha1", "sha1"),
        ("sha", "sha1"),
        ("md5", "md5"),
    ],
)
def test_repomd_lists_metadata_with_every_checksum_type(checksum_type: str, algorithm: str) -> None:
    path = f"{BASE}repodata/primary.xml.gz"
    assert expected_files(ROOT, repomd(entry("repodata/primary.xml.gz", "p", 7, checksum_type))) == {
        path: ExpectedFile(path, 7, {algorithm: digest(algorithm, "p")})
    }


def test_repomd_speaks_of_files_as_they_are_served_not_as_they_unpack() -> None:
    text = entry("repodata/a.gz", "p", 7).replace(
        "<location", f"<open-checksum type='sha256'>{'00' * 32}</open-checksum><open-size>9</open-size><location"
    )
    (expected,) = expected_files(ROOT, repomd(text)).values()
    assert (expected.size, expected.digests) == (7, {"sha256": digest("sha256", "p")})


def test_files_of_another_repository_are_skipped() -> None:
    """Clients ask the host of `xml:base` directly; a pinned view refuses or pins it like any other host."""
    there = 'xml:base="http://other.example/repo/" href'
    text = repomd(entry("repodata/a", "a"), entry("repodata/b", "b").replace("href", there))
    assert list(expected_files(ROOT, text)) == [f"{BASE}repodata/a"]
    assert expected_files(PRIMARY, primary(package("a.rpm", "a").replace("href", there))) == {}


@pytest.mark.parametrize(
    "href",
    [
        f"{'../' * 9}x",
        "repodata/..",
        "http://h/x",
        "a%2fb",
        f"{'%2e%2e/' * 9}x",
        "a\\b",
        "",
        ".",
        "a/",
        "x?y",
        "x#y",
        "a%",
        "a&#10;b",
        "x" * 5000,
    ],
)
def test_names_that_leave_the_archive_are_refused(href: str) -> None:
    for path, text in ((ROOT, repomd(entry(href, "a"))), (PRIMARY, primary(package(href, "a")))):
        with pytest.raises(ArchiveDataError, match=r"outside its archive|no location"):
            expected_files(path, text)


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("../noarch/x.rpm", f"{BASE.rstrip('/').rpartition('/')[0]}/noarch/x.rpm"),
        ("a/%2e%2e/x.rpm", f"{BASE}x.rpm"),
        ("Packages//x.rpm", f"{BASE}Packages/x.rpm"),
        ("/x.rpm", f"{BASE}x.rpm"),
        ("./x.rpm", f"{BASE}x.rpm"),
    ],
)
def test_a_name_with_dots_or_slashes_is_the_file_that_clients_request(href: str, path: str) -> None:
    """dnf and zypper append the name to the base address, and libcurl removes the dots before it sends the request."""
    assert list(expected_files(PRIMARY, primary(package(href, "a")))) == [path]


def test_names_are_read_as_requests_for_them_will_be() -> None:
    assert list(expected_files(PRIMARY, primary(package("./a/c%2b%2b~1^2.rpm", "a"), package("libc++.rpm", "b")))) == [
        f"{BASE}a/c++~1^2.rpm",
        f"{BASE}libc++.rpm",
    ]


@pytest.mark.parametrize(
    "text",
    [
        repomd(entry("x", "a"), entry("./x", "b")),
        repomd(entry("x", "a", 1), entry("x", "a", 2)),
    ],
)
def test_a_repomd_that_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ArchiveDataError, match="contradicts itself"):
        expected_files(ROOT, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><body>sorry</body></html>",
        repomd(),
        repomd(entry("x", "a"))[:-5],
        repomd(entry("x", "a")) + "more",
        repomd(entry("x", "a").replace("<location", "<somewhere")),
        repomd(entry("x", "a").replace("<checksum", "<open-checksum").replace("</checksum", "</open-checksum")),
        repomd(entry("x", "a").replace('"sha256"', '"crc32"')),
        repomd(entry("x", "a").replace("<size>3<", "<size>-3<")),
        repomd(entry("x", "a").replace(digest("sha256", "a"), "abc")),
        repomd(entry("x", "a").replace("</data>", '<location href="y"/></data>')),
    ],
)
def test_a_repomd_that_breaks_the_format_is_refused(text: str) -> None:
    with pytest.raises(ArchiveDataError):
        expected_files(ROOT, text)


def test_a_truncated_repomd_lists_nothing() -> None:
    rows = RPM.read_index(ROOT, [repomd(entry("x", "a"), entry("y", "b"))[:-12].encode()])
    with pytest.raises(ArchiveDataError):
        next(rows)


def test_a_root_has_a_bound() -> None:
    with pytest.raises(ArchiveDataError, match="too large"):
        list(RPM.read_index(ROOT, [b" " * (1 << 20)] * 2))


# --- packages and deltas


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstandard.compress, zchunk])
def test_packages_are_listed_relative_to_the_base(pack: type[bytes]) -> None:
    text = pack(primary(package("Packages/a.rpm", "a"), package("b.rpm", "b", 4, "sha512")).encode())
    assert expected_files(PRIMARY, text) == {
        f"{BASE}Packages/a.rpm": ExpectedFile(f"{BASE}Packages/a.rpm", 3, {"sha256": digest("sha256", "a")}),
        f"{BASE}b.rpm": ExpectedFile(f"{BASE}b.rpm", 4, {"sha512": digest("sha512", "b")}),
    }


def test_a_package_listed_twice_is_yielded_once_if_the_two_agree() -> None:
    assert len(expected_files(PRIMARY, primary(package("a.rpm", "a"), package("./a.rpm", "a")))) == 1
    with pytest.raises(ArchiveDataError, match="contradicts itself"):
        expected_files(PRIMARY, primary(package("a.rpm", "a"), package("./a.rpm", "b")))


def test_deltas_are_listed_too() -> None:
    path = f"{BASE}drpms/a-1_2.drpm"
    assert expected_files(DELTAS, deltas(delta("drpms/a-1_2.drpm", "d"))) == {
        path: ExpectedFile(path, 3, {"sha256": digest("sha256", "d")})
    }


@pytest.mark.parametrize("path", [f"{BASE}repodata/filelists.xml.gz", f"{BASE}repodata/filelists.xml.zck", "a.rpm", ""])
def test_other_files_list_nothing(path: str) -> None:
    assert expected_files(path, primary(package("a.rpm", "a"))) == {}


# --- other methods of the family


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (repomd(entry("x", "a"), revision="1717200000"), 1717200000),
        (repomd(entry("x", "a"), revision="10.3"), 1717000000),
        (repomd(entry("x", "a"), revision="2024060100"), 1717000000),
        (repomd(entry("x", "a").replace("1717000000", "1717000000.25"), revision=""), 1717000000),
        (repomd(entry("x", "a").replace("1717000000", "now"), revision="2"), None),
        ("<html/>", None),
    ],
)
def test_the_date_of_a_repomd_is_its_revision_or_its_newest_timestamp(text: str, instant: int | None) -> None:
    assert RPM.root_date(text.encode()) == instant


def test_only_a_root_has_a_signature_beside_it() -> None:
    assert RPM.signature("repodata/primary.xml") is None
    assert RPM.signature("xrepodata/repomd.xml") is None


def test_mirrors_keep_every_file_under_its_own_name() -> None:
    assert RPM.lasting_path(ExpectedFile(PRIMARY, 1, {"sha256": hashlib.sha256().hexdigest()})) == PRIMARY


def test_the_rules_of_the_client() -> None:
    assert (RPM.name, RPM.patience, RPM.keeps_newer_root) == ("rpm", 25.0, False)

"""apt: the contract, and the details of the format."""

import gzip
import hashlib
import lzma
from pathlib import Path
from typing import ClassVar

import pytest

from snapproxy.core.model import ExpectedFile
from snapproxy.errors import ArchiveDataError
from snapproxy.families.apt import APT
from tests.families.contract import FamilyContract

SUITE = "dists/bookworm-security"
SHA256 = "ab" * 32
DATA = Path("tests/data/debian-security")


def digest(algorithm: str, text: str) -> str:
    return hashlib.new(algorithm, text.encode()).hexdigest()


def section(field: str, *rows: tuple[str, int, str]) -> str:
    algorithm = field.lower().removeprefix("checksums-").partition("-")[0]
    name = {"md5sum": "md5", "files": "md5"}.get(algorithm, algorithm)
    return f"{field}:\n" + "".join(f" {digest(name, seed)} {size:16} {path}\n" for seed, size, path in rows)


def expected_files(path: str, text: str | bytes) -> dict[str, ExpectedFile]:
    return dict(APT.read_index(path, [text if isinstance(text, bytes) else text.encode()]))


PDIFF = (
    "SHA256-Current: 00 1\n"
    + section("SHA256-History", ("h", 9, "2026-10-16-0808.02"))
    + section("SHA256-Patches", ("p", 5, "2026-10-16-0808.02"))
    + section("SHA256-Download", ("d", 3, "2026-10-16-0808.02.gz"))
)
IMAGES = "dists/bookworm/main/installer-amd64/20230607/images/"


class TestApt(FamilyContract):
    family = APT
    samples: ClassVar = {
        f"{SUITE}/InRelease": (DATA / SUITE / "InRelease").read_bytes(),
        f"{SUITE}/contrib/binary-amd64/Packages.xz": (DATA / SUITE / "contrib/binary-amd64/Packages.xz").read_bytes(),
        f"{SUITE}/contrib/source/Sources.xz": (DATA / SUITE / "contrib/source/Sources.xz").read_bytes(),
        "dists/sid/main/binary-amd64/Packages.diff/Index": PDIFF.encode(),
        f"{IMAGES}SHA256SUMS": f"{digest('sha256', 'i')}  ./netboot/mini.iso\n".encode(),
        "debian/flat/Release": section("SHA256", ("a", 1, "Packages"), ("a", 1, "Packages.gz")).encode(),
        "debian/flat/Packages": f"Filename: ./a_1_all.deb\nSize: 3\nMD5sum: {digest('md5', 'a')}\n".encode(),
    }


# --- Release


def test_a_release_merges_its_sections_and_names_files_from_the_suites_folder() -> None:
    text = "Suite: t\n" + section("MD5Sum", ("a", 7, "main/Contents")) + section("SHA256", ("a", 7, "./main//Contents"))
    expected = ExpectedFile("x/dists/t/main/Contents", 7, {"md5": digest("md5", "a"), "sha256": digest("sha256", "a")})
    assert expected_files("x/dists/t/Release", text) == {
        expected.path: expected,
        f"x/dists/t/main/by-hash/MD5Sum/{digest('md5', 'a')}": expected,
        f"x/dists/t/main/by-hash/SHA256/{digest('sha256', 'a')}": expected,
    }


@pytest.mark.parametrize("order", [1, -1])
def test_files_of_equal_bytes_share_a_by_hash_name_which_leads_to_the_first_of_them(order: int) -> None:
    text = section("SHA256", *[("a", 0, "main/b"), ("a", 0, "main/a"), ("a", 0, "contrib/c")][::order])
    rows = expected_files("dists/t/Release", text)
    assert rows[f"dists/t/main/by-hash/SHA256/{digest('sha256', 'a')}"].path == "dists/t/main/a"
    assert rows[f"dists/t/contrib/by-hash/SHA256/{digest('sha256', 'a')}"].path == "dists/t/contrib/c"
    assert len(rows) == 5


def test_a_root_does_not_list_itself() -> None:
    text = section("MD5Sum", ("a", 0, "Release"), ("a", 0, "InRelease"), ("b", 1, "main/binary-all/Release"))
    assert {expected.path for expected in expected_files("dists/t/Release", text).values()} == {
        "dists/t/main/binary-all/Release"
    }


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/", "a/..", ".", "a\\b", "a\x1bb", "a" * 3000])
def test_a_release_that_lists_a_path_outside_is_refused(name: str) -> None:
    with pytest.raises(ArchiveDataError, match="outside its archive"):
        expected_files("dists/t/Release", section("SHA256", ("a", 1, name)))


@pytest.mark.parametrize(
    "text",
    [
        section("SHA256", ("a", 1, "x"), ("b", 1, "x")),
        section("SHA256", ("a", 1, "x"), ("a", 2, "x")),
        section("SHA256", ("a", 1, "x")) + section("MD5Sum", ("a", 2, "./x")),
    ],
)
def test_a_release_that_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ArchiveDataError, match="contradicts itself"):
        expected_files("dists/t/Release", text)


def test_blanks_around_a_row_mean_nothing() -> None:
    text = section("SHA256", ("a", 1, "x")).replace(" x\n", "\t x \t\r\n \n")
    assert expected_files("dists/t/Release", text) == expected_files(
        "dists/t/Release", section("SHA256", ("a", 1, "x"))
    )


@pytest.mark.timeout(10)
def test_a_line_with_very_many_blanks_is_parsed_quickly() -> None:
    text = section("SHA256", ("a", 1, "x" + " " * 1_000_000 + "x/.."))
    with pytest.raises(ArchiveDataError):
        expected_files("dists/t/Release", text)


@pytest.mark.parametrize("text", ["SHA256:\n abc 1 x\n", f"SHA256:\n {SHA256} x\n", f"SHA256:\n {SHA256} -1 x\n"])
def test_a_malformed_row_is_refused(text: str) -> None:
    with pytest.raises(ArchiveDataError):
        expected_files("dists/t/Release", text)


@pytest.mark.parametrize("text", ["", "<html>sorry</html>\n", "Suite: t\n"])
def test_a_root_that_lists_nothing_is_refused(text: str) -> None:
    with pytest.raises(ArchiveDataError, match="lists nothing"):
        expected_files("dists/t/Release", text)


def test_a_suite_without_files_lists_nothing() -> None:
    assert expected_files("dists/t/Release", "Suite: t\nMD5Sum:\nSHA256:\n") == {}


def test_only_the_first_stanza_of_a_release_counts() -> None:
    text = section("SHA256", ("a", 1, "x")) + "\n" + section("SHA256", ("b", 1, "y"))
    assert "dists/t/y" not in expected_files("dists/t/Release", text)


def test_an_inrelease_that_is_not_signed_is_refused() -> None:
    with pytest.raises(ArchiveDataError, match="not a signed message"):
        expected_files("dists/t/InRelease", section("SHA256", ("a", 1, "x")))


def test_a_root_has_a_bound() -> None:
    with pytest.raises(ArchiveDataError, match="too large"):
        list(APT.read_index("dists/t/Release", [b"A" * (1 << 20)] * 17))


# --- Packages and Sources


def entry(name: str, seed: str = "a", size: int = 3, **more: str) -> str:
    fields = {
        "Filename": name,
        "Size": str(size),
        "MD5sum": digest("md5", seed),
        "SHA256": digest("sha256", seed),
    } | more
    return "Package: p\n" + "".join(f"{field}: {value}\n" for field, value in fields.items()) + "Description: d\n .\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("base", ["", "debian/", "owner/ppa/ubuntu/"])
def test_packages_lists_files_relative_to_the_base(pack: type[bytes], base: str) -> None:
    text = pack((entry("./pool//a.deb") + "\n" + entry("pool/b.deb", "b", 4, SHA1=digest("sha1", "b"))).encode())
    digests = {"md5": digest("md5", "b"), "sha256": digest("sha256", "b"), "sha1": digest("sha1", "b")}
    assert expected_files(f"{base}dists/t/main/binary-amd64/Packages.xz", text) == {
        f"{base}pool/a.deb": ExpectedFile(
            f"{base}pool/a.deb", 3, {"md5": digest("md5", "a"), "sha256": digest("sha256", "a")}
        ),
        f"{base}pool/b.deb": ExpectedFile(f"{base}pool/b.deb", 4, digests),
    }


def test_a_file_listed_twice_is_yielded_once_if_the_two_agree() -> None:
    path = "dists/t/main/binary-all/Packages"
    twice = entry("pool/a.deb") + "\n" + entry("pool/a.deb") + "\n" + entry("./pool/a.deb", SHA1=digest("sha1", "a"))
    assert list(expected_files(path, twice)) == ["pool/a.deb"]
    for other in (entry("pool/a.deb", "b"), entry("pool/a.deb", size=4)):
        with pytest.raises(ArchiveDataError, match="contradicts itself"):
            expected_files(path, entry("pool/a.deb") + "\n" + other)


def test_a_file_without_a_digest_is_skipped() -> None:
    assert expected_files("dists/t/main/binary-all/Packages", "Package: p\nFilename: pool/a.deb\nSize: 3\n") == {}


@pytest.mark.parametrize(
    "text",
    [
        entry("../a.deb"),
        entry("pool/"),
        entry("pool/a.deb", SHA256="abc"),
        entry("pool/a.deb").replace("Size: 3", "Size: 3x"),
        "<html>sorry</html>\n",
    ],
)
def test_packages_that_break_the_format_are_refused(text: str) -> None:
    with pytest.raises(ArchiveDataError):
        expected_files("dists/t/main/binary-all/Packages", text)


def test_an_empty_index_lists_nothing() -> None:
    assert expected_files("dists/t/main/binary-all/Packages.xz", lzma.compress(b"")) == {}


def test_a_flat_repository_is_read_from_every_base_its_index_may_have() -> None:
    """Jenkins lists `binary/x.deb` in debian/binary/Packages, Sublime Text `files/x.deb` in apt/stable/Packages."""
    rows = expected_files("apt/stable/Packages", entry("files/a.deb"))
    assert list(rows) == ["apt/stable/files/a.deb", "apt/files/a.deb", "files/a.deb"]
    assert all(name == expected.path for name, expected in rows.items())


def test_in_a_flat_repository_the_nearest_base_wins() -> None:
    rows = expected_files("sub/Packages", entry("x.deb", "a") + "\n" + entry("sub/x.deb", "b"))
    assert rows["sub/x.deb"].digests["md5"] == digest("md5", "a")
    assert rows["sub/sub/x.deb"].digests["md5"] == digest("md5", "b")


def test_sources_lists_every_file_of_a_source_package() -> None:
    text = (
        "Package: p\nDirectory: pool/main/p/p\n"
        + section("Files", ("a", 1, "p_1.dsc"), ("b", 2, "p_1.tar.xz"))
        + section("Checksums-Sha256", ("a", 1, "p_1.dsc"), ("b", 2, "p_1.tar.xz"))
        + "\nPackage: q\nDirectory: .\n"
        + section("Checksums-Sha1", ("c", 3, "q_1.dsc"))
    )
    assert expected_files("x/dists/t/main/source/Sources", text) == {
        expected.path: expected
        for expected in (
            ExpectedFile("x/pool/main/p/p/p_1.dsc", 1, {"md5": digest("md5", "a"), "sha256": digest("sha256", "a")}),
            ExpectedFile("x/pool/main/p/p/p_1.tar.xz", 2, {"md5": digest("md5", "b"), "sha256": digest("sha256", "b")}),
            ExpectedFile("x/q_1.dsc", 3, {"sha1": digest("sha1", "c")}),
        )
    }


@pytest.mark.parametrize("directory", ["..", "../x", "pool/../.."])
def test_sources_may_not_lead_outside(directory: str) -> None:
    with pytest.raises(ArchiveDataError, match="outside its archive"):
        expected_files(
            "dists/t/main/source/Sources", f"Directory: {directory}\n" + section("Files", ("a", 1, "p_1.dsc"))
        )


# --- patches, images, and files that list nothing


def test_a_pdiff_index_lists_its_patches_not_its_history() -> None:
    folder = "dists/sid/main/binary-amd64/Packages.diff/"
    packed = ExpectedFile(f"{folder}2026-10-16-0808.02.gz", 3, {"sha256": digest("sha256", "d")})
    plain = ExpectedFile(f"{folder}2026-10-16-0808.02", 5, {"sha256": digest("sha256", "p")})
    assert expected_files(f"{folder}Index", PDIFF) == {
        packed.path: packed,
        plain.path: plain,
        f"{folder}by-hash/SHA256/{digest('sha256', 'd')}": packed,
        f"{folder}by-hash/SHA256/{digest('sha256', 'p')}": plain,
    }


@pytest.mark.parametrize(("name", "algorithm"), [("SHA256SUMS", "sha256"), ("MD5SUMS", "md5")])
def test_a_checksum_list_lists_images_of_unknown_size(name: str, algorithm: str) -> None:
    value = digest(algorithm, "i")
    path = f"{IMAGES}netboot/mini.iso"
    assert expected_files(f"{IMAGES}{name}", f"{value}  ./netboot/mini.iso\n") == {
        path: ExpectedFile(path, None, {algorithm: value})
    }


def test_a_checksum_list_may_not_lead_outside_nor_contradict_itself() -> None:
    for text in (f"{SHA256}  ../x\n", f"{SHA256}  x\n{SHA256[::-1]}  ./x\n"):
        with pytest.raises(ArchiveDataError):
            expected_files(f"{IMAGES}SHA256SUMS", text)


@pytest.mark.parametrize("path", ["dists/t/Contents-amd64", "dists/t/main/binary-all/Release", "pool/a.deb", ""])
def test_other_files_list_nothing(path: str) -> None:
    assert expected_files(path, section("SHA256", ("a", 1, "x"))) == {}


# --- other methods of the family


@pytest.mark.parametrize(
    ("date", "instant"),
    [
        ("Sat, 11 Jul 2026 10:16:37 UTC", 1783764997),
        ("Sat, 11 Jul 2026 10:16:37 +0000", 1783764997),
        ("Sat, 11 Jul 2026 12:16:37 +0200", None),
        ("Thu,  1 Jan 1970 00:00:09 UTC", 9),
        ("Sat, 11 Jul 2026 10:16:37", None),
        ("Sat, 11 Foo 2026 10:16:37 UTC", None),
        ("yesterday", None),
        ("", None),
        ("Sat, 99 Jul 2026 10:16:37 UTC", None),
    ],
)
def test_the_date_of_a_release_is_read(date: str, instant: int | None) -> None:
    assert APT.root_date(f"Origin: t\nDate: {date}\nSuite: t\n".encode()) == instant


def test_the_date_of_a_genuine_inrelease_is_read_whole_or_not_at_all() -> None:
    data = TestApt.samples[f"{SUITE}/InRelease"]
    assert APT.root_date(data) == 1795040261
    assert APT.root_date(data[:-100]) is None
    assert APT.root_date(b"Origin: t\n") is None


@pytest.mark.parametrize(
    ("path", "signature"),
    [
        ("dists/t/Release", "dists/t/Release.gpg"),
        ("Release", "Release.gpg"),
        ("dists/t/InRelease", None),
        ("dists/t/NoRelease", None),
    ],
)
def test_a_release_has_its_signature_beside_it(path: str, signature: str | None) -> None:
    assert APT.signature(path) == signature


def test_mirrors_keep_an_index_longest_by_its_hash_and_a_package_by_its_name() -> None:
    digests = {"md5": digest("md5", "a"), "sha256": digest("sha256", "a"), "sha512": digest("sha512", "a")}
    index, package = (
        ExpectedFile("dists/t/main/binary-all/Packages.xz", 1, digests),
        ExpectedFile("pool/a.deb", 1, digests),
    )
    assert APT.lasting_path(index) == f"dists/t/main/binary-all/by-hash/SHA256/{digests['sha256']}"
    assert APT.lasting_path(package) == "pool/a.deb"


def test_the_rules_of_the_client() -> None:
    assert (APT.name, APT.patience, APT.keeps_newer_root) == ("apt", 25.0, True)

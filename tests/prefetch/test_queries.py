"""Which file of an index an entry means: digests, paths, names, versions, architectures."""

from __future__ import annotations

import pytest

from snapproxy.archives import BUILTIN
from snapproxy.core.listing import PackageVersion
from snapproxy.core.model import Archive, ExpectedFile
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.formats.package_lists.model import DigestOf, ListedDigest, ListEntry
from snapproxy.prefetch.identity import has_header_only, is_by_identity
from snapproxy.prefetch.index_scan import QueryTable, Scan, scan_index
from snapproxy.prefetch.query import FileMatch, IndexedFile, Query, best_digest, compare_file
from tests.fakes.resolving import digest

ARCHIVES = {archive.family: archive for archive in reversed(BUILTIN)}
SHA256, OTHER, SHA1 = "a" * 64, "b" * 64, "c" * 40


def query(
    family: str = "apt", *, digests: tuple[ListedDigest, ...] = (), path: str = "", name: str = "", version: str = "",
    architecture: str = "", is_bare: bool = False,
) -> Query:  # fmt: skip
    archive: Archive = ARCHIVES[family]
    return Query(
        number=0,
        entry=ListEntry("1", family=family, digests=digests),
        archives=(archive,),
        name=name,
        version=version,
        architecture=architecture,
        path=path,
        is_bare=is_bare,
    )


def scan(wanted: Query, family: str, packages: list[PackageVersion], files: list[ExpectedFile]) -> Scan:
    return scan_index(packages, files, FAMILIES[family], LISTERS[family], QueryTable.of([wanted]))


def found(wanted: Query, family: str, package: tuple[str, str, str], path: str) -> list[str]:
    """Return the versions of the hits in an index of one package."""
    name, architecture, version = package
    result = scan(
        wanted,
        family,
        [PackageVersion(name, architecture, version, name, version)],
        [ExpectedFile(path, 1, {"sha256": SHA256})],
    )
    return [indexed.version for _, indexed in result.hits]


GCC = "pool/main/g/gcc/g++_13.2.0-1+b1~x_amd64.deb"
NAMED = [
    ("apt", ("g++", "amd64", "4:13.2.0-1+b1~x"), GCC, ("g++", "4:13.2.0-1+b1~x", "amd64")),
    ("apt", ("a", "all", "1:2.0-1"), "p/a_1%3a2.0-1_all.deb", ("a", "1:2.0-1", "amd64")),
    ("apt", ("a", "all", "1.0"), "p/a_1.0_all.deb", ("a", "1.0", "")),
    ("apt", ("a", "amd64", "0:1.0-0"), "p/a_1.0-0_amd64.deb", ("a", "1.0", "amd64")),
    ("pacman", ("a", "any", "1:2-1"), "core/os/x86_64/a-1:2-1-any.pkg.tar.zst", ("a", "1:2-1", "x86_64")),
    ("rpm", ("a", "noarch", "2:1-1.fc40"), "Packages/a/a-1-1.fc40.noarch.rpm", ("a", "2:1-1.fc40", "x86_64")),
    ("rpm", ("a", "x86_64", "1-1"), "Packages/a/a-1-1.x86_64.rpm", ("a", "0:1-1", "x86_64")),
    ("apk", ("a", "noarch", "1-r0"), "v3/main/x86_64/a-1-r0.apk", ("a", "1-r0", "x86_64")),
    ("apk", ("a", "x86_64", "1-r0"), "v3/main/x86_64/a-1-r0.apk", ("a", "1-r0", "noarch")),
]


@pytest.mark.parametrize(("family", "package", "path", "wanted"), NAMED)
def test_a_name_is_found(family: str, package: tuple[str, str, str], path: str, wanted: tuple[str, str, str]) -> None:
    name, version, architecture = wanted
    assert found(query(family, name=name, version=version, architecture=architecture), family, package, path) == [
        package[2]
    ]


OTHERS = [
    ("apt", ("g++", "amd64", "4:13.2.0-1+b1~x"), GCC, ("g++", "13.2.0-1+b1~x", "amd64")),  # another epoch
    ("apt", ("g++", "amd64", "4:13.2.0-1+b1~x"), GCC, ("g++", "4:13.2.0-1+b1~x", "arm64")),
    ("apt", ("g++", "amd64", "4:13.2.0-1+b1~x"), GCC, ("gcc", "4:13.2.0-1+b1~x", "amd64")),
    ("rpm", ("a", "x86_64", "1:1-1"), "Packages/a/a-1-1.x86_64.rpm", ("a", "1-1", "x86_64")),
]


@pytest.mark.parametrize(("family", "package", "path", "wanted"), OTHERS)
def test_another_package_is_not(
    family: str, package: tuple[str, str, str], path: str, wanted: tuple[str, str, str]
) -> None:
    name, version, architecture = wanted
    assert found(query(family, name=name, version=version, architecture=architecture), family, package, path) == []


def test_a_version_of_a_file_name_has_no_epoch() -> None:
    wanted = query(name="g++", version="13.2.0-1+b1~x", architecture="amd64", is_bare=True)
    assert found(wanted, "apt", ("g++", "amd64", "4:13.2.0-1+b1~x"), GCC) == ["4:13.2.0-1+b1~x"]


class TestDigests:
    FILE = IndexedFile("a", "1", "amd64", ExpectedFile("pool/a_1_amd64.deb", 1, {"sha256": SHA256}))

    def agreement(self, wanted: Query, file: IndexedFile = FILE) -> FileMatch:
        return compare_file(wanted, file, "all", LISTERS["apt"].compare)

    def test_an_equal_one_is_enough(self) -> None:
        assert self.agreement(query(digests=digest("sha256", SHA256), path="elsewhere.deb")) is FileMatch.SAME

    def test_a_different_one_excludes_the_path(self) -> None:
        wanted = query(digests=digest("sha256", OTHER), path="pool/a_1_amd64.deb")
        assert self.agreement(wanted) is FileMatch.OTHER_BYTES

    def test_a_different_one_of_an_unrelated_file_is_no_contradiction(self) -> None:
        assert self.agreement(query(digests=digest("sha256", OTHER), name="b", version="1")) is FileMatch.OTHER

    @pytest.mark.parametrize("part", [DigestOf.HEADER, DigestOf.CONTROL, DigestOf.DATA])
    def test_one_of_another_part_is_not_compared(self, part: DigestOf) -> None:
        wanted = query(digests=digest("sha256", OTHER, part), name="a", version="1")
        assert self.agreement(wanted) is FileMatch.SAME
        equal = query(digests=digest("sha256", SHA256, part), path="elsewhere.deb")
        assert self.agreement(equal) is FileMatch.OTHER

    def test_the_control_part_is_compared_with_the_identity(self) -> None:
        file = IndexedFile("a", "1-r0", "x86_64", ExpectedFile("main/x86_64/a-1-r0.apk", 1, {"apk-identity-160": SHA1}))
        control = query("apk", digests=digest("sha1", SHA1, DigestOf.CONTROL))
        whole = query("apk", digests=digest("sha1", SHA1))
        assert self.agreement(control, file) is FileMatch.SAME
        assert self.agreement(whole, file) is FileMatch.OTHER
        assert is_by_identity(control, file)

    def test_a_strong_one_is_not_an_identity(self) -> None:
        assert not is_by_identity(query(digests=digest("sha256", SHA256)), self.FILE)

    def test_the_best_one_is_verified(self) -> None:
        weak = digest("sha1", SHA1)
        assert best_digest(query(digests=weak + digest("sha512", "d")), {"sha256": SHA256}) == "sha512:d"
        assert best_digest(query(digests=weak), {"sha256": SHA256}) == f"sha1:{SHA1}"
        assert best_digest(query(digests=weak), {"sha256": SHA256, "sha1": SHA1}) == f"sha256:{SHA256}"
        assert best_digest(query(), {"md5": "e"}) == "md5:e"
        assert best_digest(query("apk", digests=digest("sha1", SHA1, DigestOf.CONTROL)), {}) == ""

    def test_only_headers_are_reported(self) -> None:
        header = digest("sha256", SHA256, DigestOf.HEADER)
        assert has_header_only(query("rpm", digests=header))
        assert not has_header_only(query("rpm", digests=header + digest("sha256", OTHER)))
        assert not has_header_only(query("rpm"))


class TestScan:
    def test_a_path_may_lack_its_beginning(self) -> None:
        files = [ExpectedFile(path, 1, {"sha256": SHA256}) for path in ("debian/pool/a_1_all.deb", "pool/xa_1_all.deb")]
        result = scan(query(path="pool/a_1_all.deb"), "apt", [], files)
        assert [indexed.file.path for _, indexed in result.hits] == ["debian/pool/a_1_all.deb"]

    def test_a_file_name_without_a_version_is_found_by_its_path(self) -> None:
        file = ExpectedFile("pool/chrome_current_amd64.deb", 1, {"sha256": SHA256})
        result = scan(query(path=file.path), "apt", [PackageVersion("chrome", "amd64", "9", "chrome", "9")], [file])
        assert [number for number, _ in result.hits] == [0]

    def test_names_and_versions_are_kept_for_the_report(self) -> None:
        packages = [PackageVersion(name, "all", version, name, version) for name, version in (("a", "2"), ("b", "1"))]
        result = scan(query(name="a", version="1"), "apt", packages, [])
        assert result.names == {"a", "b"}
        assert result.versions == {"a": frozenset({"2"})}
        assert result.hits == ()

    def test_other_bytes_are_reported(self) -> None:
        file = ExpectedFile("pool/a_1_all.deb", 1, {"sha256": SHA256})
        result = scan(query(path=file.path, digests=digest("sha256", OTHER)), "apt", [], [file])
        assert (result.hits, [number for number, _ in result.contradicted]) == ((), [0])

"""apk's texts, as 2.14.10 and 3.0.6 print them, and the packages of its indexes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.core.model import ExpectedFile
from snapproxy.solvers import apk_texts
from snapproxy.solvers.apk_texts import IndexedPackage
from snapproxy.solvers.model import ClosureFile, ClosureRequest, SolverError
from snapproxy.solvers.repositories import SolverRepository
from tests.fakes.adb import genuine
from tests.fakes.alpine import RsaKey, index, package

REQUEST = ClosureRequest(("a",))
ADDED = "(1/2) Installing gone (1_rc1-r0)\n(2/2) Installing hello (1.0-r0)\nOK: 0 MiB in 2 packages\n"
MISSING = """\
ERROR: unable to select packages:
  also (no such package):
    required by: world[also]
  nowhere (no such package):
    required by: broken-1-r0[nowhere]
  nosuch (no such package):
    required by: world[nosuch]
"""


@pytest.mark.parametrize("name", ["gcc", "so:libc.musl-x86_64.so.1", "cmd:sh", "hello=1.0-r0", "a~1.2", "libstdc++"])
def test_names_are_accepted(name: str) -> None:
    apk_texts.check_request(replace(REQUEST, packages=(name,)))


@pytest.mark.parametrize("name", ["", "-U", "--root=/", "a.apk", "/x/a.apk", "a b", "!a", "a@edge", "a\n"])
def test_options_files_and_removals_are_refused(name: str) -> None:
    with pytest.raises(SolverError, match="Not a valid name"):
        apk_texts.check_request(replace(REQUEST, packages=(name,)))


def test_the_version_is_the_solvers() -> None:
    assert apk_texts.version("apk-tools 2.14.10, compiled for x86_64.\n") == "apk-tools 2.14.10"
    assert apk_texts.version("apk-tools 3.0.6, compiled for x86_64.\n") == "apk-tools 3.0.6"
    with pytest.raises(SolverError, match="version of apk"):
        apk_texts.version("")


def test_each_installation_is_a_package() -> None:
    assert apk_texts.installed_packages(ADDED) == (("gone", "1_rc1-r0"), ("hello", "1.0-r0"))
    assert apk_texts.installed_packages("( 1/10) Installing a (1-r0)\n") == (("a", "1-r0"),)
    assert apk_texts.installed_packages("(1/1) Installing a@edge (1-r0)\n") == (("a", "1-r0"),)


@pytest.mark.parametrize(
    "line", ["(1/1) Purging a (1-r0)", "(1/1) Upgrading a (1-r0 -> 2-r0)", "(1/1) Installing a", "(?) Installing a (1)"]
)
def test_other_changes_are_errors(line: str) -> None:
    with pytest.raises(SolverError, match="cannot be used"):
        apk_texts.installed_packages(f"(1/2) Installing b (1-r0)\n{line}\n")


def test_unknown_names_are_those_that_were_requested() -> None:
    assert apk_texts.unknown_names(MISSING) == ("also", "nosuch")
    assert apk_texts.unknown_names("ERROR: unable to select packages:\n  a-1-r0:\n    conflicts: b-1-r0\n") == ()


def test_a_repository_of_version_3_has_a_word_before_it() -> None:
    repository = SolverRepository("", "http://h/alpine/T", "v3.20/main")
    assert apk_texts.repository_line(repository, "x/APKINDEX.tar.gz") == "http://h/alpine/T/v3.20/main\n"
    assert apk_texts.repository_line(repository, "x/Packages.adb") == "v3 http://h/alpine/T/v3.20/main\n"


class TestIndexes:
    def test_packages_of_version_2_are_beside_the_index(self) -> None:
        key = RsaKey("k")
        hello = package("hello", "1.0-r0", key)
        found = dict(apk_texts.indexed_packages("v/main/x86_64/APKINDEX.tar.gz", index([hello], key), "alpine"))
        file = found["hello", "1.0-r0"]
        assert (file.architecture, file.archive) == ("x86_64", "alpine")
        assert (file.expected.path, file.expected.size) == ("v/main/x86_64/hello-1.0-r0.apk", len(hello.whole))

    def test_packages_of_version_3_are_in_the_folder_of_their_architecture(self) -> None:
        found = dict(apk_texts.indexed_packages("edge/main/x86_64/Packages.adb", genuine("Packages.adb"), ""))
        assert found["data", "2-r0"].expected.path == "edge/main/noarch/data-2-r0.apk"
        assert found["hello", "1.0-r0"].expected.path == "edge/main/x86_64/hello-1.0-r0.apk"

    def test_a_damaged_index_is_an_error(self) -> None:
        for name in ("APKINDEX.tar.gz", "Packages.adb"):
            with pytest.raises(SolverError, match="index cannot be read"):
                dict(apk_texts.indexed_packages(f"main/x86_64/{name}", b"<html>", ""))


class TestFiles:
    ONE = IndexedPackage("x86_64", ExpectedFile("main/x86_64/a-1.apk", 7, {"apk-160": "a" * 40}), "")
    OTHER = IndexedPackage("x86_64", ExpectedFile("more/x86_64/a-1.apk", 8, {"apk-160": "b" * 40}), "")

    def test_a_package_gives_its_file(self) -> None:
        files, notes = apk_texts.closure_files([("a", "1")], {("a", "1"): [self.ONE]})
        assert files == [ClosureFile("a", "1", "x86_64", "main/x86_64/a-1.apk", 7)]
        assert notes == []

    def test_the_first_repository_with_the_same_bytes_is_used(self) -> None:
        same = replace(self.ONE, expected=replace(self.ONE.expected, path="more/x86_64/a-1.apk"))
        files, notes = apk_texts.closure_files([("a", "1")], {("a", "1"): [self.ONE, same]})
        assert [file.path for file in files] == ["main/x86_64/a-1.apk"]
        assert notes == []

    def test_different_bytes_are_all_included_and_noted(self) -> None:
        files, notes = apk_texts.closure_files([("a", "1")], {("a", "1"): [self.ONE, self.OTHER]})
        assert [file.path for file in files] == ["main/x86_64/a-1.apk", "more/x86_64/a-1.apk"]
        assert "2 repositories list different files for a 1" in notes[0]

    def test_a_package_that_no_index_lists_is_an_error(self) -> None:
        with pytest.raises(SolverError, match="no index lists"):
            apk_texts.closure_files([("a", "2")], {("a", "1"): [self.ONE]})

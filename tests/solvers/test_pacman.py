"""The files of pacman's packages are those of its own database."""

from __future__ import annotations

import pytest

from snapproxy.core.model import ExpectedFile
from snapproxy.solvers.model import ClosureFile, SolverError
from snapproxy.solvers.pacman import closure_file
from snapproxy.solvers.pacman_texts import PrintedPackage

PACKAGE = PrintedPackage("core", "libtest++", "2:2.4-1", "http://h/x")
PATH = "core/os/x86_64/libtest++-2:2.4-1-any.pkg.tar.zst"
DIGEST = "ab" * 32
EXPECTED = {
    PATH: ExpectedFile(PATH, 7, {"sha256": DIGEST, "md5": "0" * 32}),
    f"{PATH}.sig": ExpectedFile(f"{PATH}.sig", 3, {"sha256": DIGEST}),
}


def test_size_and_digest_are_those_of_the_database() -> None:
    for path, size in ((PATH, 7), (f"{PATH}.sig", 3)):
        file = closure_file(PACKAGE, "", path, EXPECTED)
        assert file == ClosureFile("libtest++", "2:2.4-1", "any", path, size, f"sha256:{DIGEST}")


def test_a_signature_may_be_unlisted_and_a_package_may_not() -> None:
    file = closure_file(PACKAGE, "a", f"{PATH}.sig", {PATH: EXPECTED[PATH]})
    assert file == ClosureFile("libtest++", "2:2.4-1", "any", f"{PATH}.sig", archive="a")
    with pytest.raises(SolverError, match="does not list"):
        closure_file(PACKAGE, "", "core/os/x86_64/other-1-1-any.pkg.tar.zst", EXPECTED)


def test_only_a_strong_digest_is_given() -> None:
    assert closure_file(PACKAGE, "", PATH, {PATH: ExpectedFile(PATH, 7, {"md5": "0" * 32})}).digest == ""

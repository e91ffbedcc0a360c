"""The repositories of a request, and the paths of files that package managers print."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.solvers.model import ClosureRequest, FurtherArchive, SolverError
from snapproxy.solvers.repositories import (
    MAX_EXPLANATION,
    SolverRepository,
    explanation,
    located,
    refuse_options_of_apt,
    repositories_of,
)

BASE = "http://127.0.0.1:3142/~one/linux/20240601T000000Z"
VENDOR = f"{BASE}/vendor"
REQUEST = ClosureRequest(("a",), components=("core",), architectures=("x86_64",))
REPOSITORIES = (SolverRepository("", BASE, "core"), SolverRepository("vendor", VENDOR, ""))


def test_components_are_folders_of_each_archive() -> None:
    further = FurtherArchive("vendor", VENDOR, (), (".",))
    request = replace(REQUEST, components=("/updates/$releasever/", "a//b"), further=(further,))
    found = repositories_of(request, f"{BASE}/")
    assert [each.folder for each in found] == ["updates/$releasever", "a/b", ""]
    assert [each.address for each in found] == [f"{BASE}/updates/$releasever", f"{BASE}/a/b", VENDOR]
    assert [each.archive for each in found] == ["", "", "vendor"]


@pytest.mark.parametrize("word", ["a b", "a\nServer = http://evil", "../x", "a/../b", "x#", "[core]", "a\tb"])
def test_no_word_writes_another_line_of_a_configuration(word: str) -> None:
    with pytest.raises(SolverError):
        repositories_of(replace(REQUEST, components=(word,)), BASE)
    with pytest.raises(SolverError):
        repositories_of(replace(REQUEST, architectures=(word,)), BASE)
    with pytest.raises(SolverError):
        repositories_of(REQUEST, f"ftp://h/{word}")


def test_a_repository_and_an_architecture_are_needed() -> None:
    with pytest.raises(SolverError, match="No repository"):
        repositories_of(replace(REQUEST, components=()), BASE)
    with pytest.raises(SolverError, match="No architecture"):
        repositories_of(replace(REQUEST, architectures=()), BASE)


def test_options_of_apt_are_refused() -> None:
    refuse_options_of_apt(REQUEST, "apk")
    for changed in (replace(REQUEST, status=b"x"), replace(REQUEST, build_dependencies_of=("x",))):
        with pytest.raises(SolverError, match="apk cannot compute") as refused:
            refuse_options_of_apt(changed, "apk")
        assert "apt only" in refused.value.why


def test_a_file_is_in_the_archive_with_the_longest_address() -> None:
    assert located(f"{BASE}/core/os/lib%2b%2b-2:1.zst", REPOSITORIES, "x") == ("", "core/os/lib++-2:1.zst")
    assert located(f"{VENDOR}//a/./b.rpm", REPOSITORIES, "x") == ("vendor", "a/b.rpm")
    assert located(f"{BASE}/a/b/../c.rpm", REPOSITORIES, "x") == ("", "a/c.rpm")


@pytest.mark.parametrize(
    "address",
    [
        "http://elsewhere.example/a.rpm",
        f"{BASE}1/a.rpm",
        f"{BASE}",
        f"{BASE}/",
        f"{BASE}/../a.rpm",
        f"{BASE}/a/../../b.rpm",
        f"{BASE}/%2e%2e/b.rpm",
        f"{BASE}/a%2fb.rpm",
        f"{BASE}/a%00.rpm",
        f"{BASE}/a%0a.rpm",
        f"{BASE}/http://elsewhere.example/a.rpm",
        f"{BASE}/folder/",
    ],
)
def test_a_file_outside_the_archive_is_refused(address: str) -> None:
    with pytest.raises(SolverError, match="outside the archive"):
        located(address, REPOSITORIES, "x")


def test_an_explanation_is_bounded_and_has_no_control_characters() -> None:
    assert explanation("a\n\n b\x1b[1m\r\n", "c") == "a\n b?[1m\nc"
    text = explanation("x" * 100_000, "the end")
    assert len(text) < MAX_EXPLANATION + 10
    assert text.endswith("the end")

"""The documents of the scripts for dnf, and which dnf is the one of a machine or a root."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snapproxy.errors import RecordError
from snapproxy.solvers import dnf_texts
from snapproxy.solvers.dnf import uses_dnf5
from snapproxy.solvers.model import ClosureFile, ClosureRequest, SolverError, UnknownPackagesError, UnsatisfiableError
from snapproxy.solvers.repositories import SolverRepository

BASE = "http://127.0.0.1:3142/fedora/20240601T000000Z"
REPOSITORIES = (SolverRepository("", BASE, "linux/$releasever/os"),)
REQUEST = ClosureRequest(("bash",), suites=("40",), architectures=("x86_64",), recommends=False)
DIGEST = "ab" * 32


def package(**changed: Any) -> dict[str, Any]:
    known = {
        "repository": 0, "name": "bash", "version": "5.2-1", "architecture": "x86_64",
        "location": "Packages/b/bash-5.2-1.x86_64.rpm", "base": "", "size": 7, "digest": f"sha256:{DIGEST}",
    }  # fmt: skip
    return {**known, **changed}


def result(*packages: dict[str, Any], **changed: Any) -> bytes:
    known = {
        "solver": "dnf 4.14.0 (libdnf 0.69.0)", "failure": "", "is_solved": True, "unknown": [],
        "addresses": [f"{BASE}/linux/40/os"], "packages": list(packages),
    }  # fmt: skip
    return json.dumps({**known, **changed}).encode()


def test_the_request_has_every_choice() -> None:
    document = json.loads(dnf_texts.request_document(REQUEST, REPOSITORIES, "/p"))
    assert document == {
        "folder": "/p", "addresses": [f"{BASE}/linux/$releasever/os"], "packages": ["bash"],
        "architecture": "x86_64", "releasever": "40", "recommends": False,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["bash", "@core", "/usr/bin/sh", "perl(JSON) >= 4", "bash-5.2-1.fc40.x86_64", "gcc*"])
def test_names_groups_files_and_capabilities_are_accepted(name: str) -> None:
    assert dnf_texts.request_document(replace(REQUEST, packages=(name,)), REPOSITORIES, "/p")


@pytest.mark.parametrize("name", ["", "-y", "./a.rpm", "/root/a.rpm", "http://h/a.rpm", "a\nb", "a\x00"])
def test_files_of_the_disk_and_addresses_are_refused(name: str) -> None:
    with pytest.raises(SolverError, match="Not a valid name"):
        dnf_texts.request_document(replace(REQUEST, packages=(name,)), REPOSITORIES, "/p")


class TestResult:
    def test_a_package_gives_a_file_and_variables_are_replaced(self) -> None:
        found = dnf_texts.read_result(result(package()), REPOSITORIES)
        path = "linux/40/os/Packages/b/bash-5.2-1.x86_64.rpm"
        assert found.files == (ClosureFile("bash", "5.2-1", "x86_64", path, 7, f"sha256:{DIGEST}"),)
        assert found.repositories == (SolverRepository("", BASE, "linux/40/os"),)
        assert found.solver == "dnf 4.14.0 (libdnf 0.69.0)"

    def test_a_package_beside_its_repository_is_in_the_archive(self) -> None:
        (file,) = dnf_texts.read_result(result(package(location="../noarch/a.rpm")), REPOSITORIES).files
        assert file.path == "linux/40/noarch/a.rpm"

    @pytest.mark.parametrize("address", [BASE, f"{BASE}/"])
    def test_a_repository_may_be_at_the_top_of_the_archive(self, address: str) -> None:
        found = dnf_texts.read_result(result(package(), addresses=[address]), [SolverRepository("", BASE, "")])
        assert found.repositories == (SolverRepository("", BASE, ""),)
        assert [file.path for file in found.files] == ["Packages/b/bash-5.2-1.x86_64.rpm"]

    @pytest.mark.parametrize("digest", [f"md5:{'a' * 32}", f"sha1:{'a' * 40}", "sha256:short", "", DIGEST])
    def test_a_weak_or_malformed_digest_is_none(self, digest: str) -> None:
        (file,) = dnf_texts.read_result(result(package(digest=digest)), REPOSITORIES).files
        assert file.digest == ""

    @pytest.mark.parametrize(
        "changed",
        [
            {"location": "../../../../../etc/passwd"},
            {"location": "http://elsewhere.example/a.rpm"},
            {"location": "a%2f..%2fb.rpm"},
            {"base": "http://elsewhere.example/x"},
            {"base": "file:///etc"},
        ],
    )
    def test_files_outside_the_archive_are_refused(self, changed: dict[str, Any]) -> None:
        with pytest.raises(SolverError, match="outside the archive"):
            dnf_texts.read_result(result(package(**changed)), REPOSITORIES)

    def test_a_repository_outside_the_archive_is_refused(self) -> None:
        for address in ("http://elsewhere.example/", f"{BASE}x/linux"):
            with pytest.raises(SolverError, match="repository outside"):
                dnf_texts.read_result(result(addresses=[address]), REPOSITORIES)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"[]",
            result(addresses=[]),
            result(package(repository=1)),
            result(package(repository=-1)),
            result(package(size=-1)),
            result(package(name="a\x1bb")),
            result(package(more=1)),
            result(unknown=[3]),
        ],
    )
    def test_other_documents_are_refused(self, data: bytes) -> None:
        with pytest.raises(RecordError):
            dnf_texts.read_result(data, REPOSITORIES)

    def test_all_unknown_names_are_named(self) -> None:
        with pytest.raises(UnknownPackagesError) as unknown:
            dnf_texts.read_result(result(unknown=["a", "@b", "a"], failure="Problems in request"), REPOSITORIES)
        assert unknown.value.names == ("a", "@b")

    def test_a_failure_is_dnfs_own_explanation(self) -> None:
        text = "\n Problem: conflicting requests\n  - nothing provides nowhere needed by broken-1-1.noarch from r0"
        with pytest.raises(UnsatisfiableError, match="nothing provides nowhere"):
            dnf_texts.read_result(result(failure=text, is_solved=False), REPOSITORIES)

    def test_a_repository_that_cannot_be_loaded_is_another_failure(self) -> None:
        with pytest.raises(SolverError, match="could not load its repositories") as failed:
            dnf_texts.read_result(result(failure="Failed to download metadata for repo 'r0'"), REPOSITORIES)
        assert not isinstance(failed.value, UnsatisfiableError)


def test_the_version_of_libdnf5_is_the_solvers() -> None:
    printed = "dnf5 version 5.4.6.0\ndnf5 plugin API version 2.0\nlibdnf5 version 5.4.6.0\n"
    assert dnf_texts.libdnf5_version(printed) == "dnf5 (libdnf5 5.4.6.0)"
    assert dnf_texts.libdnf5_version("") == "dnf5"


@pytest.mark.parametrize(
    ("links", "is_dnf5"),
    [
        ({"dnf": "dnf-3", "dnf-3": ""}, False),
        ({"dnf": "dnf5", "dnf5": ""}, True),
        ({"dnf": "/etc/alternatives/dnf", "../../etc/alternatives/dnf": "/usr/bin/dnf5", "dnf5": ""}, True),
        ({"dnf5": ""}, True),
        ({"dnf": "dnf-3", "dnf-3": "", "dnf5": ""}, False),
        ({"dnf": "dnf"}, False),
        ({"dnf": "gone", "dnf5": ""}, True),
        ({}, False),
    ],
)
def test_the_dnf_of_a_root_is_where_its_links_lead(tmp_path: Path, links: dict[str, str], is_dnf5: bool) -> None:
    for name, target in links.items():
        path = tmp_path / "usr/bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc/alternatives").mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        else:
            path.touch()
    assert uses_dnf5(str(tmp_path)) is is_dnf5

"""Lists of rpm files with addresses: `rpms.lock.yaml` of Konflux and the manifest of dnf."""

from __future__ import annotations

import pytest

from snapproxy.formats.package_lists.known import read_list
from snapproxy.formats.package_lists.model import DigestOf, ListedDigest, ListEntry, ListFormatError, PackageList
from tests.fakes.rpm_apk_arch_lists import CONTENTS

BASE = "https://rpms.example.org/40/Everything"


def sha256(last: str) -> tuple[ListedDigest, ...]:
    return (ListedDigest("sha256", f"5b1a2a4b0b1c1ab36cb2e5bf3ff0e4ab7f1f1c5a86e9ab2f8d4d40b1d5b4c{last}"),)


def test_konflux_lock() -> None:
    top = "https://rpms.example.org/9"
    md5 = (ListedDigest("md5", "1254011a2ce1245f0b528b1190fa3cb6"),)
    assert read_list(CONTENTS["konflux/rpms.lock.yaml"]) == PackageList(
        "rpms-lock",
        (
            ListEntry(
                "arches[0].packages[0]",
                "rpm",
                "libfoo++",
                "1:2.10-3.el9",
                "aarch64",
                suite="baseos",
                url=f"{top}/BaseOS/aarch64/os/Packages/l/libfoo++-2.10-3.el9.aarch64.rpm",
                digests=sha256("101"),
                size=81277,
            ),
            ListEntry(
                "arches[0].packages[1]",
                "rpm",
                "tzdata",
                "2024a-1.el9",
                "noarch",
                url=f"{top}/BaseOS/aarch64/os/Packages/t/tzdata-2024a-1.el9.noarch.rpm",
            ),
            ListEntry(
                "arches[1].packages[0]",
                "rpm",
                "hello",
                "1.10-1.el9",
                "x86_64",
                suite="appstream",
                digests=sha256("102"),
            ),
            ListEntry(
                "arches[1].source[0]",
                "rpm",
                "libfoo",
                "1:2.10-3.el9",
                "src",
                suite="baseos-source",
                url=f"{top}/BaseOS/source/tree/Packages/l/libfoo-2.10-3.el9.src.rpm",
                digests=md5,
                size=914735,
            ),
            ListEntry(
                "arches[1].module_metadata[0]",
                "rpm",
                suite="appstream",
                url=f"{top}/AppStream/x86_64/os/repodata/5b1a-modules.yaml.gz",
                digests=sha256("104"),
                size=76926,
            ),
        ),
        (
            "Source packages: 1.",
            "Files with metadata of modules, which are no packages: 1.",
            "Files without a checksum: 1.",
            "Files with an address that is not http or https: 1.",
        ),
    )


def test_dnf_manifest() -> None:
    assert read_list(CONTENTS["dnf/packages.manifest.yaml"]) == PackageList(
        "dnf-manifest",
        (
            ListEntry(
                "data.packages.i686[0]",
                "rpm",
                "glibc",
                "2.39-2.fc40",
                "i686",
                suite="os",
                bases=(f"{BASE}/x86_64/os/", f"{BASE}/i686/os/"),
                path="Packages/g/glibc-2.39-2.fc40.i686.rpm",
                digests=sha256("111"),
                size=1923456,
            ),
            ListEntry(
                "data.packages.noarch[0]",
                "rpm",
                "tzdata",
                "2024a^1-1.10",
                "noarch",
                suite="os",
                bases=(f"{BASE}/i686/os/", f"{BASE}/x86_64/os/"),
                path="Packages/t/tzdata-2024a^1-1.10.noarch.rpm",
                digests=sha256("112"),
                size=433000,
            ),
            ListEntry(
                "data.packages.src[0]",
                "rpm",
                "zsh",
                "5.9-13.fc40",
                "src",
                suite="os-source",
                bases=(f"{BASE}/source/tree",),
                path="Packages/z/zsh-5.9-13.fc40.src.rpm",
                digests=sha256("113"),
                size=3400000,
            ),
            ListEntry(
                "data.packages.x86_64[0]",
                "rpm",
                "nodejs",
                "1:20.12.2-1.fc40",
                "x86_64",
                suite="updates",
                digests=(ListedDigest("sha512", (sha256("114")[0].value) * 2),),
                size=152384,
            ),
            ListEntry(
                "data.packages.x86_64[1]",
                "rpm",
                "tool",
                "1.0-1",
                "x86_64",
                suite="local",
                digests=sha256("115"),
                size=100,
            ),
        ),
        (
            "Repositories with a list of mirrors (metalink or mirrorlist) and no address: updates.",
            "Repositories without an address of http or https: local.",
            "Documents about modules were left out: 1.",
        ),
    )


def test_a_manifest_of_installed_packages_has_digests_of_headers() -> None:
    """dnf5 writes no size for them: rpm's database does not have the size of the file."""
    header = ListedDigest("sha1", "8681d8487793b37ac3aedc0ddfc5ae89c8875d0f", DigestOf.HEADER)
    assert read_list(CONTENTS["dnf/installed.manifest.yaml"]) == PackageList(
        "dnf-manifest",
        (
            ListEntry(
                "data.packages.x86_64[0]",
                "rpm",
                "bash",
                "5.2.26-3.fc40",
                "x86_64",
                suite="os",
                bases=(f"{BASE}/x86_64/os/",),
                path="Packages/b/bash-5.2.26-3.fc40.x86_64.rpm",
                digests=(header,),
            ),
        ),
        ("Packages of an installed system, whose checksums cover the header and not the file: 1.",),
    )


@pytest.mark.parametrize(
    ("version", "url", "bases", "path"),
    [
        ("0.0.1", f"{BASE}/x86_64/os/Packages/z/zsh-5.9-13.fc40.x86_64.rpm", (), ""),
        ("0.1.0", "", (f"{BASE}/x86_64/os/",), "Packages/z/zsh-5.9-13.fc40.x86_64.rpm"),
    ],
)
def test_older_layouts_of_the_manifest(version: str, url: str, bases: tuple[str, ...], path: str) -> None:
    assert read_list(CONTENTS[f"dnf/version-{version}.yaml"]) == PackageList(
        "dnf-manifest",
        (
            ListEntry(
                "data.packages.x86_64[0]",
                "rpm",
                "zsh",
                "5.9-13.fc40",
                "x86_64",
                suite="os",
                url=url,
                bases=bases,
                path=path,
                digests=(ListedDigest("md5", "fec50044e73fcdae342722818ff88525"),),
                size=3412259,
            ),
        ),
    )


def test_an_empty_manifest_has_no_entry() -> None:
    data = b"document: rpm-package-manifest\nversion: 0.2.0\ndata:\n  repositories: ~\n  packages: ~"
    assert read_list(data) == PackageList("dnf-manifest", ())


KONFLUX = """lockfileVersion: 1
lockfileVendor: redhat
arches: [{arch: x86_64, packages: [{url: 'https://e.org/a-1-1.noarch.rpm', %s}]}]"""
DNF = """document: rpm-package-manifest
version: 0.2.2
data: {repositories: [{id: r, baseurl: 'https://e.org/'}], packages: {x86_64: [{name: a, size: 1, evr: 1-1, %s}]}}"""


@pytest.mark.parametrize(
    ("form", "change", "place"),
    [
        (KONFLUX, "checksum: sha256:abcd", "arches[0].packages[0].checksum"),
        (KONFLUX, f"checksum: {'a' * 64}", "arches[0].packages[0].checksum"),
        (KONFLUX, f"checksum: {{sha256: {'a' * 64}}}", "arches[0].packages[0].checksum"),
        (KONFLUX, "size: 1e3", "arches[0].packages[0].size"),
        (KONFLUX, f"size: {10**18}", "arches[0].packages[0].size"),
        (KONFLUX, "size: -1", "arches[0].packages[0].size"),
        (KONFLUX, "name: 'a b'", "arches[0].packages[0].name"),
        (KONFLUX, 'name: "a\\nb"', "arches[0].packages[0].name"),
        (KONFLUX, "name: [a]", "arches[0].packages[0].name"),
        (KONFLUX, "evr: '1.0'", "arches[0].packages[0].evr"),
        (KONFLUX, "repoid: 'a b'", "arches[0].packages[0].repoid"),
        (KONFLUX, f"name: {'a' * 5000}", "arches[0].packages[0].name"),
        (KONFLUX, "url: x", "line 3"),
        (DNF, "checksum: crc32:abcd", "data.packages.x86_64[0].checksum"),
        (DNF, "repo_id: [r]", "data.packages.x86_64[0].repo_id"),
        (DNF, "location: '%ff', repo_id: r", "data.packages.x86_64[0].location"),
        (DNF, "location: 'a%0Ab', repo_id: r", "data.packages.x86_64[0].location"),
        (DNF, "nevra: a-1-1.noarch", "data.packages.x86_64[0].nevra"),
        (DNF, "url: 'https://[::1/a'", "data.packages.x86_64[0].url"),
        (DNF, "parent_archs: [x86_64, 'a/../b']", "data.packages.x86_64[0].parent_archs[1]"),
        (DNF, f"parent_archs: [{'x86_64, ' * 17}]", "data.packages.x86_64[0].parent_archs"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(form: str, change: str, place: str) -> None:
    assert read_list((form % "").encode()).entries
    with pytest.raises(ListFormatError) as refused:
        read_list((form % change).encode())
    assert (refused.value.place, refused.value.is_recognised) == (place, True)


@pytest.mark.parametrize(
    ("form", "old", "new", "place"),
    [
        (KONFLUX, "lockfileVersion: 1", "lockfileVersion: 2", "lockfileVersion"),
        (KONFLUX, "redhat", "unknown", "lockfileVersion"),
        (KONFLUX, "[{arch", "[{atch", "arches[0].arch"),
        (KONFLUX, "[{arch: x86_64, ", "[7, {arch: x86_64, ", "arches[0]"),
        (KONFLUX, "url:", "location:", "arches[0].packages[0].url"),
        (KONFLUX, "packages: [", "packages: &a [", "line 3"),
        (DNF, "version: 0.2.2", "version: 1.0.0", "version"),
        (DNF, "version: 0.2.2\n", "", "version"),
        (DNF, "data: {", "dada: {", "data"),
        (DNF, "id: r,", "", "data.repositories[0].id"),
        (DNF, "x86_64: [", "'a/b': [", "data.packages.a/b"),
        (DNF, "evr: 1-1", "evr: 1", "data.packages.x86_64[0].evr"),
        (DNF, "size: 1,", "", "data.packages.x86_64[0].size"),
        (DNF, "evr: 1-1", "evr: !!str 1-1", "line 3"),
        (DNF, "packages: {", "packages: {" + ", ".join(f"ppc{at}: []" for at in range(20)) + ", ", "data.packages"),
    ],
)
def test_a_wrong_document_is_named_with_its_place(form: str, old: str, new: str, place: str) -> None:
    data = form % ""
    assert data.count(old) == 1
    with pytest.raises(ListFormatError) as refused:
        read_list(data.replace(old, new).encode())
    assert (refused.value.place, refused.value.is_recognised) == (place, True)

"""Bills of materials of syft, trivy and snapproxy: every entry, as a whole value, and what is left out."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from snapproxy.formats.package_lists.known import read_list
from snapproxy.formats.package_lists.model import DigestOf, ListedDigest, ListEntry, PackageList
from tests.fakes.deb_sbom_lists import CONTENTS

NOON = 1717236000  # 2024-06-01T10:00:00Z
CONTROL = (ListedDigest("sha1", b64decode("c0e5CAiU6H9SZj7rgN24gh3ftzw=").hex(), DigestOf.CONTROL),)
UNUSED = "Digests that are not known to be those of package files were not used: 1."

MUSL = ListEntry(
    "",
    family="apk",
    name="musl",
    version="1.2.4_git20230717-r4",
    architecture="x86_64",
    distribution="alpine",
    suite="3.19.1",
    digests=CONTROL,
)
LIBSTDC = ListEntry("", "apt", "libstdc++6", "12.2.0-14", "amd64", "debian", "12")
SHADOW = ListEntry("", "rpm", "shadow-utils", "2:4.15.1-2.fc40", "x86_64", "fedora", "40")
OPENSSL = ListEntry("", "pacman", "openssl", "1:3.3.0-1", "x86_64", "arch")
BASH = ListEntry("", "apt", "bash", "5.2.15-2+b2", "amd64", "debian", "12")


def left_out(counts: str) -> str:
    return f"Left out, because they are no packages of apt, apk, pacman or rpm: {counts}."


def at(origin: str, entry: ListEntry) -> ListEntry:
    return replace(entry, origin=origin)


def test_syft_json() -> None:
    of_image = {"distribution": "alpine", "suite": "3.19.1"}
    assert read_list(CONTENTS["syft/image.syft.json"]) == PackageList(
        "syft",
        (
            at("artifacts[0]", MUSL),
            replace(at("artifacts[2]", LIBSTDC), **of_image),
            replace(at("artifacts[3]", SHADOW), **of_image),
            replace(at("artifacts[5]", OPENSSL), **of_image),
        ),
        (left_out("1 gpg-pubkey (keys), 1 python, 1 virtual (apk)"),),
    )


def test_cyclonedx_of_syft() -> None:
    assert read_list(CONTENTS["syft/image.cdx.json"]) == PackageList(
        "cyclonedx",
        (
            at("components[0]", MUSL),
            at("components[1]", LIBSTDC),
            ListEntry("components[2]", "apt", "tzdata", "1:2024a-0", "all", "debian", "12"),
            at("components[3]", SHADOW),
            at("components[4]", OPENSSL),
            ListEntry("components[5]", "apk", "R", "4.3.2-r0", "x86_64", "alpine", "3.19.1"),
        ),
        (left_out("1 of type file, 1 of type operating-system, 1 pypi"),),
        NOON,
    )


@pytest.mark.parametrize(
    ("file", "name", "place", "counts"),
    [
        ("syft/image.spdx.json", "spdx", "packages[0]", "1 golang, 1 without a package URL"),
        ("syft/image.spdx", "spdx-tag-value", "line 18", "1 without a package URL"),
    ],
)
def test_spdx_of_syft(file: str, name: str, place: str, counts: str) -> None:
    assert read_list(CONTENTS[file]) == PackageList(name, (at(place, BASH),), (left_out(counts),), NOON)


def test_cyclonedx_of_trivy() -> None:
    """trivy's SHA-1 of an apk is that of its control part, its MD5 of an rpm is not that of the file."""
    bash = (ListedDigest("sha256", sha256(b"bash.deb").hexdigest()),)
    assert read_list(CONTENTS["trivy/image.cdx.json"]) == PackageList(
        "cyclonedx",
        (
            at("components[1]", MUSL),
            ListEntry("components[2]", "rpm", "openssl-libs", "1:1.0.2k-16.el7", "x86_64", "centos", "7.6.1810"),
            ListEntry("components[3]", "apt", "bash", "5.0-4", "amd64", "debian", "10.2", digests=bash),
            ListEntry("components[4]", "apt", "tzdata", "1:2024a-0", "all", "debian", "10.2"),
            ListEntry("components[5].components[1]", "apk", "zlib", "1.3.1-r0", "x86_64", "alpine", "3.19.1"),
        ),
        (left_out("1 npm, 1 of type application, 1 of type operating-system"), UNUSED),
        NOON,
    )


@pytest.mark.parametrize("file", ["trivy/image.spdx.json", "trivy/image.spdx.intoto.jsonl"])
def test_spdx_of_trivy_bare_and_in_an_envelope(file: str) -> None:
    place = "predicate.packages[1]" if "intoto" in file else "packages[1]"
    assert read_list(CONTENTS[file]) == PackageList(
        "spdx", (at(place, MUSL),), (left_out("1 without a package URL"),), NOON
    )


def test_tag_value_of_trivy() -> None:
    """A tag that is not used between two packages changes neither; each checksum has the rule of its family."""
    header = b"SPDXVersion: SPDX-2.2\nCreator: Organization: trivy\nCreator: Tool: trivy-0.52.0\n"
    bare = b"PackageName: image\nSPDXID: SPDXRef-1\n\nPackageName: app\n\n"
    musl = f"""PackageName: musl
PackageChecksum: SHA1: {CONTROL[0].value}
PackageChecksum: SHA256: {"0" * 64}
PackageLicenseDeclared: MIT
ExternalRef: PACKAGE_MANAGER purl pkg:apk/alpine/musl@1.2.4_git20230717-r4?arch=x86_64&distro=3.19.1
"""
    assert read_list(header + bare + musl.encode()) == PackageList(
        "spdx-tag-value", (at("line 9", MUSL),), (left_out("2 without a package URL"), UNUSED)
    )


@pytest.mark.parametrize("tool", ["syft", "cdxgen", "trivy-like", ""])
def test_digests_of_other_tools_are_not_used(tool: str) -> None:
    document = json.loads(CONTENTS["trivy/image.cdx.json"])
    document["metadata"]["tools"][0]["name"] = tool
    found = read_list(json.dumps(document).encode())
    is_trivy = tool == "trivy-like"
    assert [bool(each.digests) for each in found.entries] == [is_trivy, False, is_trivy, False, False]
    assert found.notes[-1].endswith(f"{1 if is_trivy else 3}.")


@pytest.mark.parametrize("wrapper", ["predicate", "SPDX", "Data", "dsse", "bundle"])
def test_a_document_within_another(wrapper: str) -> None:
    document: Any = json.loads(CONTENTS["syft/image.spdx.json"])
    statement = {"predicateType": "https://spdx.dev/Document", "predicate": {"Data": document}}
    payload = {"payloadType": "application/vnd.in-toto+json", "payload": _base64(statement), "signatures": []}
    data = {
        "predicate": {"predicate": document},
        "SPDX": {"SPDX": document},
        "Data": statement,
        "dsse": payload,
        "bundle": {"mediaType": "x", "dsseEnvelope": payload},
    }[wrapper]
    (entry,) = read_list(json.dumps(data).encode()).entries
    assert replace(entry, origin="") == BASH


def _base64(value: Any) -> str:
    return b64encode(json.dumps(value).encode()).decode()


def purls(*texts: str, **component: Any) -> PackageList:
    components = [{"type": "library", "name": "x", "purl": text, **component} for text in texts]
    return read_list(json.dumps({"bomFormat": "CycloneDX", "components": components}).encode())


@pytest.mark.parametrize(
    ("purl", "version", "suite"),
    [
        ("pkg:rpm/redhat/bash@5.1-2.el9?arch=x86_64&epoch=0&distro=rhel-9.4", "5.1-2.el9", "9.4"),
        ("pkg:rpm/opensuse/bash@5.1-2?arch=x86_64&epoch=3&distro=opensuse-leap-15.4", "3:5.1-2", "15.4"),
        ("pkg:rpm/fedora/bash@2:5.1-2?arch=x86_64&epoch=2&distro=fedora", "2:5.1-2", ""),
        ("pkg:deb/debian/bash@1:5.1-2?arch=amd64&epoch=1&distro=debian-12", "1:5.1-2", "12"),
        ("pkg:deb/debian/bash@5.1-2?arch=amd64&epoch=x&distro=sid%20x", "5.1-2", ""),
        ("pkg:apk/wolfi/bash@5.1-r2?arch=x86_64&epoch=0&distro=20230201", "5.1-r2", "20230201"),
    ],
)
def test_epochs_and_releases_of_package_urls(purl: str, version: str, suite: str) -> None:
    (entry,) = purls(purl).entries
    assert (entry.name, entry.version, entry.suite) == ("bash", version, suite)


@pytest.mark.parametrize(
    ("purl", "counts"),
    [
        ("", "1 with an invalid package URL"),
        ("bash", "1 with an invalid package URL"),
        ("pkg:deb", "1 with an invalid package URL"),
        ("pkg:deb/debian/b\u00e9sh@1", "1 with an invalid package URL"),
        ("pkg:deb/debian/bash@1" + "0" * 3000, "1 with an invalid package URL"),
        ("pkg:deb/debian/bash", "1 with an invalid name, version or architecture"),
        ("pkg:deb/debian/bash@x", "1 with an invalid name, version or architecture"),
        ("pkg:deb/debian/ba%0Ash@1", "1 with an invalid name, version or architecture"),
        ("pkg:deb/debian/bash@1%00", "1 with an invalid name, version or architecture"),
        ("pkg:deb/debian/bash@1?arch=..%2Fx", "1 with an invalid name, version or architecture"),
        ("pkg:rpm/fedora/bash@5.1?arch=x86_64", "1 with an invalid name, version or architecture"),
        ("pkg:apk/alpine/bash@5.1", "1 with an invalid name, version or architecture"),
        ("pkg:apk/alpine/.deps@5.1", "1 virtual (apk)"),
        ("pkg:rpm/fedora/gpg-pubkey@a15b79cc-63d04c2c", "1 gpg-pubkey (keys)"),
        ("pkg:npm/left-pad@1.0.0", "1 npm"),
    ],
)
def test_a_component_that_no_package_manager_fetches_is_counted(purl: str, counts: str) -> None:
    assert purls(purl) == PackageList("cyclonedx", (), (left_out(counts),))


def test_an_invalid_control_digest_is_counted() -> None:
    properties = [{"name": "syft:metadata:pullChecksum", "value": value} for value in ("Q1AAAA", "Q1")]
    found = purls("pkg:apk/alpine/bash@5.1-r2", properties=properties)
    assert (found.entries[0].digests, found.notes) == ((), (UNUSED,))


def test_many_kinds_of_components_are_one_short_note() -> None:
    found = purls(*[f"pkg:kind{at:03}/x@1" for at in range(300)], "pkg:kind299/x@1")
    assert found.notes[0].startswith(left_out("1 kind000, 1 kind001")[:-1])
    assert found.notes[0].endswith("1 kind018, 2 kind299, 280 of other kinds.")


def test_components_keep_their_order() -> None:
    nested = {"components": [{"purl": f"pkg:deb/debian/b{at}@1", "name": "x"} for at in range(2)]}
    found = purls("pkg:deb/debian/aa@1", "pkg:deb/debian/cc@1", **nested)
    assert [each.name for each in found.entries] == ["aa", "b0", "b1", "cc", "b0", "b1"]

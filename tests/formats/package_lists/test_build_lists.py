"""Locks of rules_distroless, manifests of mkosi, provenance: every entry, as a whole value."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from snapproxy.formats.package_lists.known import read_list
from snapproxy.formats.package_lists.model import ListedDigest, ListEntry, PackageList
from snapproxy.formats.package_lists.provenance import MOST_SHOWN
from tests.fakes.deb_sbom_lists import CONTENTS

MAIN = "https://snapshot.debian.org/archive/debian/20240210T223313Z/pool/main"
CRYPT = ListEntry("packages[1]", "apt", "libcrypt1", "1:4.4.18-4", "amd64")
GIT_AND_IMAGES = "1 addresses without a SHA-256 (git), 1 container images"
POST = "BuildKit did not record this completely: POST 'https://example.org/token' (method_not_materializable)."
GET = "BuildKit did not record this completely: GET 'http://deb.example.org/debian/pool/x_1_all.deb' (range_request)."
FINISHED = 1717236000  # 2024-06-01T10:00:00Z


def digest(word: str) -> tuple[ListedDigest, ...]:
    return (ListedDigest("sha256", sha256(word.encode()).hexdigest()),)


def not_files(counts: str) -> str:
    return f"Left out, because they are no files at an address: {counts}."


def test_rules_distroless_version_1() -> None:
    base = f"{MAIN}/n/ncurses/ncurses-base_6.2+20201114-2+deb11u2_all.deb"
    amd64, arm64 = (f"{MAIN}/libx/libxcrypt/libcrypt1_4.4.18-4_{each}.deb" for each in ("amd64", "arm64"))
    assert read_list(CONTENTS["rules-distroless/v1.lock.json"]) == PackageList(
        "rules-distroless-lock",
        (
            ListEntry(
                "packages[0]",
                family="apt",
                name="ncurses-base",
                version="6.2+20201114-2+deb11u2",
                architecture="all",
                url=base,
                digests=digest("ncurses-base" + base[-12:]),
            ),
            replace(CRYPT, url=amd64, digests=digest("libcrypt1" + amd64[-12:])),
            replace(
                CRYPT,
                origin="packages[3]",
                architecture="arm64",
                url=arm64,
                digests=digest("libcrypt1" + arm64[-12:]),
            ),
        ),
    )


def test_rules_distroless_version_2() -> None:
    tzdata = "pool/main/t/tzdata/tzdata_2024a-0+deb12u1_all.deb"
    libc6 = "pool/main/g/glibc/libc6_2.36-9+deb12u4_amd64.deb"
    cli = "pool/google-cloud-cli_478.0.0-0_amd64.deb"
    bookworm = {
        "family": "apt",
        "suite": "bookworm",
        "bases": (MAIN.removesuffix("/pool/main"), "https://mirror.example.org/debian"),
    }
    assert read_list(CONTENTS["rules-distroless/v2.lock.json"]) == PackageList(
        "rules-distroless-lock",
        (
            ListEntry(
                "packages./bookworm/tzdata:amd64=2024a-0+deb12u1",
                name="tzdata",
                version="2024a-0+deb12u1",
                architecture="all",
                path=tzdata,
                digests=digest(tzdata),
                size=299912,
                **bookworm,
            ),
            ListEntry(
                "packages./bookworm/libc6:amd64=2.36-9+deb12u4",
                name="libc6",
                version="2.36-9+deb12u4",
                architecture="amd64",
                path=libc6,
                digests=digest(libc6),
                size=2757228,
                **bookworm,
            ),
            ListEntry(
                "packages./cloudsdk/google-cloud-cli:amd64=1:478.0.0-0",
                family="apt",
                name="google-cloud-cli",
                version="1:478.0.0-0",
                architecture="amd64",
                suite="cloudsdk",
                bases=("https://packages.example.org/apt",),
                path=cli,
                digests=digest(f"./{cli}"),
                size=118000000,
            ),
        ),
    )


def test_mkosi_of_debian() -> None:
    found = read_list(CONTENTS["mkosi/debian.manifest"])
    of_image = {"family": "apt", "distribution": "debian", "suite": "bookworm"}
    assert (found.format, len(found.entries), found.notes, found.made) == ("mkosi-manifest", 6, (), None)
    assert found.entries[3:5] == (
        ListEntry("packages[3]", name="libstdc++6", version="12.2.0-14+deb12u1", architecture="amd64", **of_image),
        ListEntry("packages[4]", name="tzdata", version="1:2024a-0+deb12u1", architecture="all", **of_image),
    )


def test_mkosi_of_fedora_without_keys_and_without_the_sizes() -> None:
    of_image = {"family": "rpm", "distribution": "fedora", "suite": "40", "architecture": "x86_64"}
    assert read_list(CONTENTS["mkosi/fedora.manifest"]) == PackageList(
        "mkosi-manifest",
        (
            ListEntry("packages[0]", name="bash", version="5.2.26-3.fc40", **of_image),
            ListEntry("packages[2]", name="shadow-utils", version="2:4.15.1-2.fc40", **of_image),
        ),
        ("Imported keys (gpg-pubkey) were left out: 1.",),
    )


def test_mkosi_of_arch() -> None:
    assert read_list(CONTENTS["mkosi/arch.manifest"]) == PackageList(
        "mkosi-manifest",
        (
            ListEntry("packages[0]", "pacman", "filesystem", "2024.04.07-1", "any", "arch"),
            ListEntry("packages[1]", "pacman", "openssl", "1:3.3.0-1", "x86_64", "arch"),
        ),
    )


def package(origin: str) -> ListEntry:
    address = (
        "http://snapshot.debian.org/archive/debian/20240601T000000Z/pool/main/g/gcc-12/libstdc{}6_12.2.0-14_amd64.deb"
    )
    return ListEntry(
        origin,
        family="apt",
        name="libstdc++6",
        architecture="amd64",
        url=address.format("++"),
        digests=digest(address.format("%2b%2b")),
    )


def test_provenance_version_1() -> None:
    place = "predicate.buildDefinition.resolvedDependencies"
    root = "https://deb.example.org/debian/dists/bookworm/InRelease"
    assert read_list(CONTENTS["buildkit/slsa-v1.json"]) == PackageList(
        "provenance",
        (package(f"{place}[2]"), ListEntry(f"{place}[3]", url=root, digests=digest(root))),
        (not_files("2 addresses without a SHA-256 (git), 1 container images"), POST, GET),
        FINISHED,
    )


@pytest.mark.parametrize(
    ("file", "place"), [("slsa-v0.2.json", "predicate.materials[2]"), ("imagetools.json", "SLSA.materials[2]")]
)
def test_provenance_version_0_2(file: str, place: str) -> None:
    assert read_list(CONTENTS[f"buildkit/{file}"]) == PackageList(
        "provenance", (package(place),), (not_files(GIT_AND_IMAGES), POST), FINISHED
    )


def test_a_bare_predicate() -> None:
    predicate = json.loads(CONTENTS["buildkit/slsa-v0.2.json"])["predicate"]
    assert read_list(json.dumps(predicate).encode()).entries == (package("materials[2]"),)


def test_many_incomplete_downloads_are_counted() -> None:
    document = json.loads(CONTENTS["buildkit/slsa-v1.json"])
    proxy = document["predicate"]["runDetails"]["metadata"]["buildkit_metadata"]["network"]["proxy"]
    proxy["incomplete"] *= 10
    notes = read_list(json.dumps(document).encode()).notes
    assert notes[1:] == (*[POST, GET] * (MOST_SHOWN // 2), "BuildKit recorded 10 more incomplete downloads.")

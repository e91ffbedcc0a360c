"""Blob sources: which are asked, for which digests, in which order."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from snapproxy.archives import HISTORIES
from snapproxy.core.blob_sources import BlobSource, blob_named
from snapproxy.core.model import LIVE, Archive, ExpectedFile, Resolved
from snapproxy.core.plan_model import NOW, Source
from snapproxy.core.sources import fetch_expected_now, fetch_now, past, sources_of
from snapproxy.families import FAMILIES

REGISTRY = BlobSource("docker://reg.example/team/packages", "https://reg.example", "team/packages", "reg.example")
OTHER = BlobSource("http://builders:3142", "http://builders:3142")
ROW = Archive(
    "debian", "apt", "snapshots", snapshot=("http://past/a/debian",), mirrors=("http://now/debian",),
    sources=(REGISTRY, OTHER),
)  # fmt: skip
APT, SNAPSHOTS, CAPTURED = FAMILIES["apt"], HISTORIES["snapshots"], HISTORIES["captured"]
AT = Resolved("20240601T000000Z", 1_717_200_000)
SHA256 = "ab" * 32
DEB = "pool/main/x/x_1.deb"
BY_DIGEST = [
    f"https://reg.example/v2/team/packages/blobs/sha256:{SHA256}",
    f"http://builders:3142/v2/snapproxy/blobs/sha256:{SHA256}",
]


def urls(sources: tuple[Source, ...]) -> list[str]:
    return [source.url for source in sources]


def test_a_promised_package_is_asked_of_the_holders_then_of_the_mirror_then_of_the_past() -> None:
    found = sources_of(ROW, AT, ExpectedFile(DEB, 7, {"sha256": SHA256}), APT, SNAPSHOTS)
    assert urls(found) == [
        *BY_DIGEST,
        f"http://now/debian/{DEB}",
        f"http://past/a/debian/20240601T000000Z/{DEB}",
    ]
    assert [(each.base, each.is_blob_source, each.last_resort) for each in found] == [
        ("https://reg.example", True, False),
        ("http://builders:3142", True, False),
        ("http://now/debian", False, False),
        ("http://past/a/debian", False, True),
    ]


@pytest.mark.parametrize("resolved", [AT, NOW], ids=["pinned", "live"])
def test_an_index_that_its_root_promises_is_asked_of_them_too(resolved: Resolved) -> None:
    expected = ExpectedFile("dists/stable/main/binary-amd64/Packages.xz", 7, {"md5": "1" * 32, "sha256": SHA256})
    assert urls(sources_of(ROW, resolved, expected, APT, SNAPSHOTS))[:2] == BY_DIGEST
    assert urls(fetch_expected_now(ROW, expected, APT).sources)[:2] == BY_DIGEST


@pytest.mark.parametrize("digests", [{"md5": "1" * 32}, {"sha1": "2" * 40}, {"sha512": "3" * 128}, {}])
@pytest.mark.parametrize("history", [SNAPSHOTS, CAPTURED], ids=["remembered", "observed"])
@pytest.mark.parametrize("snapshot", ["20240601T000000Z", LIVE])
def test_what_is_not_promised_by_the_digest_that_names_blobs_is_never_asked_of_them(
    digests: Mapping[str, str], history: object, snapshot: str
) -> None:
    """A weak digest cannot vouch for a stranger's bytes, and nobody is asked by SHA-512."""
    expected = ExpectedFile(DEB, 7, digests)
    found = sources_of(ROW, Resolved(snapshot, 0), expected, APT, history)  # type: ignore[arg-type]
    assert not any(source.is_blob_source for source in found)


def test_what_was_observed_is_asked_of_them_before_the_mirrors() -> None:
    found = sources_of(ROW, AT, ExpectedFile(DEB, 7, {"sha256": SHA256}), APT, CAPTURED)
    assert urls(found)[:3] == [*BY_DIGEST, f"http://now/debian/{DEB}"]


def test_roots_and_what_nothing_promises_are_never_asked_of_them() -> None:
    for path in ("dists/stable/InRelease", "dists/stable/Release.gpg", "doc/notes.txt"):
        assert urls(fetch_now(ROW, path, APT).sources) == [f"http://now/debian/{path}"]
        assert not any(source.is_blob_source for source in past(ROW, AT, path, SNAPSHOTS))


@pytest.mark.parametrize("blob_source", [REGISTRY, OTHER])
def test_what_is_asked_is_what_is_answered(blob_source: BlobSource) -> None:
    path = blob_source.url(SHA256).removeprefix(f"{blob_source.origin}/")
    assert blob_named(path) == SHA256

"""Who is asked by digest, for what, and before whom."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from snapproxy.archives import HISTORIES
from snapproxy.core.holders import Holder, blob_named
from snapproxy.core.model import LIVE, Archive, Promise, Resolved
from snapproxy.core.sources import fetch_now, fetch_promised_now, past, sources_of
from snapproxy.core.steps import NOW, Source
from snapproxy.families import FAMILIES

REGISTRY = Holder("docker://reg.example/team/packages", "https://reg.example", "team/packages", "reg.example")
OTHER = Holder("http://builders:3142", "http://builders:3142")
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
    found = sources_of(ROW, AT, Promise(DEB, 7, {"sha256": SHA256}), APT, SNAPSHOTS)
    assert urls(found) == [
        *BY_DIGEST,
        f"http://now/debian/{DEB}",
        f"http://past/a/debian/20240601T000000Z/{DEB}",
    ]
    assert [(each.base, each.is_holder, each.last_resort) for each in found] == [
        ("https://reg.example", True, False),
        ("http://builders:3142", True, False),
        ("http://now/debian", False, False),
        ("http://past/a/debian", False, True),
    ]


@pytest.mark.parametrize("resolved", [AT, NOW], ids=["pinned", "live"])
def test_an_index_that_its_root_promises_is_asked_of_them_too(resolved: Resolved) -> None:
    promise = Promise("dists/stable/main/binary-amd64/Packages.xz", 7, {"md5": "1" * 32, "sha256": SHA256})
    assert urls(sources_of(ROW, resolved, promise, APT, SNAPSHOTS))[:2] == BY_DIGEST
    assert urls(fetch_promised_now(ROW, promise, APT).sources)[:2] == BY_DIGEST


@pytest.mark.parametrize("digests", [{"md5": "1" * 32}, {"sha1": "2" * 40}, {"sha512": "3" * 128}, {}])
@pytest.mark.parametrize("history", [SNAPSHOTS, CAPTURED], ids=["remembered", "observed"])
@pytest.mark.parametrize("snapshot", ["20240601T000000Z", LIVE])
def test_what_is_not_promised_by_the_digest_that_names_blobs_is_never_asked_of_them(
    digests: Mapping[str, str], history: object, snapshot: str
) -> None:
    """A weak digest cannot vouch for a stranger's bytes, and nobody is asked by SHA-512."""
    found = sources_of(ROW, Resolved(snapshot, 0), Promise(DEB, 7, digests), APT, history)  # type: ignore[arg-type]
    assert not any(source.is_holder for source in found)


def test_what_was_observed_is_asked_of_them_before_the_mirrors() -> None:
    found = sources_of(ROW, AT, Promise(DEB, 7, {"sha256": SHA256}), APT, CAPTURED)
    assert urls(found)[:3] == [*BY_DIGEST, f"http://now/debian/{DEB}"]


def test_roots_and_what_nothing_promises_are_never_asked_of_them() -> None:
    for path in ("dists/stable/InRelease", "dists/stable/Release.gpg", "doc/notes.txt"):
        assert urls(fetch_now(ROW, path, APT).sources) == [f"http://now/debian/{path}"]
        assert not any(source.is_holder for source in past(ROW, AT, path, SNAPSHOTS))


@pytest.mark.parametrize("holder", [REGISTRY, OTHER])
def test_what_is_asked_is_what_is_answered(holder: Holder) -> None:
    path = holder.url(SHA256).removeprefix(f"{holder.origin}/")
    assert blob_named(path) == SHA256

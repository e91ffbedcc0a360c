"""Roots: signed, unsigned, and forged ones (rule 2: unverified never looks verified)."""

from __future__ import annotations

import asyncio
import lzma
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.download import attempt, incoming
from snapproxy.trust.roots import MAX_SIGNATURE
from snapproxy_storage import read_blob
from tests.fakes.content import Content, FixedTree, epoch
from tests.fakes.faults import Hold, Html, Replace
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SIGNATURE, SUITE, Hamlet
from tests.fakes.house import House
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.signing import SigningKey

MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """A key that is in no keyring."""
    key = SigningKey(tmp_path_factory.mktemp("stranger") / "gnupg", name="A stranger")
    yield key
    key.close()


@pytest.fixture(scope="module")
def forged(stranger: SigningKey) -> FixedTree:
    """The suite, signed by an unknown key."""
    return Publisher(stranger).tree(FIRST, [SuitePlan(SUITE, ())])


def open_files(name: str) -> int:
    """Return how many descriptors of this process refer to a file of this name."""
    paths = [descriptor.readlink().name for descriptor in Path("/proc/self/fd").iterdir() if descriptor.is_symlink()]
    return paths.count(name)


def nothing_is_named(house: House) -> bool:
    return not house.store.catalog.names(f"debian/{FIRST}") and not house.store.catalog.names(f"roots:debian/{FIRST}")


async def test_release_and_its_detached_signature_are_one_root(house: House, hamlet: Hamlet) -> None:
    assert (await house.get(FIRST, RELEASE)).served.proof.word == "gpg"
    signature = await house.get(FIRST, SIGNATURE)
    assert (signature.data, signature.served.cache) == (hamlet.content(SIGNATURE).data, "HIT")


async def test_an_index_falls_back_to_release_where_there_is_no_inrelease(house: House, hamlet: Hamlet) -> None:
    hamlet.publish(FIRST, hamlet.without(INRELEASE, FIRST))
    assert (await house.get(FIRST, INRELEASE)).status == 404
    assert (await house.get(FIRST, PACKAGES)).served.proof.word == "gpg"


async def test_without_a_keyring_nothing_is_proven(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house(rows=(replace(hamlet.row, keyrings=()),))
    assert (await house.get(FIRST, INRELEASE)).served.proof.word == "none"
    assert (await house.get(FIRST, PACKAGES)).served.proof.word == "index"


async def test_a_release_that_was_never_signed_has_no_proof(house: House, hamlet: Hamlet) -> None:
    tree = hamlet.edition.trees[FIRST]
    files = {path: each for path, each in tree.files.items() if path not in (INRELEASE, SIGNATURE)}
    hamlet.publish(FIRST, FixedTree(files, tree.packages))
    assert (await house.get(FIRST, RELEASE)).served.proof.word == "none"
    assert (await house.get(FIRST, PACKAGES)).served.proof.word == "index"


async def test_an_unknown_key_is_refused_and_nothing_is_named(house: House, hamlet: Hamlet, forged: FixedTree) -> None:
    hamlet.publish(FIRST, forged)
    for path in (INRELEASE, RELEASE):
        got = await house.get(FIRST, path)
        assert got.status == 424
        assert "key" in got.refusal.reason
    assert not house.store.catalog.names(f"roots:debian/{FIRST}")
    assert (await house.get(FIRST, PACKAGES)).status == 424


async def test_a_signature_of_other_bytes_is_refused(house: House, hamlet: Hamlet) -> None:
    genuine = hamlet.content(INRELEASE).data
    hamlet.past.fault("*InRelease", Replace(Content(genuine.replace(b"Codename: stable", b"Codename: sneaky"))))
    got = await house.get(FIRST, INRELEASE)
    assert got.status == 424
    assert nothing_is_named(house)


async def test_a_refused_root_is_refused_again_and_never_turns_into_an_absence(
    house: House, hamlet: Hamlet, forged: FixedTree
) -> None:
    """A 404 would send apt to Release, and hide the reason."""
    hamlet.publish(FIRST, forged)
    for seconds in (0, 16, 16, 601):
        house.clock.leap(seconds)
        assert (await house.get(FIRST, INRELEASE)).status == 424


async def test_a_live_root_whose_signature_is_bad_is_refused_for_as_long_as_it_is(house: House, hamlet: Hamlet) -> None:
    hamlet.now.fault("*InRelease", Replace(Content(hamlet.content(INRELEASE).data.replace(b"stable", b"sneaky"))))
    for seconds in (0, 16, 16, 601):
        house.clock.leap(seconds)
        assert (await house.get("live", INRELEASE)).status == 424
    hamlet.now.heal()
    house.clock.leap(16)
    assert (await house.get("live", INRELEASE)).served.proof.word == "gpg"


async def test_a_web_page_is_no_root(house: House, hamlet: Hamlet) -> None:
    hamlet.past.fault("*InRelease", Html())
    got = await house.get(FIRST, INRELEASE)
    assert (got.status, got.refusal.reason) == (424, "Upstream sent a web page instead of the file")
    assert nothing_is_named(house)


@pytest.mark.parametrize("data", [b"<html>Please log in</html>\n", b"", b"\0" * 1000], ids=["html", "empty", "zeros"])
async def test_an_unreadable_root_is_refused_even_without_a_keyring(
    make_house: MakeHouse, hamlet: Hamlet, data: bytes
) -> None:
    house = await make_house(rows=(replace(hamlet.row, keyrings=()),))
    for path in (INRELEASE, RELEASE):
        hamlet.place(path, Content(data, epoch(FIRST)))
        assert (await house.get(FIRST, path)).status == 424
    assert nothing_is_named(house)


async def test_a_root_that_is_too_long_is_refused(
    house: House, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "MAX_ROOT", 100)
    monkeypatch.setattr(incoming, "MAX_ROOT", 100)
    got = await house.get(FIRST, INRELEASE)
    assert (got.status, nothing_is_named(house)) == (424, True)


async def test_without_a_program_to_check_signatures_the_refusal_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    got = await house.get(FIRST, INRELEASE)
    assert got.status == 424
    assert "gpgv" in f"{got.refusal.reason} {got.refusal.why} {got.refusal.hint}"


async def test_a_detached_signature_above_the_limit_is_refused_and_its_blob_closed(
    house: House, hamlet: Hamlet
) -> None:
    signature = Content(b"s" * (MAX_SIGNATURE + 1), epoch(FIRST))
    hamlet.place(SIGNATURE, signature)
    got = await house.get(FIRST, RELEASE)
    assert (got.status, got.refusal.reason) == (424, "The detached signature cannot be read")
    assert open_files(signature.digests["sha256"]) == 0
    assert await read_blob(house.store.blobs, signature.digests["sha256"], signature.size) == signature.data


async def test_a_detached_signature_may_take_longer_than_the_client_timeout(
    make_house: MakeHouse, hamlet: Hamlet
) -> None:
    """The check is part of the flight, which continues after its client timed out."""
    house = await make_house(patience=0.0)
    hamlet.past.fault("*Release.gpg", Hold(after=None, patience=0.15))
    async with asyncio.timeout(5):
        while (got := await house.get(FIRST, RELEASE)).status != 200:
            assert got.refusal.headers["Retry-After"] == "5"
            await asyncio.sleep(0.05)
    assert got.served.proof.word == "gpg"


class TestClientsThatHoldANewerRoot:
    async def test_are_asked_to_clear_their_lists(self, house: House) -> None:
        got = await house.get(FIRST, INRELEASE, since=epoch(SECOND))
        assert (got.status, got.refusal.reason) == (409, "Your lists are newer than the pinned time: remove them first")
        assert "rm -rf /var/lib/apt/lists/*" in got.refusal.hint
        assert (await house.get(FIRST, INRELEASE, since=epoch(SECOND))).status == 409  # from the store too

    async def test_with_the_same_or_an_older_one_are_served(self, house: House) -> None:
        for since in (None, epoch(FIRST)):
            assert (await house.get(FIRST, INRELEASE, since=since)).served.date == epoch(FIRST)
        assert (await house.get(SECOND, INRELEASE, since=epoch(FIRST))).served.date == epoch(SECOND)

    async def test_are_served_the_present(self, house: House) -> None:
        assert (await house.get("live", INRELEASE, since=epoch(SECOND) + 1)).status == 200

    async def test_are_served_indexes(self, house: House) -> None:
        assert (await house.get(FIRST, PACKAGES, since=epoch(SECOND))).status == 200


UNREADABLE: dict[str, Callable[[], bytes]] = {
    "bomb": lambda: lzma.compress(bytes(300 << 20), preset=0),
    "no xz": lambda: b"this is no xz file at all\n" * 20,
    "cut": lambda: lzma.compress(b"Package: kept\nFilename: pool/k.deb\n" * 500)[:-20],
    "climbs": lambda: lzma.compress(b"Package: a\nFilename: ../../etc/passwd\nSize: 1\nSHA256: " + b"a" * 64 + b"\n"),
    "contradicts itself": lambda: lzma.compress(
        b"".join(b"Package: a\nFilename: pool/a.deb\nSize: 1\nSHA256: " + each * 64 + b"\n\n" for each in (b"a", b"b"))
    ),
}
"""Packages.xz that match their root and violate the format."""


class TestIndexesNobodyCanRead:
    """The index matches its root, and its content violates the format: the proxy survives and reports it."""

    @staticmethod
    def publish(hamlet: Hamlet, packages: bytes) -> None:
        """Publish a signed suite whose Packages.xz has these bytes."""
        tree = hamlet.edition.trees[FIRST]
        old = tree.files[PACKAGES]
        new = Content(packages, old.modified)
        release = tree.files[RELEASE].data.decode()
        for algorithm in ("md5", "sha256"):
            release = release.replace(old.digests[algorithm], new.digests[algorithm])
        release = release.replace(
            f" {old.size:8d} main/binary-amd64/Packages.xz", f" {new.size:8d} main/binary-amd64/Packages.xz"
        )
        signed = Content(hamlet.edition.key.clear(release.encode(), at=FIRST), epoch(FIRST))
        hamlet.publish(FIRST, FixedTree({**tree.files, PACKAGES: new, INRELEASE: signed}, tree.packages))

    @pytest.mark.parametrize("case", UNREADABLE)
    async def test_verify_nothing_and_break_nothing(self, house: House, hamlet: Hamlet, case: str) -> None:
        self.publish(hamlet, UNREADABLE[case]())
        assert (await house.get(FIRST, PACKAGES)).status == 200  # apt checks it itself
        package = await house.get(FIRST, hamlet.edition.kept.path)
        assert package.served.proof.word == "none"
        assert (await house.get(SECOND, PACKAGES)).served.proof.word == "gpg"
        assert (await house.get(SECOND, hamlet.edition.new.path)).served.proof.word == "gpg"

"""Packages whose index lists no strong digest (apk's).

They are found again in the store, for their own archive only, and other bytes are never served for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.base.names import Names
from snapproxy.core.model import Archive, ExpectedFile, Refusal
from snapproxy.core.time_spec import format_instant
from snapproxy.jobs import sweep
from snapproxy.jobs.sweep import Observation
from snapproxy_storage import Catalog, open_store
from tests.fakes.alpine import ApkFile, RsaKey, package, repository
from tests.fakes.alpine import index as alpine_index
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, FixedTree, Timeline, epoch
from tests.fakes.faults import Replace
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet
from tests.fakes.house import PATIENT, House, until
from tests.fakes.services import MirrorService

FOLDER = "v3.99/main/x86_64"
ROOT = f"{FOLDER}/APKINDEX.tar.gz"
HOUR = 3600.0
KEY = RsaKey("test@example.org-1.rsa.pub", bits=1024)
GONE = package("gone", "1-r0", KEY)
BUILT = package("built", "1-r0", KEY)
REBUILT = package("built", "1-r0", KEY, b"with other bytes\n")


def path(each: ApkFile) -> str:
    return f"{FOLDER}/{each.file}"


class Alpine:
    """An archive that has the newest packages only, and a second one that has the same."""

    def __init__(self, folder: Path) -> None:
        self.keys = KEY.write(folder / "keys").parent
        shown = self._shown = Timeline()
        self._day = 0
        self.server = ArchiveServer(
            MirrorService({"alpine": shown, "other": shown}), name="mirror", address="127.0.0.6"
        )
        self.publish(GONE, BUILT)
        self.server.start()

    def publish(self, *packages: ApkFile, root: bytes = b"") -> None:
        """Publish these packages and no others; `root` replaces their index."""
        self._day += 1
        when = f"202406{self._day:02}T000000Z"
        tree = repository(packages, KEY, folder=FOLDER, modified=epoch(when))
        self._shown.publish(when, FixedTree({**tree.files, ROOT: Content(root, epoch(when))}) if root else tree)

    def row(self, name: str) -> Archive:
        return Archive(
            name=name,
            family="apk",
            history="captured",
            mirrors=(f"{self.server.url}/{name}",),
            keyrings=(str(self.keys),),
        )

    def asked(self, each: ApkFile, archive: str = "alpine") -> int:
        """Return the number of requests for a package."""
        return len(self.server.log.requests(f"/{archive}/{path(each)}"))


@pytest.fixture
def alpine(tmp_path: Path) -> Iterator[Alpine]:
    alpine = Alpine(tmp_path)
    yield alpine
    alpine.server.stop()
    assert not alpine.server.errors


@pytest.fixture
async def house(alpine: Alpine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(sweep, "PAUSE_SECONDS", 0.01)
    rows = (alpine.row("alpine"), alpine.row("other"))
    async with House(tmp_path / "house", rows=rows, timeouts=PATIENT) as house:
        yield house


async def observe(house: House, *, with_packages: bool = False) -> str:
    """Make an observation; return its instant."""
    house.clock.leap(HOUR)  # type: ignore[attr-defined]
    swept = await house.app.observe("alpine", [ROOT], with_packages=with_packages)
    assert isinstance(swept, Observation), swept
    return format_instant(swept.at)


async def expect(house: House, when: str, each: ApkFile) -> None:
    got = await house.get(when, path(each))
    assert (got.status, got.data, got.proof) == (200, each.whole, "gpg"), got
    # The client gets the last byte before the owner of the bytes is stored.
    name = f"apk-identity-160:{hashlib.sha1(each.control).hexdigest()}"
    whole = hashlib.sha256(each.whole).hexdigest()
    await until(lambda: (known := house.store.catalog.name("weak:alpine", name)) and known.digest == whole)


async def test_what_a_client_fetched_is_served_at_its_instant_after_upstream_deleted_or_rebuilt_it(
    house: House, alpine: Alpine
) -> None:
    first = await observe(house)
    for each in (GONE, BUILT):
        await expect(house, "live", each)
    alpine.publish(REBUILT)
    second = await observe(house)
    await expect(house, "live", REBUILT)
    for each in (GONE, BUILT):
        await expect(house, first, each)
    await expect(house, second, REBUILT)
    assert (await house.get(second, path(GONE))).status == 404
    assert [alpine.asked(each) for each in (GONE, BUILT)] == [1, 2], "each body was brought once"


async def test_a_sweep_with_packages_keeps_both_bodies_of_one_name(house: House, alpine: Alpine) -> None:
    first = await observe(house, with_packages=True)
    alpine.publish(REBUILT)
    second = await observe(house, with_packages=True)
    alpine.server.stop()
    for each in (GONE, BUILT):
        await expect(house, first, each)
    await expect(house, second, REBUILT)
    alpine.server.start()


async def test_a_sweep_brings_no_package_twice(house: House, alpine: Alpine) -> None:
    await observe(house, with_packages=True)
    alpine.publish(GONE, REBUILT)
    house.clock.leap(HOUR)  # type: ignore[attr-defined]
    swept = await house.app.observe("alpine", [ROOT], with_packages=True)
    assert isinstance(swept, Observation)
    assert (swept.packages, alpine.asked(GONE)) == (1, 1)


async def test_a_package_that_is_still_there_is_brought_for_the_instant_that_promised_it(
    house: House, alpine: Alpine
) -> None:
    """The archive was observed at the mirror.

    The mirror is asked for its present file, and the listed digest shows whether that is the same package.
    """
    first = await observe(house)
    alpine.publish(GONE, REBUILT)
    await observe(house)
    await expect(house, first, GONE)
    got = await house.get(first, path(BUILT))
    assert got.data != REBUILT.whole
    assert (await house.get(first, path(BUILT))).status == 502, "and what went wrong is told"


async def test_a_body_that_broke_its_promise_is_never_found_again(house: House, alpine: Alpine) -> None:
    first = await observe(house)
    alpine.server.fault(f"*/{BUILT.file}", Replace(Content(REBUILT.whole)))
    assert (await house.get("live", path(BUILT))).data != REBUILT.whole
    alpine.server.heal()
    house.clock.leap(HOUR)  # type: ignore[attr-defined]
    await expect(house, first, BUILT)


async def test_another_archive_s_bytes_do_not_stand_in(house: House, alpine: Alpine) -> None:
    """A SHA-1 of a part does not prove another archive's bytes, even if they are in the store."""
    for row in (0, 1):
        got = await house.get("live", ROOT, row=row)
        assert got.status == 200
        assert (await house.get("live", path(GONE), row=row)).data == GONE.whole
    assert (alpine.asked(GONE), alpine.asked(GONE, "other")) == (1, 1)


async def test_a_package_signed_anew_takes_the_place_of_one_that_was_evicted(house: House, alpine: Alpine) -> None:
    first = await observe(house)
    await expect(house, "live", GONE)
    house.evict(hashlib.sha256(GONE.whole).hexdigest())
    dated = GONE.signature[:4] + b"\1\0\0\0" + GONE.signature[8:]  # gzip's time
    resigned = ApkFile(GONE.name, GONE.version, dated, GONE.control, GONE.data)
    alpine.server.fault(f"*/{GONE.file}", Replace(Content(resigned.whole)))
    for when in ("live", first, first):
        await expect(house, when, resigned)
    assert alpine.asked(GONE) == 2


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    store = open_store(tmp_path / "state", tmp_path / "cache")
    yield store.catalog
    await store.close()


@pytest.mark.parametrize(
    ("digests", "is_everybody_s"),
    [({"sha512": "a" * 128, "md5": "b" * 32}, True), ({"sha1": "c" * 40}, False), ({"own-part": "d" * 40}, False)],
)
async def test_a_strong_digest_is_learnt_for_everybody_and_a_weak_one_for_its_archive(
    catalog: Catalog, digests: dict[str, str], is_everybody_s: bool
) -> None:
    names, expected = Names(catalog, SystemClock()), ExpectedFile("x", 7, digests)
    assert names.sha256_of("one", expected) is None
    await names.put_expected("one", expected, "e" * 64, 7)
    assert names.sha256_of("one", expected) == "e" * 64
    assert names.sha256_of("two", expected) == ("e" * 64 if is_everybody_s else None)
    await names.put_expected("one", expected, "f" * 64, 7)
    assert names.sha256_of("one", expected) == "f" * 64


async def test_a_promise_of_no_digest_is_never_learnt(catalog: Catalog) -> None:
    names, expected = Names(catalog, SystemClock()), ExpectedFile("x", 7, {})
    await names.put_expected("one", expected, "e" * 64, 7)
    assert names.sha256_of("one", expected) is None


@pytest.mark.parametrize(
    "index",
    [
        alpine_index([GONE], RsaKey("test@example.org-1.rsa.pub", bits=1024)),
        alpine_index([GONE], RsaKey("stranger.rsa.pub", bits=1024)),
        alpine_index([GONE]),
        b"<html>",
    ],
    ids=["badly signed", "signed by a stranger", "unsigned", "no index at all"],
)
async def test_an_index_that_cannot_be_believed_is_never_observed(house: House, alpine: Alpine, index: bytes) -> None:
    first = await observe(house, with_packages=True)
    alpine.publish(GONE, BUILT, root=index)
    house.clock.leap(HOUR)  # type: ignore[attr-defined]
    refused = await house.app.observe("alpine", [ROOT], with_packages=False)
    assert isinstance(refused, Refusal)
    assert refused.status == 424
    alpine.publish(REBUILT)
    second = await observe(house)
    for when, each in ((first, GONE), (second, REBUILT)):
        await expect(house, when, each)


async def test_a_package_asked_for_before_its_index_is_vouched_for_after(hamlet: Hamlet, tmp_path: Path) -> None:
    path = hamlet.edition.weak.path
    async with House(tmp_path / "hamlet", (hamlet.row,)) as house:
        assert (await house.get(FIRST, path)).proof == "none"
        for index in (INRELEASE, PACKAGES):
            await house.get(FIRST, index)
        got = await house.get(FIRST, path)
        assert (got.status, got.data, got.proof) == (200, hamlet.content(path).data, "index")

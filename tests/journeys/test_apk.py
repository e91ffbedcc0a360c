"""apk at two instants of an Alpine-like archive: byte for byte, and with an apk client."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.alpine import ApkFile, RsaKey, check_package, index, package, read_index
from tests.fakes.alpine_world import FIRST, FOLDER, HOST, INDEX, REPOSITORY, SECOND, AlpineWorld
from tests.fakes.apk_root import Apk, ApkFailedError, apk_in
from tests.fakes.content import Content, epoch
from tests.fakes.faults import Replace, Status, Truncate
from tests.fakes.proxy import Snapproxy
from tests.fakes.rawclient import Answer, RawClient

pytestmark = pytest.mark.journey


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[AlpineWorld]:
    world = AlpineWorld(tmp_path)
    yield world
    world.close()


@pytest.fixture
def proxy(archive: AlpineWorld, tmp_path: Path) -> Iterator[Snapproxy]:
    with Snapproxy(archive.configuration(tmp_path / "snapproxy")) as process:
        yield process


async def get(proxy: Snapproxy, when: str, path: str, *headers: str) -> Answer:
    """Send a request as apk does: Host and User-Agent, nothing else."""
    client = await RawClient.connect(proxy.port)
    try:
        return await client.get(f"/alpine/{when}/{path}", "User-Agent: libfetch/2.0", *headers)
    finally:
        client.close()


async def installed(proxy: Snapproxy, world: AlpineWorld, when: str) -> dict[str, bytes]:
    """Install everything with apk's checks; return the files."""
    listing = await get(proxy, when, INDEX)
    assert (listing.status, listing["X-Snapproxy-Verified"]) == (200, "gpg"), listing
    files: dict[str, bytes] = {}
    for name, record in read_index(listing.body, world.keys).items():
        answer = await get(proxy, when, f"{FOLDER}/{name}")
        assert (answer.status, answer.is_whole, answer["X-Snapproxy-Verified"]) == (200, True, "gpg"), answer
        files |= check_package(answer.body, record)
    return files


async def kept(proxy: Snapproxy, when: str, packages: list[ApkFile]) -> None:
    """Wait until the packages' names are stored: a client gets the last byte before that."""
    for each in packages:
        while (await get(proxy, when, f"{FOLDER}/{each.file}"))["X-Cache"] != "HIT":
            await asyncio.sleep(0.05)


async def test_each_instant_installs_what_it_held(archive: AlpineWorld, proxy: Snapproxy) -> None:
    """A package that was removed since, a new version, and other bytes under the same name, in both orders."""
    assert await installed(proxy, archive, SECOND) == {
        "usr/share/hello": b"hello 1.1-r0\n",
        "usr/share/rebuilt": b"built again\n",
    }
    first = {f"usr/share/{each.name}": f"{each.name} {each.version}\n".encode() for each in archive.first}
    assert await installed(proxy, archive, FIRST) == first
    await kept(proxy, FIRST, archive.first)
    archive.past.stop()
    assert await installed(proxy, archive, FIRST) == first
    archive.past.start()


async def test_a_package_is_taken_from_the_archive_of_that_time_only(archive: AlpineWorld, proxy: Snapproxy) -> None:
    """The mirror has other bytes under the name, and a SHA-1 of a part is no proof for them."""
    await installed(proxy, archive, FIRST)
    assert archive.mirror.requests() == []


async def test_the_proxy_form(archive: AlpineWorld, proxy: Snapproxy) -> None:
    client = await RawClient.connect(proxy.port)
    pair = b64encode(f"{FIRST}:x".encode()).decode()
    answer = await client.get(f"http://{HOST}/alpine/{INDEX}", f"Proxy-Authorization: Basic {pair}")
    client.close()
    assert "gone-1_rc1-r0.apk" in read_index(answer.body, archive.keys)


async def test_a_package_the_index_does_not_list_is_absent(proxy: Snapproxy) -> None:
    answer = await get(proxy, SECOND, f"{FOLDER}/gone-1_rc1-r0.apk")
    assert (answer.status, answer.reason) == (404, "Not in this snapshot: its index does not list it")


async def test_what_apk_needs_of_every_answer(archive: AlpineWorld, proxy: Snapproxy) -> None:
    """Also errors have an explicit keep-alive and a length, else apk opens a connection per request.

    A redirect is never a 307 or 308.
    """
    client = await RawClient.connect(proxy.port)
    for path, status in (
        (INDEX, 200),
        (f"{FOLDER}/hello-1.0-r0.apk", 200),
        (f"{FOLDER}/none-1-r0.apk", 404),
        ("", 302),
    ):
        asked = FIRST if path else "20240601.nearest"
        answer = await client.get(f"/alpine/{asked}/{path}")
        assert answer.status == status
        assert answer["Connection"] == "keep-alive"
        assert answer.get("Content-Length").isdigit()
    client.close()


async def test_an_index_has_no_date_that_could_meet_the_clients_own(archive: AlpineWorld, proxy: Snapproxy) -> None:
    """apk sends the time of its own download as If-Modified-Since.

    Even a date equal to the index's date upstream is answered with the bytes.
    """
    asked = "Sat, 01 Jun 2024 02:30:00 GMT"
    assert epoch(FIRST) == archive.timeline.at(FIRST)[1].get(INDEX).modified  # type: ignore[index, union-attr]
    for since in (asked, "Thu, 01 Jan 2026 00:00:00 GMT"):
        answer = await get(proxy, FIRST, INDEX, f"If-Modified-Since: {since}")
        assert answer.status == 200
        assert answer.get("Last-Modified") == ""
    answer = await get(proxy, FIRST, f"{FOLDER}/hello-1.0-r0.apk")
    assert answer["Last-Modified"] == asked


async def test_going_back_behind_one_url(archive: AlpineWorld, proxy: Snapproxy) -> None:
    """The proxy form with another time: the client has the newer index, and gets the whole older one."""
    client = await RawClient.connect(proxy.port)
    found = []
    for when, since in ((SECOND, ""), (FIRST, "If-Modified-Since: Wed, 10 Jul 2024 14:30:00 GMT")):
        pair = b64encode(f"{when}:x".encode()).decode()
        headers = [f"Proxy-Authorization: Basic {pair}", *([since] if since else [])]
        answer = await client.get(f"http://{HOST}/alpine/{INDEX}", *headers)
        assert answer.status == 200
        found.append(set(read_index(answer.body, archive.keys)))
    client.close()
    assert found == [{each.file for each in each_time} for each_time in (archive.second, archive.first)]


@pytest.mark.parametrize(
    ("signer", "reason"),
    [
        (RsaKey("test@example.org-1.rsa.pub"), "The root's signature is bad"),
        (RsaKey("stranger.rsa.pub"), "The root is signed by a key that is in no keyring"),
        (None, "The root has no signature"),
    ],
)
async def test_an_index_that_the_keys_do_not_vouch_for(
    archive: AlpineWorld, proxy: Snapproxy, signer: RsaKey | None, reason: str
) -> None:
    archive.past.fault("*/APKINDEX.tar.gz", Replace(Content(index(archive.first, *filter(None, [signer])))))
    answer = await get(proxy, FIRST, INDEX)
    assert (answer.status, answer.reason) == (424, reason)
    answer = await get(proxy, FIRST, f"{FOLDER}/hello-1.0-r0.apk")
    assert (answer.status, answer.reason) == (424, reason), "what it promises is not believed either"


async def test_without_keys_there_is_no_proof(archive: AlpineWorld, tmp_path: Path) -> None:
    with Snapproxy(archive.configuration(tmp_path / "keyless", keyrings=False)) as proxy:
        assert (await get(proxy, FIRST, INDEX))["X-Snapproxy-Verified"] == "none"
        assert (await get(proxy, FIRST, f"{FOLDER}/hello-1.0-r0.apk"))["X-Snapproxy-Verified"] == "index"


async def test_other_bytes_than_the_promised_ones_are_cut_and_then_told(archive: AlpineWorld, proxy: Snapproxy) -> None:
    """The same size, another package: the last piece is never sent, and the retry states the reason."""
    lie = package("hello", "1.0-r0", archive.key, b"hullo 1.0-r0\n")
    archive.past.fault("*/hello-1.0-r0.apk", Replace(Content(lie.whole)))
    answers = [await get(proxy, FIRST, f"{FOLDER}/hello-1.0-r0.apk") for _ in range(2)]
    assert not any(answer.status == 200 and answer.is_whole for answer in answers)
    assert answers[-1].status == 502
    archive.past.heal()


async def test_a_damaged_index_is_a_424(archive: AlpineWorld, proxy: Snapproxy) -> None:
    archive.past.fault("*/APKINDEX.tar.gz", Replace(Content(b"<html>maintenance</html>")))
    assert (await get(proxy, FIRST, INDEX)).status == 424
    archive.past.heal()
    archive.past.fault("*/APKINDEX.tar.gz", Truncate(100))
    assert (await get(proxy, "20240602T000000Z", INDEX)).status == 424
    archive.past.heal()
    archive.past.fault("*/APKINDEX.tar.gz", Status(503))
    assert (await get(proxy, "20240603T000000Z", INDEX)).status == 424


# --- the client, the real one where there is one ----------------------------------------------------------------------


@pytest.fixture
def apk(archive: AlpineWorld, proxy: Snapproxy, tmp_path: Path) -> Apk:
    client = apk_in(tmp_path / "root", archive.keys)
    client.repositories(f"{proxy.url}/alpine/{SECOND}/{REPOSITORY}")
    return client


def test_apk_goes_back_in_time(apk: Apk, proxy: Snapproxy) -> None:
    """Mirror form: the URL contains the time, so its index has a cache entry of its own."""
    apk.update()
    apk.add("hello", "rebuilt")
    assert (apk.read("hello"), apk.read("rebuilt")) == ("hello 1.1-r0\n", "built again\n")
    apk.repositories(f"{proxy.url}/alpine/{FIRST}/{REPOSITORY}")
    apk.update()
    apk.upgrade()
    apk.add("gone")
    assert (apk.read("hello"), apk.read("gone")) == ("hello 1.0-r0\n", "gone 1_rc1-r0\n")


def test_apk_through_the_proxy_form(apk: Apk, proxy: Snapproxy) -> None:
    """The repository is as a distribution ships it; under the same URL the second time is another."""
    apk.repositories(f"http://{HOST}/alpine/{REPOSITORY}")
    for when, version in ((SECOND, "1.1-r0"), (FIRST, "1.0-r0")):
        apk.update(proxy=proxy.proxy(when))
        apk.add(f"hello={version}", proxy=proxy.proxy(when))
        assert apk.read("hello") == f"hello {version}\n"


def test_apk_refreshing_by_itself_gets_the_older_index(apk: Apk, proxy: Snapproxy) -> None:
    """An `add` with an old cache sends If-Modified-Since with the date of its own download.

    The answer must not be 304.
    """
    apk.repositories(f"http://{HOST}/alpine/{REPOSITORY}")
    apk.update(proxy=proxy.proxy(SECOND))
    apk.age(36_000)
    apk.add("gone", proxy=proxy.proxy(FIRST))
    assert apk.read("gone") == "gone 1_rc1-r0\n"


def test_apk_fails_when_an_index_was_refused(apk: Apk, archive: AlpineWorld, proxy: Snapproxy) -> None:
    """It fails immediately and with another status than 0; it does not print the reason (curl does)."""
    archive.past.fault("*/APKINDEX.tar.gz", Replace(Content(index(archive.second, RsaKey("stranger.rsa.pub")))))
    apk.repositories(f"{proxy.url}/alpine/20240711T000000Z/{REPOSITORY}")
    with pytest.raises(ApkFailedError, match=r"unavailable|424"):
        apk.update()

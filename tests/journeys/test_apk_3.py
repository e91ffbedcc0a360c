"""apk's repositories of version 3.

Two instants, files that upstream deleted between them, and files that differ from the signed or listed ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.adb import blocks, container, deflated, genuine, unpacked
from tests.fakes.apk3_world import DATA, FIRST, HELLO, INDEX, OLD, SECOND, Apk3World, client_in
from tests.fakes.content import Content
from tests.fakes.faults import Replace
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.rawclient import Answer, RawClient

pytestmark = pytest.mark.journey


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Apk3World]:
    world = Apk3World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def proxy(world: Apk3World) -> Iterator[Snapproxy]:
    with Snapproxy(world.file) as process:
        yield process


async def get(proxy: Snapproxy, path: str, when: str = FIRST, archive: str = "past") -> Answer:
    client = await RawClient.connect(proxy.port)
    try:
        return await client.get(f"/{archive}/{when}/{path}", "User-Agent: libfetch/2.0")
    finally:
        client.close()


def observe(world: Apk3World, packages: str = "all") -> str:
    done = run("observe", "seen", INDEX, "--packages", packages, "--json", "--config", str(world.file))
    assert done.returncode == 0, done.stderr
    instant: str = json.loads(done.stdout)["instant"]
    return instant


def test_apk_installs_each_instant(world: Apk3World, proxy: Snapproxy, tmp_path: Path) -> None:
    """Forward and back on one client.

    apk accepts signatures and digests, and finds a noarch package where it looks for it.
    """
    client = client_in(tmp_path / "root", world)
    for when in (SECOND, FIRST, SECOND):
        client.install(f"{proxy.url}/past/{when}", when)


def test_what_upstream_deleted_still_installs_at_the_instant_it_was_seen(world: Apk3World, tmp_path: Path) -> None:
    world.show(FIRST)
    first = observe(world)
    world.show(SECOND)
    second = observe(world)
    world.mirror.stop()  # only the store has the state of either instant
    with Snapproxy(world.file) as proxy:
        client = client_in(tmp_path / "root", world)
        for instant, when in ((second, SECOND), (first, FIRST)):
            client.install(f"{proxy.url}/seen/{instant}", when)
    world.mirror.start()


async def test_an_index_and_its_packages_are_vouched_for_by_its_signature(proxy: Snapproxy) -> None:
    """Two packages of version 3, one of them in another folder, and one of version 2."""
    for path in (INDEX, HELLO, OLD, DATA):
        answer = await get(proxy, path)
        assert (answer.status, answer["X-Snapproxy-Verified"]) == (200, "gpg"), path


async def test_a_package_is_vouched_for_though_nobody_asked_for_its_index(proxy: Snapproxy) -> None:
    assert (await get(proxy, HELLO))["X-Snapproxy-Verified"] == "gpg"
    answer = await get(proxy, HELLO, SECOND)
    assert (answer.status, answer.reason) == (404, "Not in this snapshot: its index does not list it")


PLAIN = unpacked(genuine("Packages.adb"))


async def test_the_present_is_vouched_for_as_well(world: Apk3World, proxy: Snapproxy) -> None:
    world.show(FIRST)
    for path in (HELLO, INDEX, DATA):
        answer = await get(proxy, path, "live", "seen")
        assert (answer.status, answer["X-Snapproxy-Verified"]) == (200, "gpg"), path


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (deflated(PLAIN.replace(b"1.0-r0", b"1.9-r0")), "The root's signature is bad"),
        (container(b"indx", blocks(PLAIN)[0]), "The root has no signature"),
        (genuine("Packages.adb")[:-9], "The archive's root cannot be read"),
        (b"<html>", "The archive's root cannot be read"),
    ],
)
async def test_an_index_that_was_not_signed_is_refused(
    world: Apk3World, proxy: Snapproxy, index: bytes, reason: str
) -> None:
    """The packages that it lists are not trusted either."""
    world.past.fault("*/Packages.adb", Replace(Content(index)))
    for path in (INDEX, HELLO):
        answer = await get(proxy, path)
        assert (answer.status, answer.reason) == (424, reason)


async def test_an_index_by_a_stranger_is_refused(world: Apk3World, tmp_path: Path) -> None:
    for name in ("rsa.pub", "ec.pub"):
        (world.keys / name).unlink()
    with Snapproxy(world.file) as proxy:
        answer = await get(proxy, INDEX)
        assert (answer.status, answer.reason) == (424, "The root is signed by a key that is in no keyring")


async def test_one_byte_of_a_file_in_a_package(world: Apk3World, proxy: Snapproxy) -> None:
    """The metadata are the listed ones: the changed file is detected by its own digest.

    The last piece is never sent, and the retry states the reason.
    """
    plain = unpacked(genuine("hello-1.0-r0.apk"))
    lie = deflated(plain.replace(b"hello 1.0-r0\n", b"hello-1.0-r0\n"))
    assert len(lie) == len(genuine("hello-1.0-r0.apk"))
    world.past.fault("*/hello-1.0-r0.apk", Replace(Content(lie)))
    answers = [await get(proxy, HELLO) for _ in range(2)]
    assert not any(answer.status == 200 and answer.is_whole for answer in answers)
    assert answers[-1].status == 502
    world.past.heal()


def test_a_diff_of_two_instants(world: Apk3World) -> None:
    asked = ("diff", "past", FIRST, SECOND, "--repo", "edge/main", "--arch", "x86_64", "--json")
    done = run(*asked, "--config", str(world.file))
    assert done.returncode == 0, done.stderr
    changes = {each["name"]: each["kind"] for each in json.loads(done.stdout)["packages"]}
    assert changes == {"hello": "up", "data": "went", "old": "went"}

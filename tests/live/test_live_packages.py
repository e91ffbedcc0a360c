"""Live mode for packages, which a set of indexes lists, and for files that no index lists."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.content import Content
from tests.fakes.faults import Exchange, Hold, complete
from tests.fakes.hamlet import INRELEASE, PACKAGES
from tests.fakes.house import PATIENT, House
from tests.fakes.living import STALE_ENOUGH, warm
from tests.fakes.present import Present
from tests.fakes.services import page

pytestmark = pytest.mark.usefixtures("watchdog")


@pytest.fixture
async def house(present: Present, tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path / "house", rows=(present.row,), timeouts=PATIENT) as house:
        yield house


async def test_packages_are_promised_by_the_current_set_and_come_from_mirrors_only(
    house: House, present: Present
) -> None:
    await warm(house, INRELEASE, PACKAGES)
    package = await house.get("live", present.package)
    assert (package.status, package.data) == (200, present.tree.files[present.package].data)
    again = await house.get("live", present.package)
    assert again.proof == "gpg"
    assert present.asked(present.package) == [200]
    present.publish()
    house.clock.leap(STALE_ENOUGH)
    await warm(house, INRELEASE)
    await warm(house, present.package)
    assert present.log.requests(service="snapshot") == []


async def test_a_promised_package_that_no_mirror_has_is_not_looked_for_in_the_past(
    house: House, present: Present
) -> None:
    await warm(house, INRELEASE, PACKAGES)
    old = present.package
    present.publish()
    assert (await house.get("live", old)).status == 502
    assert present.log.requests(service="snapshot") == []


async def test_a_package_of_the_set_before_is_still_promised(house: House, present: Present) -> None:
    """A client that updated just before the adoption requests it now."""
    old = present.package
    await warm(house, INRELEASE, PACKAGES)
    present.publish(keeping=["pool/"])
    house.clock.leap(STALE_ENOUGH)
    await warm(house, INRELEASE, old)
    assert (await house.get("live", old)).proof == "gpg"


async def test_an_absence_at_the_mirrors_is_not_believed_of_the_past(house: House, present: Present) -> None:
    """A snapshot lists the same digest and still has the file."""
    old, pinned = present.package, "20240602T010000Z"
    await warm(house, INRELEASE, PACKAGES)
    for path in (INRELEASE, PACKAGES):
        assert (await house.get(pinned, path)).status == 200
    data = present.tree.files[old].data
    present.publish()
    assert (await house.get("live", old)).status == 502
    answer = await house.get(pinned, old)
    assert (answer.status, answer.data) == (200, data)


@dataclass
class LateDenial:
    """Makes a client wait, and then answers 404."""

    needs_body: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def play(self, exchange: Exchange) -> None:
        self.reached.set()
        self.released.wait(20)
        complete(exchange, page(404))


async def test_a_pinned_client_does_not_share_the_failure_of_a_live_one(house: House, present: Present) -> None:
    """Both request one digest at the same time, and only a snapshot has it."""
    pinned = "20240602T010000Z"
    await warm(house, INRELEASE, PACKAGES)
    assert (await house.get(pinned, INRELEASE)).status == 200
    assert (await house.get(pinned, PACKAGES)).status == 200
    data = present.tree.files[present.package].data
    denial = present.mirror.fault(f"*/{present.package}", LateDenial())
    live = asyncio.create_task(house.get("live", present.package))
    await asyncio.to_thread(denial.reached.wait, 10)
    past = asyncio.create_task(house.get(pinned, present.package))
    await asyncio.sleep(0.1)
    denial.released.set()
    assert (await live).status == 502
    answer = await past
    assert (answer.status, answer.data) == (200, data), answer


async def test_an_unpromised_file_is_revalidated_each_time(house: House, present: Present) -> None:
    present.show(present.tree.replacing("README", Content(b"one", 1_700_000_000)))
    assert (await house.get("live", "README")).data == b"one"
    assert (await house.get("live", "README")).data == b"one"
    assert present.asked("README") == [200, 304]
    present.show(present.tree.replacing("README", Content(b"two", 1_700_000_100)))
    answer = await house.get("live", "README")
    assert (answer.data, answer.proof, answer.stale) == (b"two", "none", "")


async def test_an_unpromised_package_streams_while_it_arrives(house: House, present: Present) -> None:
    """The client has lists from before it used snapproxy."""
    path = "pool/main/b/big/big_1_amd64.deb"
    content = Content(bytes(range(256)) * 4096, 1_700_000_000)
    present.show(present.tree.replacing(path, content))
    held = present.mirror.fault(f"*{path}", Hold(after=300_000))
    outcome = await asyncio.wait_for(house.ask("live", path), 5)
    body = outcome.body  # type: ignore[union-attr]
    assert await asyncio.wait_for(body.wait(0), 5) > 0
    held.release()
    data = b""
    while len(data) < content.size:
        data += b"".join([piece async for piece in body.chunks(len(data), await body.wait(len(data)))])
    body.close()
    assert data == content.data
    await asyncio.sleep(0.3)
    again = await house.get("live", path)
    assert (again.data, present.asked(path)) == (content.data, [200, 304])

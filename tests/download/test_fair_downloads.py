"""A client with many queued downloads and one with a single download take turns over one upstream connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urlsplit

from tests.fakes.faults import Hold
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet
from tests.fakes.house import UNHURRIED, House, until

MakeHouse = Callable[..., Awaitable[House]]


async def test_one_file_of_a_client_does_not_wait_for_all_files_of_another(
    make_house: MakeHouse, hamlet: Hamlet
) -> None:
    house = await make_house(manners=replace(UNHURRIED, connections=1), patience=60.0)
    await house.get(FIRST, INRELEASE)
    hold = hamlet.past.fault("*", Hold(after=None), times=1)
    queued = house.app.executor._downloads._services.recent._limiter.queued
    host = urlsplit(hamlet.past.url).netloc
    asked = [asyncio.create_task(house.ask(FIRST, "doc/held", peer="10.0.0.1"))]
    await until(hold.reached.is_set)
    asked += [asyncio.create_task(house.ask(FIRST, f"doc/many{number}", peer="10.0.0.1")) for number in range(30)]
    await until(lambda: queued(host) == 30)
    asked.append(asyncio.create_task(house.ask(FIRST, "doc/single", peer="10.0.0.2")))
    await until(lambda: queued(host) == 31)
    hold.release()
    await asyncio.gather(*asked)
    paths = [request.path for request in hamlet.asked()]
    order = [path.rpartition("/")[2] for path in paths if "/doc/" in path]
    assert order[:3] == ["held", "many0", "single"]
    assert len(order) == 32

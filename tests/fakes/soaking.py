"""The parts of `make soak`: an archive of many packages, faults on its servers, and clients of many behaviours.

Whether snapproxy kept its guarantees is for the test to check: it reads the answers that the clients recorded
(`Clients.told`) and the errors that they found (`Clients.complaints`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Content, epoch
from tests.fakes.faults import Drip, Fault, Hold, Html, Redirect, Replace, Reset, Status, TooLong, Truncate, WrongBytes
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, SUITE, Edition, later, made_up
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.rawclient import Answer, RawClient, request
from tests.fakes.signing import SigningKey

CAPTURES = ("", "", "one", "other")
"""The capture that a request is recorded into; half of the requests are not recorded."""

_GRANTED = {200, 206}
_NEVER_OF_AN_INDEX = {404, 429, 500, 502, 503, 504}
_REFUSED = {424, 502, 503, 504}
"""Statuses allowed while an upstream fails. No simulated fault is a 404, so a 404 would be an error of snapproxy."""
_HANGS = 100.0
"""Seconds after which a request counts as hanging: the client timeout is 25, and a stalled download has 30 more for
each of two servers."""


class CrowdedEdition(Edition):
    """Two states with so many packages; every third one has a new version in the second."""

    def __init__(self, key: SigningKey, random: Random, packages: int) -> None:
        self.key = key
        sizes = [random.choice((3_000, 40_000, 300_000, 1_500_000)) + random.randrange(1000) for _ in range(packages)]
        self.first = [made_up(f"p{number}", "1", size) for number, size in enumerate(sizes)]
        self.second = [
            made_up(f"p{number}", "2", size, at=SECOND) if number % 3 == 0 else self.first[number]
            for number, size in enumerate(sizes)
        ]
        publisher = Publisher(key)
        states = {FIRST: self.first, SECOND: self.second}
        self.trees = {when: publisher.tree(when, [SuitePlan(SUITE, tuple(has))]) for when, has in states.items()}


class Weather:
    """Breaks one of the servers in a new way about every second, and removes all faults now and then."""

    def __init__(self, servers: tuple[ArchiveServer, ...], random: Random) -> None:
        self.servers = servers
        self._random = random
        self.played: Counter[str] = Counter()

    async def rage(self, until: float) -> None:
        """Continue until that second of the monotonic clock, then remove all faults."""
        while time.monotonic() < until:
            server = self._random.choice(self.servers)
            draw = self._random.random()
            if draw < 0.1:
                for each in self.servers:
                    each.heal()
                await asyncio.sleep(self._random.uniform(1, 4))
            elif draw < 0.15:
                await asyncio.to_thread(self._refuse, server, self._random.uniform(0.2, 2))
            else:
                fault = self._fault()
                self.played[type(fault).__name__] += 1
                server.fault(self._where(fault), fault, times=self._random.randint(1, 3))
            await asyncio.sleep(self._random.uniform(0.3, 1.5))
        for each in self.servers:
            each.heal()

    def _refuse(self, server: ArchiveServer, seconds: float) -> None:
        self.played["refusing"] += 1
        with server.refusing():
            time.sleep(seconds)

    def _where(self, fault: Fault) -> str:
        # A wrong byte in the list of dumps cannot be detected: wrong bytes are sent only for files that are signed or
        # listed with a digest.
        places = ["*pool/*", "*pool/*", "*dists/*"]
        return self._random.choice(places if fault.needs_body else [*places, "*"])

    def _fault(self) -> Fault:
        at = self._random.randrange(1, 200_000)
        makers: list[Callable[[], Fault]] = [
            lambda: Status(self._random.choice((500, 502, 503, 504))),
            lambda: Status(429, {"Retry-After": "2"}),
            Html,
            Redirect,
            Reset,
            lambda: Reset(after=at, linger=0.1),
            lambda: Truncate(at, linger=0.1),
            TooLong,
            WrongBytes,
            lambda: Replace(Content(b"by a stranger\n" * 1000, epoch(FIRST))),
            lambda: Drip(piece=20_000, every=0.05),
            lambda: Hold(after=at, patience=self._random.choice((1, 5, 40))),
            lambda: Hold(after=None, patience=self._random.choice((1, 5, 20))),
        ]
        return self._random.choice(makers)()


@dataclass(frozen=True)
class Told:
    """A complete answer: the bytes of a path that a capture (or '') got for a requested time."""

    capture: str
    when: str
    path: str
    sha256: str


@dataclass
class Clients:
    """Clients that request the edition's files from the servers at `ports()`.

    The range of requested files grows with time, so that there are always new ones.
    """

    edition: CrowdedEdition
    ports: Callable[[], list[int]]
    told: set[Told] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    async def ask_on(self, random: Random, began: float, until: float) -> None:
        """Run one client that sends one request after the other."""
        while (now := time.monotonic()) < until:
            share = (now - began) / (until - began)
            when, path = self._wish(random, share)
            try:
                async with asyncio.timeout(_HANGS):
                    await self._ask(random, random.choice(CAPTURES), when, path)
            except ConnectionRefusedError:
                self.counts["nobody there"] += 1  # a killed process that has not restarted yet
            except (ConnectionError, asyncio.IncompleteReadError):
                self.counts["cut"] += 1  # the process was killed during the answer
            except TimeoutError:
                self.complaints.append(f"{when}/{path}: nothing for {_HANGS:.0f} s")
            await asyncio.sleep(random.uniform(0, 0.2))

    async def ask_again(self, wish: Told, patience: float) -> None:
        """Request a file until it is served: a healed archive can serve every file."""
        end, status = time.monotonic() + patience, 0
        while time.monotonic() < end:
            client = await RawClient.connect(self.ports()[0])
            try:
                answer = await client.get(_target(wish.capture, wish.when, wish.path))
            finally:
                client.close()
            status = answer.status
            if status == 200 and answer.is_whole:
                self._check(wish.capture, wish.when, wish.path, answer.body)
                return
            await asyncio.sleep(1)
        self.complaints.append(f"{wish.when}/{wish.path}: still {status} after {patience:.0f} s of good weather")

    def _wish(self, random: Random, share: float) -> tuple[str, str]:
        day = random.choice((FIRST, SECOND))
        when = later(day, random.choice((0, 0, 3600, 6 * 3600, 50_000)))
        known = self.edition.first if day == FIRST else self.edition.second
        draw = random.random()
        if draw < 0.2:
            return when, INRELEASE if draw < 0.1 else PACKAGES
        open_to = max(1, int(share * len(known)))
        newest = max(0, open_to - 10)
        number = random.randrange(newest, open_to) if draw < 0.6 else random.randrange(open_to)
        return when, known[number].path

    async def _ask(self, random: Random, capture: str, when: str, path: str) -> None:
        client = await RawClient.connect(random.choice(self.ports()))
        try:
            target, draw = _target(capture, when, path), random.random()
            if draw < 0.15:
                await self._leave(client, target, random)
            elif draw < 0.35:
                await self._ask_for_a_part(client, target, when, path, random)
            else:
                answer = await client.get(target)
                self._count(answer, path)
                if answer.status == 200 and answer.is_whole:
                    self._check(capture, when, path, answer.body)
                    self.told.add(Told(capture, when, path, hashlib.sha256(answer.body).hexdigest()))
        finally:
            client.close()

    async def _leave(self, client: RawClient, target: str, random: Random) -> None:
        """Disconnect immediately, after the head, or somewhere in the body."""
        await client.send(request(target))
        if random.random() < 0.8:
            await client.reader.read(random.randrange(1, 100_000))
        self.counts["left"] += 1

    async def _ask_for_a_part(self, client: RawClient, target: str, when: str, path: str, random: Random) -> None:
        data = self._content(when, path).data
        start = random.randrange(len(data))
        stop = min(len(data), start + random.randrange(1, 200_000))
        answer = await client.get(target, f"Range: bytes={start}-{stop - 1}")
        self._count(answer, path)
        if answer.status == 206 and answer.is_whole:
            told = answer["Content-Range"] == f"bytes {start}-{stop - 1}/{len(data)}"
            if not told or answer.body != data[start:stop]:
                self.complaints.append(f"{when}/{path}: other bytes in {answer['Content-Range']}, not {start}-{stop}")
        elif answer.status == 200 and answer.is_whole:
            self._check("", when, path, answer.body)

    def _check(self, capture: str, when: str, path: str, body: bytes) -> None:
        if body != self._content(when, path).data:
            self.complaints.append(f"{when}/{path} (capture {capture!r}): {len(body)} bytes, whole and wrong")

    def _count(self, answer: Answer, path: str) -> None:
        status = answer.status
        self.counts[f"{status}" if answer.is_whole else f"{status}, cut short"] += 1
        is_index = path.startswith("dists/")
        if status not in _GRANTED | _REFUSED or (is_index and status in _NEVER_OF_AN_INDEX):
            self.complaints.append(f"{path}: status {status}")

    def _content(self, when: str, path: str) -> Content:
        return self.edition.trees[SECOND if when >= SECOND else FIRST].files[path]


def _target(capture: str, when: str, path: str) -> str:
    return f"{f'/~{capture}' if capture else ''}/debian/{when}/{path}"

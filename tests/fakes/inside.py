"""snapproxy in the test's own process: everything that `wiring` builds, around a clock of the test's."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from snapproxy.config import load
from snapproxy.core.address import AddressBook
from snapproxy.core.exchange import Conditions, FileTarget, Moved, Outcome, Served, ServiceTarget
from snapproxy.core.model import Archive, Refusal
from snapproxy.core.when import parse
from snapproxy.wiring import App
from storage import Store, open_store
from tests.fakes.leaping_clock import LeapingClock


@dataclass(frozen=True)
class Got:
    """An answer, read to its end. `data` is what arrived; `cut` says that the body broke off."""

    status: int
    data: bytes = b""
    headers: dict[str, str] | None = None
    proof: str = ""
    cache: str = ""
    reason: str = ""
    cut: bool = False

    @property
    def stale(self) -> str:
        return (self.headers or {}).get("X-Snapproxy-Stale", "")


class Inside:
    """One snapproxy, as another process would be one, on a store in `folder`. Use as an async context manager."""

    def __init__(
        self,
        folder: Path,
        settings: str,
        *,
        offline: bool = False,
        clock: LeapingClock | None = None,
        patience: float | None = None,
    ) -> None:
        self.clock = clock or LeapingClock()
        file = folder / "config.toml"
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n{settings}')
        self._config = load(file, {})
        if patience is not None:
            self._config = replace(self._config, patience={"apt": patience})
        self._offline = offline
        self._stack = AsyncExitStack()
        self.store: Store
        self.app: App

    async def __aenter__(self) -> Self:
        config = self._config
        for path in (config.state_dir, config.cache_dir):
            path.mkdir(mode=0o700, exist_ok=True)
        self.store = open_store(config.state_dir, config.cache_dir)
        app = App(config, self.store, AddressBook(rows=config.archives), offline=self._offline, clock=self.clock)
        self.app = await self._stack.enter_async_context(app)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def row(self, name: str = "debian") -> Archive:
        return next(row for row in self._config.archives if row.name == name)

    async def outcome(self, when: str, path: str, *, archive: str = "debian") -> Outcome:
        """Ask for a file as a client does."""
        return await self.app.executor.answer(FileTarget(self.row(archive), parse(when), path), Conditions())

    async def get(self, when: str, path: str, *, archive: str = "debian") -> Got:
        """Ask for a file, and read the answer to its end."""
        return await read(await self.outcome(when, path, archive=archive))

    async def call(self, path: str, sha1: str = "") -> Got:
        """Ask the snapshot service's own API."""
        return await read(await self.app.executor.answer(ServiceTarget(self.row(), path, sha1), Conditions()))


async def read(outcome: Outcome) -> Got:
    """Read an outcome to its end, as the wire would."""
    if isinstance(outcome, Refusal):
        return Got(outcome.status, headers=dict(outcome.headers), reason=outcome.reason)
    if isinstance(outcome, Moved):
        return Got(302, headers={"Location": outcome.location})
    assert isinstance(outcome, Served)
    data, cut = b"", False
    try:
        while outcome.body.size is None or len(data) < outcome.body.size:
            ready = await outcome.body.wait(len(data))
            if ready == len(data):
                break
            data += b"".join([piece async for piece in outcome.body.chunks(len(data), ready)])
    except Exception:  # noqa: BLE001 whatever breaks the body cuts the connection
        cut = True
    finally:
        outcome.body.close()
    return Got(200, data, dict(outcome.headers), outcome.proof.word, outcome.cache, cut=cut)

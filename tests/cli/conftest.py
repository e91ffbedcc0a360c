from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import Any, Self

import pytest

from snapproxy.config import Config, load
from snapproxy.core.exchange import Conditions, FileTarget, Outcome, Served
from snapproxy.core.model import Archive, Proof, Refusal, Resolved, Role

FIGURES: dict[str, Any] = {
    "requests": 4,
    "bytes": 3000,
    "hits": 1,
    "misses": 1,
    "joined": 1,
    "archives": {"debian": {"files": 3, "roots": 1}},
    "refusals": 3,
    "refusals_by_status": {"403": 2, "404": 1},
    "refused_hosts": {"https://download.example": 2},
    "unverified": 0,
    "unpinned": 0,
    "upstreams": {"ftp.debian.org": {"requests": 2, "bytes": 1000}},
}


class FileBody:
    """The bytes of a file, as an answer has them."""

    def __init__(self, file: Path) -> None:
        self._data = file.read_bytes()
        self.size = len(self._data)

    def fileno(self) -> int | None:
        return None

    async def wait(self, _offset: int) -> int:
        return self.size

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        yield self._data[start:stop]

    def close(self) -> None:
        """Nothing is open."""


class SmallApp:
    """An application that serves: it answers each request with the request's head, and each fetch from a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heads: list[str] = []
        self.entered = 0
        self.stopped = False
        self.loaded: list[Config] = []
        self.fault: Exception | None = None

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.entered -= 1

    async def serve(self, sockets: Sequence[socket], admin: Sequence[socket] = (), _tls: object = None) -> None:
        servers = [await asyncio.start_server(self._answer, sock=each) for each in (*sockets, *admin)]
        try:
            await asyncio.gather(*(server.serve_forever() for server in servers))
        finally:
            self.stopped = True
            for server in servers:
                server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(head)}\r\n\r\n{head}".encode())
        await writer.drain()
        writer.close()

    async def resolve(self, archive: str, when: str) -> Resolved | Refusal:
        if archive == "archlinux":
            return Resolved("2024/05/31", 1_717_159_325)
        if archive != "debian":
            return Refusal(404, "no archive of that name", "The archives here are debian.", "Ask for one of them.")
        return Resolved("20240531T203452Z", 1_717_187_692, (1_717_187_692, 1_717_209_000), note=f"asked for {when}")

    def archive(self, name: str) -> Archive:
        return Archive(name, "apt", "snapshots")

    @property
    def answerer(self) -> Self:
        return self

    async def answer(self, target: FileTarget, _conditions: Conditions) -> Outcome:
        file = self.folder / target.path
        if not file.is_file():
            return Refusal(404, "no such file at that snapshot")
        snapshot, when = "20240531T203452Z", target.when.text
        return Served(FileBody(file), target.archive.name, snapshot, when, Proof.GPG, "MISS", Role.PACKAGE)

    def stats(self) -> Mapping[str, Any]:
        return FIGURES

    # --- of a service

    @property
    def app(self) -> Self:
        return self

    @property
    def config(self) -> Config:
        return load(None, {"SNAPPROXY_DRAIN": "5s", "HOME": str(self.folder)})

    def status(self) -> str:
        return "2 clients connected"

    async def health(self) -> str:
        return ""

    async def reload(self, config: Config) -> Sequence[str]:
        if self.fault is not None:
            raise self.fault
        self.loaded.append(config)
        return [key for key in ("state_dir",) if config.state_dir != self.config.state_dir]


@pytest.fixture
def small_app(tmp_path: Path) -> SmallApp:
    folder = tmp_path / "blobs"
    folder.mkdir()
    return SmallApp(folder)


@pytest.fixture
def plain_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings from one file in a temporary folder, with both folders of the store in it."""
    file = tmp_path / "config.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\ncache_dir = "{tmp_path}/cache"\n', encoding="utf-8")
    monkeypatch.setenv("SNAPPROXY_CONFIG", str(file))
    return tmp_path


@pytest.fixture
def foreign_folder() -> Iterator[Path]:
    """A folder owned by uid 65534, which can reach it; our own if we are not root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        yield folder


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """Restore the levels of the loggers, which `serve` sets for its process."""
    loggers = [logging.getLogger(name) for name in (None, "snapproxy.access")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)

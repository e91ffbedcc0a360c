"""openSUSE's server, simulated from descriptions.

It has `history/YYYYMMDD/tumbleweed/`, a list of those days, and the newest one as `tumbleweed/`. SIMULATED FROM the
requests of others' tools: the live server was never contacted. Its repository is the one of `rpm_world`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.content import Content, FixedTree
from tests.fakes.rpm_world import REPOSITORY, RpmWorld
from tests.fakes.services import Answer, page, serve
from tests.fakes.world import FIRST, SECOND

OSS = "repo/oss"
FIRST_DAYS = ("20240529", "20240530", "20240602")
"""The days that show the first state. Not every calendar day has a publication."""
SECOND_DAYS = ("20240608", "20240609", "20240612")
FIRST_WHEN, SECOND_WHEN = "20240601T120000Z", "20240610T000000Z"
"""Times that resolve to the days 20240530 and 20240609."""
_DAY = re.compile(r"/history/([0-9]{8})/tumbleweed/repo/oss/(.*)")


class HistoryService:
    """Folders by day, their list, and the newest."""

    def __init__(self, days: Mapping[str, FixedTree]) -> None:
        self.days = days

    def answer(self, path: str, query: str) -> Answer:
        newest = max(self.days)
        if path in {"/history/list", "/history/latest"}:
            lines = sorted(self.days, reverse=True) if path.endswith("list") else [newest]
            return Answer(200, Content("".join(f"{each}\n" for each in lines).encode()), {"Content-Type": "text/plain"})
        if found := _DAY.fullmatch(path):
            tree = self.days.get(found[1])
            return serve(tree, f"{REPOSITORY}/{found[2]}", path[1:]) if tree else page(404)
        return serve(self.days[newest], path.replace(f"/tumbleweed/{OSS}/", f"{REPOSITORY}/", 1), path[1:])


class TumbleweedWorld:
    """Two states over six days of two weeks. Close it to stop the server."""

    def __init__(self, world: RpmWorld) -> None:
        first = world.tree(FIRST, f"{FIRST_DAYS[0]}T120000Z")
        second = world.tree(SECOND, f"{SECOND_DAYS[0]}T120000Z")
        self.service = HistoryService({**dict.fromkeys(FIRST_DAYS, first), **dict.fromkeys(SECOND_DAYS, second)})
        self.log = Log()
        self.server = ArchiveServer(self.service, name="opensuse", address="127.0.0.8", log=self.log)
        self._keyring = world.key.keyring
        self.server.start()

    def configuration(self, folder: Path) -> Path:
        """Write a configuration that uses this server for the built-in archive."""
        path = folder / "config.toml"
        folder.mkdir(parents=True)
        host, url = urlsplit(self.server.url).hostname, self.server.url
        path.write_text(
            f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n[archives.opensuse-tumbleweed]\n'
            f'snapshot = ["{url}"]\nmirrors = ["{url}/tumbleweed"]\nkeyrings = ["{self._keyring}"]\n'
            f'[upstreams."{host}"]\nconnections = 8\nrequests_per_second = 500\nburst = 500\n'
        )
        return path

    def close(self) -> None:
        self.server.stop()
        assert not self.server.errors

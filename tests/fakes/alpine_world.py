"""An Alpine-like archive at two instants.

One server answers for every second, one mirror has the present state only. Between the instants `hello` has a new
version, `rebuilt` has other bytes under the same name, and `gone` has been removed.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from tests.fakes.alpine import ApkFile, RsaKey, package, repository
from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.content import FixedTree, Timeline, epoch
from tests.fakes.services import MirrorService, UbuntuService

FIRST = "20240601T023000Z"
SECOND = "20240710T143000Z"
REPOSITORY = "v3.99/main"
FOLDER = f"{REPOSITORY}/x86_64"
INDEX = f"{FOLDER}/APKINDEX.tar.gz"
HOST = "dl.example.org"


class AlpineWorld:
    """The archive and its servers. Close it to stop them."""

    def __init__(self, folder: Path) -> None:
        self.key = RsaKey("test@example.org-1.rsa.pub")
        self.keys = self.key.write(folder / "keys").parent
        self.first = [
            self._package("hello", "1.0-r0"),
            self._package("rebuilt", "1-r0"),
            self._package("gone", "1_rc1-r0"),
        ]
        self.second = [self._package("hello", "1.1-r0"), package("rebuilt", "1-r0", self.key, b"built again\n")]
        self.timeline = Timeline()
        self.timeline.publish("20240501T000000Z", self.tree(self.first, FIRST))
        self.timeline.publish("20240620T000000Z", self.tree(self.second, SECOND))
        log = Log()
        self.past = ArchiveServer(
            UbuntuService(self.timeline, prefix="/alpine/"), name="past", address="127.0.0.6", log=log
        )
        self.mirror = ArchiveServer(
            MirrorService({"alpine": self.timeline}), name="mirror", address="127.0.0.7", log=log
        )
        self.servers = (self.past, self.mirror)
        for server in self.servers:
            server.start()

    def _package(self, name: str, version: str) -> ApkFile:
        return package(name, version, self.key)

    def tree(self, packages: list[ApkFile], modified: str) -> FixedTree:
        """Return the archive that holds these packages, signed by its key."""
        return repository(packages, self.key, folder=FOLDER, modified=epoch(modified))

    def configuration(self, folder: Path, *, keyrings: bool = True) -> Path:
        """Write a configuration that declares the archive as `alpine`."""
        keys = f'keyrings = ["{self.keys}"]\n' if keyrings else ""
        row = (
            f'[archives.alpine]\nfamily = "apk"\nhistory = "any-instant"\nsnapshot = ["{self.past.url}/alpine"]\n'
            f'mirrors = ["{self.mirror.url}/alpine"]\nhosts = ["{HOST}/alpine"]\n{keys}'
        )
        pace = "connections = 8\nrequests_per_second = 500\nburst = 500\n"
        paces = "".join(f'[upstreams."{urlsplit(each.url).hostname}"]\n{pace}' for each in self.servers)
        path = folder / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n{row}{paces}')
        return path

    def close(self) -> None:
        for server in self.servers:
            server.stop()
        errors = [error for server in self.servers for error in server.errors]
        assert not errors

"""An apt archive with the packages of a minimal root at five instants, the last of them some days ago.

From state to state one package gets a higher version. The instants are later than the dates of the genuine packages, as
they are in a real archive.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.fakes import genuine
from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.closure import closure
from tests.fakes.content import Timeline, epoch, stamp
from tests.fakes.publisher import Publisher, SuitePlan, repacked
from tests.fakes.services import MirrorService, SnapshotService
from tests.fakes.signing import SigningKey

STATES = 5
_HOUR = 3600
_DAY = 24 * _HOUR
_EVERY = 2 * _DAY
_CHANGING = ("base-files", "debconf", "libc-bin", "sed")
"""The package that changes before the second, third, ... state: small ones that every root has."""


class FiveStates:
    """The archive `debian` and its servers. Close it to stop them."""

    def __init__(self, folder: Path) -> None:
        suite = genuine.main_suite()
        self.codename = suite.name
        self.key = SigningKey(folder / "gnupg")
        start = int(time.time()) // _DAY * _DAY - (STATES + 1) * _EVERY
        stanzas = closure(suite, *genuine.minimal(suite))
        packages = [genuine.binary(suite, stanza, modified=start) for stanza in stanzas]
        publisher = Publisher(self.key)
        timeline = Timeline()
        self.instants = [stamp(start + state * _EVERY + 13 * _HOUR) for state in range(STATES)]
        """An instant within each state."""
        self.first_dumps = [stamp(start + state * _EVERY + 420) for state in range(STATES)]
        for state in range(STATES):
            if state:
                name = _CHANGING[state - 1]
                index = next(at for at, each in enumerate(packages) if each.name == name)
                packages[index] = repacked(packages[index], "+snapproxy1", modified=start + state * _EVERY)
            published = start + state * _EVERY
            tree = publisher.tree(stamp(published), [SuitePlan(self.codename, tuple(packages))])
            for at in range(published + 420, published + _EVERY, 6 * _HOUR):
                timeline.publish(stamp(at), tree)
        self.log = Log()
        archives = {"debian": timeline}
        self.snapshot = ArchiveServer(SnapshotService(archives), name="snapshot", address="127.0.0.2", log=self.log)
        self.mirror = ArchiveServer(MirrorService(archives), name="mirror", address="127.0.0.3", log=self.log)
        for server in (self.snapshot, self.mirror):
            server.start()

    def span(self, state: int) -> tuple[int, int]:
        """Return the first and the last second at which the archive's dumps have a state; the last state has no end."""
        after = epoch(self.first_dumps[state + 1]) - 1 if state + 1 < STATES else int(time.time())
        return epoch(self.first_dumps[state]), after

    def configuration(self, folder: Path) -> Path:
        """Write a configuration that uses these servers for the built-in archive."""
        folder.mkdir(parents=True)
        pace = "connections = 8\nrequests_per_second = 500\nburst = 500\n"
        paces = "".join(f'[upstreams."{host}"]\n{pace}' for host in ("127.0.0.2", "127.0.0.3"))
        path = folder / "config.toml"
        path.write_text(
            f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n'
            f'[archives.debian]\nsnapshot = ["{self.snapshot.url}/archive/debian"]\n'
            f'mirrors = ["{self.mirror.url}/debian"]\nkeyrings = ["{self.key.keyring}"]\n{paces}'
        )
        return path

    def close(self) -> None:
        """Stop all servers and agents of this world."""
        for server in (self.snapshot, self.mirror):
            server.stop()
        self.key.close()
        assert not [error for server in (self.snapshot, self.mirror) for error in server.errors]

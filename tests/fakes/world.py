"""The simulated world: one set of archives at two instants, on every service that shows them.

It has genuine packages and test-key signatures. `FIRST` and `SECOND` are instants with dumps around them; between them
is a gap. The archives contain the closure of the requested packages: at FIRST as in the machine's stable suite, at
SECOND with every newer package of stable-security (or, if there is none, with its first package repacked under a higher
version). Each service listens on a loopback address of its own, so that rate limits, which are counted by host, can be
told apart.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import genuine
from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.closure import closure
from tests.fakes.content import FixedTree, Package, Timeline, epoch, stamp
from tests.fakes.publisher import Publisher, SuitePlan, repacked
from tests.fakes.services import MirrorService, PpaService, SnapshotService, UbuntuService
from tests.fakes.signing import SigningKey

FIRST = "20240601T023000Z"
SECOND = "20240710T143000Z"
BEFORE_ALL = "20240501T000000Z"
IN_THE_GAP = "20240620T120000Z"
_HOUR = 3600
_OWNER, _PPA = "somebody", "tools"
PPA = f"{_OWNER}/{_PPA}/ubuntu"


@dataclass(frozen=True)
class State:
    """One state of the archives: its instant, and the trees by archive."""

    when: str
    debian: FixedTree
    security: FixedTree

    @property
    def versions(self) -> dict[str, str]:
        """The version of every binary package that the main suite publishes."""
        return {each.name: each.version for each in self.debian.packages if not each.is_source}


class World:
    """Archives and the servers that show them. Close it to stop the servers."""

    def __init__(self, folder: Path, *wanted: str) -> None:
        self.wanted = wanted
        self.key = SigningKey(folder / "gnupg")
        self.codename = genuine.main_suite().name
        self.publisher = Publisher(self.key)
        old, new = versions_of(wanted, epoch(FIRST), epoch(SECOND))
        self.first = self._state(FIRST, old)
        self.second = self._state(SECOND, new)
        self.debian, self.security, self.ubuntu = Timeline(), Timeline(), Timeline()
        for state in (self.first, self.second):
            self._dump(self.debian, state.when, state.debian, first=420, every=6 * _HOUR)
            self._dump(self.security, state.when, state.security, first=1377, every=7 * _HOUR + 977)
            # Ubuntu's service answers for any second: the state changes at one of them and there is no dump.
            self.ubuntu.publish(stamp(epoch(state.when) - 3 * 24 * _HOUR), self._ubuntu(state))
        self._open()

    def _open(self) -> None:
        self.log = Log()
        self.snapshot = ArchiveServer(
            SnapshotService(self.archives), name="snapshot", address="127.0.0.2", log=self.log
        )
        self.mirror = ArchiveServer(MirrorService(self.archives), name="mirror", address="127.0.0.3", log=self.log)
        self.ubuntu_server = ArchiveServer(UbuntuService(self.ubuntu), name="ubuntu", address="127.0.0.4", log=self.log)
        ppa = PpaService(self.ubuntu, owner=_OWNER, ppa=_PPA)
        self.ppa_server = ArchiveServer(ppa, name="ppa", address="127.0.0.5", log=self.log)
        for server in self.servers:
            server.start()

    @contextlib.contextmanager
    def twin(self) -> Iterator[World]:
        """Yield the same archives behind servers, faults and counts of their own, for cases that run side by side."""
        other = copy.copy(self)
        other._open()
        try:
            yield other
        finally:
            other.stop()

    @property
    def archives(self) -> dict[str, Timeline]:
        """The archives of the snapshot service and the mirror, by name."""
        return {"debian": self.debian, "debian-security": self.security}

    @property
    def servers(self) -> tuple[ArchiveServer, ...]:
        return (self.snapshot, self.mirror, self.ubuntu_server, self.ppa_server)

    def changed(self) -> dict[str, tuple[str, str]]:
        """Return (first version, second version) of every package whose version differs."""
        first, second = self.first.versions, self.second.versions
        return {name: (first[name], second[name]) for name in first if first[name] != second[name]}

    def reset(self) -> None:
        """Remove all faults and reset the counts, before a test begins."""
        for server in self.servers:
            server.heal()
            server.reset_counts()

    def stop(self) -> None:
        """Stop the servers."""
        for server in self.servers:
            server.stop()

    def close(self) -> None:
        """Stop all servers and agents of this world."""
        self.stop()
        self.key.close()

    def errors(self) -> list[BaseException]:
        """Return the errors of the fakes themselves."""
        return [error for server in self.servers for error in server.errors]

    def _state(self, when: str, packages: Sequence[Package]) -> State:
        instant = _published(when)
        binaries = [package for package in packages if not package.is_source]
        suites = [
            SuitePlan(self.codename, tuple(packages)),
            SuitePlan(f"{self.codename}-updates", tuple(binaries[-1:]), headers={"Label": "Debian"}),
        ]
        security = SuitePlan(f"{self.codename}-security", tuple(binaries[:1]), label="Debian-Security")
        return State(when, self.publisher.tree(instant, suites), self.publisher.tree(instant, [security]))

    def _ubuntu(self, state: State) -> FixedTree:
        pockets = [
            SuitePlan(name, state.debian.packages, origin="Ubuntu", label="Ubuntu")
            for name in ("noble", "noble-updates", "noble-security")
        ]
        return self.publisher.tree(_published(state.when), pockets)

    @staticmethod
    def _dump(timeline: Timeline, when: str, tree: FixedTree, *, first: int, every: int) -> None:
        """Add dumps of one state from three days before `when` to three days after it."""
        middle = epoch(when)
        for at in range(middle - 3 * 24 * _HOUR + first, middle + 3 * 24 * _HOUR, every):
            timeline.publish(stamp(at), tree)


def _published(when: str) -> str:
    """Return the instant at which the state of `when` was published, before its first dump."""
    return stamp(epoch(when) - 3 * 24 * _HOUR)


def versions_of(wanted: Iterable[str], first: int, second: int) -> tuple[list[Package], list[Package]]:
    """Return the packages at both instants; unchanged ones are dated `first`."""
    suite, security = genuine.main_suite(), genuine.security_suite()
    old = [genuine.binary(suite, stanza, modified=first) for stanza in closure(suite, *wanted)]
    newer = genuine.index(security) if security else {}
    new = [_newest(package, newer.get(package.name, []), security, second) for package in old]
    if all(one is other for one, other in zip(old, new, strict=True)):
        new[0] = repacked(old[0], "+snapproxy1", modified=second)
    source = genuine.source(suite, "hello", modified=first)
    return [*old, source], [*new, source]


def _newest(package: Package, stanzas: Iterable[str], suite: genuine.Suite | None, modified: int) -> Package:
    candidates = [Package(stanza, {}) for stanza in stanzas]
    newer = [
        each
        for each in candidates
        if is_newer(each.version, package.version) and each.architecture == package.architecture
    ]
    if suite is None or not newer:
        return package
    best = max(newer, key=functools.cmp_to_key(_compare))
    return genuine.binary(suite, best.stanza, modified=modified)


def _compare(one: Package, other: Package) -> int:
    return 1 if is_newer(one.version, other.version) else -1


def is_newer(version: str, than: str) -> bool:
    """Compare two Debian versions as dpkg does."""
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", than], check=False, timeout=30).returncode == 0


class RootWorld(World):
    """The packages of a minimal root (88 packages, 32 MB) at two instants.

    It also has the archives that mkosi requests along with it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, *genuine.minimal(genuine.main_suite()))

    @functools.cached_property
    def _debug(self) -> Timeline:
        timeline = Timeline()
        for state in (self.first, self.second):
            plan = SuitePlan(f"{self.codename}-debug", (), label="Debian debug")
            tree = self.publisher.tree(_published(state.when), [plan])
            self._dump(timeline, state.when, tree, first=420, every=6 * _HOUR)
        return timeline

    @property
    def archives(self) -> dict[str, Timeline]:
        return {**super().archives, "debian-debug": self._debug}


class GenuineWorld:
    """Debian's own signed roots unchanged: the machine's real mirror, presented as snapshots around one instant.

    The instant is two days back and the dumps around it all show the mirror's present state, so that Debian's own
    keyring, real indexes and real packages are used; tests cannot conclude anything about *times* from it.
    """

    def __init__(self, *, now: int) -> None:
        suite = genuine.main_suite()
        self.codename = suite.name
        self.keyring = genuine.KEYRING
        timeline = Timeline()
        middle = now - now % _HOUR - 48 * _HOUR
        self.when = stamp(middle)
        tree = genuine.MirrorTree(suite.base, modified=middle - 24 * _HOUR)
        for at in range(middle - 24 * _HOUR, middle + 24 * _HOUR + 1, 6 * _HOUR):
            timeline.publish(stamp(at), tree)
        self.log = Log()
        archives = {"debian": timeline}
        self.snapshot = ArchiveServer(SnapshotService(archives), name="snapshot", address="127.0.0.2", log=self.log)
        self.mirror = ArchiveServer(MirrorService(archives), name="mirror", address="127.0.0.3", log=self.log)
        self.servers = (self.snapshot, self.mirror)
        for server in self.servers:
            server.start()

    def close(self) -> None:
        for server in self.servers:
            server.stop()

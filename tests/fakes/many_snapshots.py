"""Two archives with 65 snapshots each, in one of which a package starts to fail: one for apt, one for pacman.

Packages are small and real: a client can install or unpack them, and `usr/bin/NAME` is a shell script whose exit code
is the plan's. Between the first snapshot (good) and the last one (bad) other packages change too.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes.arch import ArchPackage, ArchWorld, publish
from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.content import Content, Package, Timeline, epoch, stamp
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.services import MirrorService, SnapshotService
from tests.fakes.signing import SigningKey

START = "20240601T000000Z"
SNAPSHOTS = 65
LAST_PLACE = SNAPSHOTS - 1
SUITE = "stable"
NEEDS = {"tool": "helper", "helper": "library"}
"""The dependency of a package."""

_EVERY = 6 * 3600
_DAY = 86400


@dataclass(frozen=True)
class Release:
    """A version of a package that appears in the snapshot at `place`; its program exits with `code`."""

    place: int
    name: str
    version: str
    code: int = 0
    depends: str = ""


def history(broken: int, *together: str, needs: str = "helper") -> tuple[Release, ...]:
    """Return a history in which `tool` fails from the place `broken` on, and then depends on `needs`.

    The packages `together` change in the same snapshot. `noise` is never used by a command.
    """
    return (
        *(Release(0, name, "1.0-1", depends=NEEDS.get(name, "")) for name in ("tool", "helper", "library", "noise")),
        Release(10, "noise", "1.1-1"),
        Release(20, "tool", "1.1-1", depends=NEEDS["tool"]),
        Release(30, "helper", "1.1-1", depends=NEEDS["helper"]),
        Release(broken, "tool", "2.0-1", code=1, depends=needs),
        Release(broken, "noise", "2.0-1"),
        *(Release(broken, name, "2.0-1", depends=NEEDS.get(name, "")) for name in together),
        Release(50, "tool", "2.1-1", code=1, depends=NEEDS["tool"]),
    )


def _states(releases: Sequence[Release]) -> Mapping[int, tuple[Release, ...]]:
    """Return the packages of each snapshot in which one changes."""
    states: dict[int, tuple[Release, ...]] = {}
    current: dict[str, Release] = {}
    for each in sorted(releases, key=lambda release: release.place):
        current[each.name] = each
        states[each.place] = tuple(current.values())
    return states


class AptHistory:
    """An apt archive with a snapshot every six hours, on its servers. Use as a context manager."""

    def __init__(self, folder: Path, releases: Iterable[Release]) -> None:
        self._folder = folder
        self.key = SigningKey(folder / "gnupg")
        publisher, debs = Publisher(self.key), {each: self._deb(each) for each in releases}
        states = _states(tuple(debs))
        timeline, tree = Timeline(), None
        for place in range(SNAPSHOTS + 1):  # with a later one, so that the last one is settled
            when = self.at(place)
            if place in states:
                tree = publisher.tree(when, [SuitePlan(SUITE, tuple(debs[each] for each in states[place]))])
            assert tree is not None
            timeline.publish(when, tree)
        self.log = Log()
        archives = {"debian": timeline}
        self.snapshot = ArchiveServer(SnapshotService(archives), name="snapshot", address="127.0.0.2", log=self.log)
        self.mirror = ArchiveServer(MirrorService(archives), name="mirror", address="127.0.0.3", log=self.log)

    def __enter__(self) -> Self:
        self.snapshot.start()
        self.mirror.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.snapshot.stop()
        self.mirror.stop()
        self.key.close()
        assert not [*self.snapshot.errors, *self.mirror.errors]

    @staticmethod
    def at(place: int) -> str:
        """Return the id of a snapshot."""
        return stamp(epoch(START) + place * _EVERY)

    def configuration(self, folder: Path) -> Path:
        """Write a configuration that uses these servers for the built-in archive."""
        folder.mkdir(parents=True)
        path = folder / "config.toml"
        paces = "".join(
            f'[upstreams."{host}"]\nconnections = 8\nrequests_per_second = 500\nburst = 500\n'
            for host in ("127.0.0.2", "127.0.0.3")
        )
        path.write_text(
            f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n[archives.debian]\n'
            f'snapshot = ["{self.snapshot.url}/archive/debian"]\nmirrors = ["{self.mirror.url}/debian"]\n'
            f'keyrings = ["{self.key.keyring}"]\n{paces}'
        )
        return path

    def _deb(self, release: Release) -> Package:
        """Build a package whose program exits with the release's code."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            tree, target = Path(folder, "tree"), Path(folder, "new.deb")
            program = tree / "usr/bin" / release.name
            for each in (tree / "DEBIAN", program.parent):
                each.mkdir(parents=True)
                each.chmod(0o755)
            program.write_text(f"#!/bin/sh\nexit {release.code}\n")
            fields = {
                "Package": release.name,
                "Version": release.version,
                "Architecture": "amd64",
                "Maintainer": "A test <x@example.invalid>",
                "Description": "A test",
            }
            if release.depends:
                fields["Depends"] = release.depends
            (tree / "DEBIAN/control").write_text("".join(f"{name}: {text}\n" for name, text in fields.items()))
            command = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(target)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            content = Content(target.read_bytes(), epoch(self.at(release.place)))
        name = release.name
        path = f"pool/main/{name[0]}/{name}/{name}_{release.version}_amd64.deb"
        fields |= {"Filename": path, "Size": str(content.size), "SHA256": content.sha256}
        return Package("\n".join(f"{key}: {value}" for key, value in fields.items()), {path: content})


class ArchHistory(ArchWorld):
    """An Arch Linux Archive with a folder a day."""

    def __init__(self, folder: Path, releases: Sequence[Release]) -> None:
        super().__init__(folder)
        states, days, tree = _states(releases), {}, None
        for place in range(SNAPSHOTS + 1):
            day = self.day(place)
            if place in states:
                packages = tuple(self._package(each) for each in states[place])
                tree = publish(folder / f"state{place}", packages, f"{day.replace('/', '')}T000000Z")
            assert tree is not None
            days[day] = tree
        self.service.days = days

    @staticmethod
    def day(place: int) -> str:
        """Return the folder of a day, which is the id of its snapshot."""
        id_ = stamp(epoch(START) + place * _DAY)
        return f"{id_[:4]}/{id_[4:6]}/{id_[6:8]}"

    @classmethod
    def evening(cls, place: int) -> str:
        """Return an instant on a day, after its folder was made."""
        return f"{cls.day(place).replace('/', '')}T200000Z"

    def _package(self, release: Release) -> ArchPackage:
        program = f"#!/bin/sh\nexit {release.code}\n".encode()
        when = f"{self.day(release.place).replace('/', '')}T000000Z"
        return ArchPackage(release.name, release.version, self.key, when, files=((f"usr/bin/{release.name}", program),))

"""A small archive with a present and a past, published again on command: for changes between two requests.

Its packages are a few made-up bytes each, so that a publication is fast; every root is signed with the test key.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

from snapproxy.core.model import Archive
from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.content import Content, FixedTree, Package, Timeline, epoch, stamp
from tests.fakes.hamlet import INRELEASE, SUITE, made_up
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.services import MirrorService, SnapshotService
from tests.fakes.signing import SigningKey

SOURCES = f"dists/{SUITE}/main/source/Sources.xz"
BORN = "20240601T000000Z"
_HOUR = 3600


class Present:
    """An archive on a mirror (its newest state) and on a snapshot service (all of them). Close it to stop both.

    A new edition has one package of a new version, and is dated a day later than the one before.
    """

    def __init__(self, key: SigningKey, *, has_inrelease: bool = True) -> None:
        self.key = key
        self._publisher = Publisher(key)
        self._has_inrelease = has_inrelease
        self._editions = itertools.count(1)
        self.timeline = Timeline()
        self.log = Log()
        archives = {"debian": self.timeline}
        self.mirror = ArchiveServer(MirrorService(archives), name="mirror", address="127.0.0.3", log=self.log)
        self.snapshot = ArchiveServer(SnapshotService(archives), name="snapshot", address="127.0.0.2", log=self.log)
        self.tree = self.publish()
        self.mirror.start()
        self.snapshot.start()

    def publish(self, *, keeping: Iterable[str] = ()) -> FixedTree:
        """Publish a new edition.

        Files of the old one whose path contains one of `keeping` are kept (`by-hash`, `pool/`).
        """
        edition = next(self._editions)
        at = epoch(BORN) + edition * 24 * _HOUR
        packages = (
            made_up("hello", f"{edition}.0", 2000, at=stamp(at)),
            made_up_source("hello", f"{edition}.0", modified=at),
        )
        tree = self._publisher.tree(stamp(at), [SuitePlan(SUITE, packages)])
        files = {path: old for path, old in self._old().items() if any(part in path for part in keeping)} | tree.files
        if not self._has_inrelease:
            del files[INRELEASE]
        self.tree = FixedTree(files, tree.packages)
        for hour in range(0, 24, 6):
            self.timeline.publish(stamp(at + hour * _HOUR), self.tree)
        return self.tree

    def _old(self) -> dict[str, Content]:
        return dict(self.tree.files) if hasattr(self, "tree") else {}

    def show(self, tree: FixedTree) -> None:
        """Change the present state directly, like a mirror in the middle of its own update."""
        self.timeline.publish(self.timeline.ids[-1], tree)

    @property
    def package(self) -> str:
        """The pool path of the newest edition's package."""
        return self.tree.packages[0].path

    @property
    def row(self) -> Archive:
        return Archive(
            "debian",
            "apt",
            "snapshots",
            snapshot=(f"{self.snapshot.url}/archive/debian",),
            mirrors=(f"{self.mirror.url}/debian",),
            keyrings=(str(self.key.keyring),),
        )

    @property
    def vendor(self) -> Archive:
        """The configuration of the same archive without a snapshot service."""
        return replace(self.row, name="vendor", history="captured", snapshot=())

    def asked(self, path: str, *, service: str = "mirror") -> list[int]:
        """Return the status of every request for a path of the present archive, in order."""
        return [each.status for each in self.log.requests(f"/debian/{path}", service=service)]

    def reset(self) -> None:
        """Remove all faults and reset the counts."""
        for server in (self.mirror, self.snapshot):
            server.heal()
            server.reset_counts()

    def close(self) -> None:
        self.mirror.stop()
        self.snapshot.stop()
        errors = [*self.mirror.errors, *self.snapshot.errors]
        assert not errors, errors


def by_hash(tree: FixedTree, path: str) -> str:
    """Return the by-hash name of an index."""
    return f"{path.rpartition('/')[0]}/by-hash/SHA256/{tree.files[path].sha256}"


def made_up_source(name: str, version: str, *, modified: int = 0) -> Package:
    """Return a source package of one file, with correct sizes and digests like `made_up`'s."""
    folder, file = f"pool/main/{name[0]}/{name}", f"{name}_{version}.dsc"
    content = Content(f"Source: {name}\nVersion: {version}\n".encode(), modified)
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": "source",
        "Directory": folder,
        "Checksums-Sha256": f"\n {content.sha256} {content.size} {file}",
    }
    stanza = "\n".join(f"{key}: {value}" if value[0] != "\n" else f"{key}:{value}" for key, value in fields.items())
    return Package(stanza, {f"{folder}/{file}": content})

"""A tiny archive on two servers, a snapshot service and a mirror, published in milliseconds.

It is for tests that need many archives. Its packages are made-up bytes; its roots are signed with the test key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Self

from snapproxy.core.model import Archive
from tests.fakes.archive_server import ArchiveServer, Log, Request
from tests.fakes.content import Content, FixedTree, Package, Timeline, epoch, stamp
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.services import MirrorService, SnapshotService
from tests.fakes.signing import SigningKey

FIRST = "20240601T000000Z"
SECOND = "20240611T000000Z"
"""Instants with a state of the archive each; ten dumps, six hours apart, show each state from its instant on."""

SUITE = "stable"
INRELEASE, RELEASE, SIGNATURE = (f"dists/{SUITE}/{name}" for name in ("InRelease", "Release", "Release.gpg"))
PACKAGES = f"dists/{SUITE}/main/binary-amd64/Packages.xz"
DUMPS = 10
_SIX_HOURS = 6 * 3600


def later(when: str, seconds: int) -> str:
    """Return the snapshot id so many seconds after another."""
    return stamp(epoch(when) + seconds)


def made_up(name: str, version: str, size: int, *, algorithms: Iterable[str] = ("sha256",), at: str = FIRST) -> Package:
    """Return a package of `size` bytes that differ from those of every other version."""
    seed = f"{name} {version}".encode()
    data = b"".join(hashlib.sha256(b"%s %d" % (seed, turn)).digest() for turn in range(size // 32 + 1))[:size]
    content = Content(data, epoch(at))
    path = f"pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb"
    fields = {"md5": "MD5sum", "sha1": "SHA1", "sha256": "SHA256"}
    digests = "".join(f"\n{fields[each]}: {content.digests[each]}" for each in algorithms)
    stanza = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {path}\nSize: {size}{digests}"
    return Package(stanza, {path: content})


def content_of(package: Package) -> Content:
    """Return the one file of a binary package."""
    return package.files[package.path]


class Edition:
    """Two states of an archive.

    `kept` is in both, `old` in the first only, `new` in the second, `weak` is listed with an MD5 only.
    """

    def __init__(self, key: SigningKey) -> None:
        self.key = key
        self.kept = made_up("kept", "1", 300_000)
        self.old = made_up("moved", "1", 200_000)
        self.new = made_up("moved", "2", 200_000, at=SECOND)
        self.weak = made_up("weak", "1", 150_000, algorithms=("md5",))
        publisher = Publisher(key)
        self.trees = {
            FIRST: publisher.tree(FIRST, [SuitePlan(SUITE, (self.kept, self.old, self.weak))]),
            SECOND: publisher.tree(SECOND, [SuitePlan(SUITE, (self.kept, self.new, self.weak))]),
        }


class Hamlet:
    """An edition on its servers.

    `row` is the archive's configuration; `past` and `now` are the servers. Use as a context manager.
    """

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.timeline = Timeline()
        for when, tree in edition.trees.items():
            self.publish(when, tree)
        self.log = Log()
        archives = {"debian": self.timeline}
        self.past = ArchiveServer(SnapshotService(archives), name="past", address="127.0.0.2", log=self.log)
        self.now = ArchiveServer(MirrorService(archives), name="now", address="127.0.0.3", log=self.log)

    def __enter__(self) -> Self:
        self.past.start()
        self.now.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.past.stop()
        self.now.stop()
        assert not [*self.past.errors, *self.now.errors]

    def publish(self, when: str, tree: FixedTree) -> None:
        """Show a tree in every dump from `when` on."""
        for turn in range(DUMPS):
            self.timeline.publish(later(when, turn * _SIX_HOURS), tree)

    def publish_now(self, when: str) -> None:
        """Make the mirror show the state of `when`, as if there had been no later publication."""
        for each in [each for each in self.timeline.ids if each > later(when, DUMPS * _SIX_HOURS)]:
            self.timeline.withdraw(each)

    def place(self, path: str, content: Content, when: str = FIRST) -> None:
        """Put a file that no index lists into every dump of a state."""
        tree = self.timeline.at(when)
        assert tree is not None
        self.publish(when, FixedTree({**tree[1].files, path: content}, tree[1].packages))

    def without(self, path: str, when: str = SECOND) -> FixedTree:
        """Return a state's tree without one file."""
        tree = self.edition.trees[when]
        return FixedTree({name: content for name, content in tree.files.items() if name != path}, tree.packages)

    @property
    def row(self) -> Archive:
        return Archive(
            "debian",
            "apt",
            "snapshots",
            snapshot=(f"{self.past.url}/archive/debian",),
            mirrors=(f"{self.now.url}/debian",),
            keyrings=(str(self.edition.key.keyring),),
        )

    def content(self, path: str, when: str = FIRST) -> Content:
        """Return the content of a path in the state of `when`."""
        return self.edition.trees[when].files[path]

    def asked(self, name: str = "", *, server: str = "") -> list[Request]:
        """Return the requests for a file, by the end of its path or its SHA-1.

        The service's redirect counts as one request, its target as another.
        """
        return [
            each
            for each in list(self.log.entries)
            if server in ("", each.service) and not each.path.startswith("/mr/timestamp") and name in each.path
        ]

    def requests_for(self, path: str, when: str = FIRST) -> list[Request]:
        """Return every request for a file, by name, by-hash or SHA-1."""
        content = self.content(path, when)
        names = (path, content.sha256, content.sha1)
        return [each for each in list(self.log.entries) if any(name in each.path for name in names)]

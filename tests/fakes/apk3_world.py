"""A repository of version 3 at two instants, of genuine files (tests/data/README.md), and an apk client for it.

Between the instants `hello` has a new version, and `data` (noarch) and `old` (a package of version 2) have been
removed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.fakes.adb import genuine
from tests.fakes.apk_root import RealApk
from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.content import Content, FixedTree, Timeline, epoch
from tests.fakes.services import MirrorService, UbuntuService

FIRST = "20240601T023000Z"
SECOND = "20240710T143000Z"
REPOSITORY = "edge/main"
INDEX = f"{REPOSITORY}/x86_64/Packages.adb"
HELLO = f"{REPOSITORY}/x86_64/hello-1.0-r0.apk"
NEW_HELLO = f"{REPOSITORY}/x86_64/hello-1.1-r0.apk"
OLD = f"{REPOSITORY}/x86_64/old-1-r0.apk"
DATA = f"{REPOSITORY}/noarch/data-2-r0.apk"

FILES: Mapping[str, Mapping[str, str]] = {
    FIRST: {INDEX: "Packages.adb", HELLO: "hello-1.0-r0.apk", OLD: "old-1-r0.apk", DATA: "data-2-r0.apk"},
    SECOND: {INDEX: "later.adb", NEW_HELLO: "hello-1.1-r0.apk"},
}


def tree(when: str, **replaced: bytes) -> FixedTree:
    """Return the repository at an instant. A path in `replaced` gets the named file of tests/data/apk."""
    return FixedTree(
        {path: Content(replaced.get(name, genuine(name)), epoch(when)) for path, name in FILES[when].items()}
    )


def keys(folder: Path) -> Path:
    """Write the public keys as in /etc/apk/keys."""
    folder.mkdir()
    for name in ("rsa.pub", "ec.pub"):
        (folder / name).write_bytes(genuine(name))
    return folder


class Apk3World:
    """A snapshot server that answers for every second, and a mirror that shows the state of the last `show`.

    Each has its own archive, `past` and `seen`.
    """

    def __init__(self, folder: Path) -> None:
        self.keys = keys(folder / "keys")
        timeline, self._shown = Timeline(), Timeline()
        for when in (FIRST, SECOND):
            timeline.publish(when, tree(when))
        log = Log()
        self.past = ArchiveServer(UbuntuService(timeline, prefix="/alpine/"), name="past", address="127.0.0.6", log=log)
        self.mirror = ArchiveServer(MirrorService({"alpine": self._shown}), name="mirror", address="127.0.0.7", log=log)
        for server in (self.past, self.mirror):
            server.start()
        self.file = folder / "config.toml"
        row = f'family = "apk"\nkeyrings = ["{self.keys}"]\n'
        pace = "connections = 8\nrequests_per_second = 500\nburst = 500\n"
        self.file.write_text(
            f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n'
            f'[archives.past]\n{row}history = "any-instant"\nsnapshot = ["{self.past.url}/alpine"]\n'
            f'[archives.seen]\n{row}history = "captured"\nmirrors = ["{self.mirror.url}/alpine"]\n'
            f'[upstreams."127.0.0.6"]\n{pace}[upstreams."127.0.0.7"]\n{pace}'
        )

    def show(self, when: str) -> None:
        """Make the mirror show the repository as of an instant."""
        self._shown.publish(when, tree(when))

    def close(self) -> None:
        for server in (self.past, self.mirror):
            server.stop()
        assert not [*self.past.errors, *self.mirror.errors]


class Client(Protocol):
    """The actions of a repository's user.

    `install` installs the present packages of the repository, and returns the files that each put on the disk.
    """

    def install(self, url: str, when: str) -> None: ...


def client_in(root: Path, world: Apk3World) -> Client:
    """Make a client: apk 3 if it is on PATH, else one that sends the same requests as apk and compares bytes."""
    if os.geteuid() == 0 and shutil.which("apk") and b" 3." in subprocess.check_output(["apk", "--version"]):
        return _Real(root, world.keys)
    return _Bytewise()


_CONTENTS = {"hello-1.0-r0.apk": "hello 1.0-r0\n", "hello-1.1-r0.apk": "hello 1.1-r0\n", "old-1-r0.apk": "old 1-r0\n"}


class _Real:
    def __init__(self, root: Path, keys: Path) -> None:
        self._apk = RealApk(root, keys)

    def install(self, url: str, when: str) -> None:
        self._apk.repositories(f"v3 {url}/{REPOSITORY}")
        self._apk.update()
        self._apk.upgrade()
        names = [name for name in FILES[when].values() if name.endswith(".apk")]
        self._apk.add(*(name.split("-")[0] for name in names))
        for name in set(names) & _CONTENTS.keys():
            assert self._apk.read(name.split("-")[0]) == _CONTENTS[name]


class _Bytewise:
    def install(self, url: str, when: str) -> None:
        for path, name in FILES[when].items():
            with urllib.request.urlopen(f"{url}/{path}", timeout=30) as answer:
                assert answer.read() == genuine(name)

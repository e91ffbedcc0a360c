"""An apk client in a root of its own.

It is the real program if it is on PATH and the test runs as root, else a client that requests and checks byte by byte
as apk does. Debian has no package of apk, and apk sets root as the owner of files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from email.utils import formatdate
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature

from tests.fakes.alpine import check_package, read_index

ARCH = "x86_64"


class ApkFailedError(Exception):
    """apk exited with another status than 0; the message is its output."""


class Apk(Protocol):
    """One client. `proxy` is an address with the time as its user, as in `http_proxy`; '' for no proxy."""

    def repositories(self, *lines: str) -> None:
        """Write /etc/apk/repositories."""

    def update(self, *, proxy: str = "") -> None:
        """Download the indexes again, whatever the cache holds."""

    def add(self, *packages: str, proxy: str = "") -> None:
        """Install `name` or `name=version`; an index older than four hours is requested again first."""

    def upgrade(self, *, proxy: str = "") -> None:
        """Change the installed packages to the versions of the indexes, older or newer."""

    def age(self, seconds: int) -> None:
        """Date the cached indexes back by that much."""

    def read(self, name: str) -> str:
        """Return the file that the package of that name installed."""


def apk_in(root: Path, keys: Path) -> Apk:
    """Make an empty root that trusts the keys in the folder `keys`."""
    if shutil.which("apk") and os.geteuid() == 0:
        return RealApk(root, keys)
    return _BytewiseApk(root, keys)


class RealApk:
    """The program on PATH, run as root, in a root of its own."""

    def __init__(self, root: Path, keys: Path) -> None:
        self._root = root
        for folder in ("etc/apk/cache", "lib/apk/db", "var/cache/apk"):
            (root / folder).mkdir(parents=True)
        shutil.copytree(keys, root / "etc/apk/keys")
        self.repositories()
        self._run("add", "--initdb")

    def repositories(self, *lines: str) -> None:
        (self._root / "etc/apk/repositories").write_text("".join(f"{line}\n" for line in lines))

    def update(self, *, proxy: str = "") -> None:
        self._run("--cache-max-age", "0", "update", proxy=proxy)

    def add(self, *packages: str, proxy: str = "") -> None:
        self._run("add", "--upgrade", *packages, proxy=proxy)

    def upgrade(self, *, proxy: str = "") -> None:
        self._run("upgrade", "--available", proxy=proxy)

    def age(self, seconds: int) -> None:
        for cached in self._root.glob("**/APKINDEX.*.tar.gz"):
            os.utime(cached, (cached.stat().st_atime, cached.stat().st_mtime - seconds))

    def read(self, name: str) -> str:
        return (self._root / "usr/share" / name).read_text()

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of apk for this root."""
        return ["apk", "--root", str(self._root), "--arch", ARCH, *arguments]

    def _run(self, *arguments: str, proxy: str = "") -> None:
        environment = {"PATH": os.environ["PATH"], **({"HTTP_PROXY": proxy} if proxy else {})}
        done = subprocess.run(
            self.command(*arguments),
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
        )  # fmt: skip
        if done.returncode != 0:
            raise ApkFailedError(f"{arguments}: {done.stdout}")


class _BytewiseApk:
    def __init__(self, root: Path, keys: Path) -> None:
        self._root = root
        self._keys = keys
        self._repositories: tuple[str, ...] = ()
        self._cache: dict[str, tuple[float, dict[str, dict[str, str]]]] = {}
        self._installed: set[str] = set()

    def repositories(self, *lines: str) -> None:
        self._repositories = lines

    def update(self, *, proxy: str = "") -> None:
        for repository in self._repositories:
            self._load(repository, proxy)

    def add(self, *packages: str, proxy: str = "") -> None:
        self._refresh(proxy)
        for wanted in packages:
            name, _, version = wanted.partition("=")
            self._install(name, version, proxy)

    def upgrade(self, *, proxy: str = "") -> None:
        self._refresh(proxy)
        for name in self._installed:
            self._install(name, "", proxy)

    def age(self, seconds: int) -> None:
        self._cache = {url: (loaded - seconds, records) for url, (loaded, records) in self._cache.items()}

    def read(self, name: str) -> str:
        return (self._root / "usr/share" / name).read_text()

    def _refresh(self, proxy: str) -> None:
        for repository in self._repositories:
            loaded = self._cache.get(repository, (0.0, {}))[0]
            if loaded < time.time() - 4 * 3600:
                self._load(repository, proxy, loaded)

    def _load(self, repository: str, proxy: str, since: float = 0) -> None:
        data = _get(f"{repository}/{ARCH}/APKINDEX.tar.gz", proxy, since)
        if data is None:  # not modified
            return
        try:
            self._cache[repository] = (time.time(), read_index(data, self._keys))
        except (InvalidSignature, OSError, ValueError) as error:
            raise ApkFailedError(f"BAD signature: {error}") from error

    def _install(self, name: str, version: str, proxy: str) -> None:
        for repository in self._repositories:
            for file, record in self._cache.get(repository, (0.0, {}))[1].items():
                if record["P"] == name and version in {"", record["V"]}:
                    data = _get(f"{repository}/{ARCH}/{file}", proxy)
                    assert data is not None
                    for path, content in check_package(data, record).items():
                        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
                        (self._root / path).write_bytes(content)
                    self._installed.add(name)
                    return
        raise ApkFailedError(f"{name} (no such package)")


def _get(url: str, proxy: str, since: float = 0) -> bytes | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy} if proxy else {}))
    headers = {"User-Agent": "libfetch/2.0", **({"If-Modified-Since": formatdate(since, usegmt=True)} if since else {})}
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            data: bytes = answer.read()
            return data
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 304:
            return None
        raise ApkFailedError(f"{url}: {error.code} {error.reason}") from error

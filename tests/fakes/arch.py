"""A small Arch Linux: signed packages, databases by the real repo-add, and the archive that keeps a folder per day.

The archive is SIMULATED FROM ITS DEPLOYED CONFIGURATION as others describe it; the live server was never contacted.
Packages are written directly (a zstd tar with a .PKGINFO), which needs no build and no ordinary user.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import zstandard

from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.content import Content, FixedTree, epoch
from tests.fakes.services import Answer, listing, page
from tests.fakes.signing import SigningKey

REPO = "core/os/x86_64"
EMPTY = "extra/os/x86_64/extra.db"
FIRST_DAYS = tuple(f"2024/06/{day:02}" for day in range(1, 6))
MISSING_DAY = "2024/06/06"
SECOND_DAYS = tuple(f"2024/06/{day:02}" for day in range(7, 12))
FIRST, SECOND = "20240604T000000Z", "20240610T000000Z"
"""Times that resolve to FIRST_DAYS and SECOND_DAYS: the folders of the third and of the ninth."""
_SYNC = 12 * 3600 + 42 * 60 + 5
_PACKAGE = re.compile(r"(?P<name>[^/]+)-[^/-]+-[^/-]+-[^/-]+\.pkg\.tar\.zst(?:\.sig)?")


@dataclass(frozen=True)
class ArchPackage:
    """One package as its author publishes it.

    `payload` is the size of its main file, of incompressible bytes; `files` are additional ones. `fields` are further
    lines of its .PKGINFO, such as ("depend", "glibc").
    """

    name: str
    version: str
    key: SigningKey
    when: str
    payload: int = 1000
    files: tuple[tuple[str, bytes], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-any.pkg.tar.zst"

    @cached_property
    def data(self) -> bytes:
        noise = hashlib.shake_256(self.file.encode()).digest(self.payload)
        info = f"pkgname = {self.name}\npkgbase = {self.name}\npkgver = {self.version}\npkgdesc = A test\nurl = x\n"
        info += (
            f"builddate = {epoch(self.when)}\npackager = A test <x@example.invalid>\nsize = {len(noise)}\narch = any\n"
        )
        info += "".join(f"{field} = {value}\n" for field, value in self.fields)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in ((".PKGINFO", info.encode()), (f"usr/share/{self.name}", noise), *self.files):
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(data), epoch(self.when)
                tar.addfile(member, io.BytesIO(data))
        return zstandard.ZstdCompressor().compress(out.getvalue())

    @cached_property
    def signature(self) -> bytes:
        return self.key.beside(self.data, at=self.when)


def publish(folder: Path, packages: tuple[ArchPackage, ...], when: str, *, is_signed: bool = True) -> FixedTree:
    """Write the databases of `core` and of an empty `extra` with the real repo-add; return their tree.

    Files are dated `when`. `is_signed`: the database contains the signatures (the default before pacman 6.1).
    """
    folder.mkdir(parents=True)
    files = {}
    for package in packages:
        for name, data in ((package.file, package.data), (f"{package.file}.sig", package.signature)):
            if is_signed or name == package.file:  # a repo-add before 6.1 embeds each signature that it finds
                (folder / name).write_bytes(data)
            files[name] = Content(data, epoch(package.when))
    names = [str(folder / package.file) for package in packages]
    subprocess.run(
        ["repo-add", "--quiet", str(folder / "core.db.tar.gz"), *names], check=True, capture_output=True, timeout=60
    )
    for kind in ("db", "files"):
        content = Content((folder / f"core.{kind}.tar.gz").read_bytes(), epoch(when))
        files |= {f"core.{kind}": content, f"core.{kind}.tar.gz": content}
    tree = {f"{REPO}/{name}": content for name, content in files.items()}
    subprocess.run(["repo-add", str(folder / "extra.db.tar.gz")], check=True, capture_output=True, timeout=60)
    return FixedTree({**tree, EMPTY: Content((folder / "extra.db.tar.gz").read_bytes(), epoch(when))})


def _file(path: str) -> str:
    """Return the name of the package or signature at `path`, '' for any other file."""
    file = path.rpartition("/")[2]
    return file if _PACKAGE.fullmatch(file) else ""


def _listed_date(seconds: int) -> str:
    """Return a date as nginx lists it, independent of the locale."""
    moment = datetime.fromtimestamp(seconds, UTC)
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][moment.month - 1]
    return f"{moment:%d}-{month}-{moment:%Y %H:%M}"


def _name(file: str) -> str:
    return file.rsplit("-", 3)[0]


class DatedService:
    """archive.archlinux.org.

    Folders by day with `lastsync`, `packages/`, and the redirect to the historical archive for removed files.
    """

    def __init__(self, days: Mapping[str, FixedTree]) -> None:
        self.days = days
        self.removed: set[str] = set()
        """Files that only the historical archive still has."""
        self.thinned: set[str] = set()
        """Days whose folder contains databases only."""

    def answer(self, path: str, query: str) -> Answer:
        file = path.rpartition("/")[2]
        if path.startswith("/historical/"):
            return self._found(file) if file in self.removed else page(404)
        path = path.replace("/repos/last/", f"/repos/{max(self.days)}/", 1)
        found = re.fullmatch(r"/repos/([0-9]{4}/[0-9]{2}/[0-9]{2})/(.*)", path)
        answer = self._day(found[1], found[2]) if found else self._package(path, file)
        if answer.status == 404 and (name := _PACKAGE.fullmatch(file)):
            return page(302, "Found", Location=f"/historical/archlinux_pkg_{name['name'].replace('+', '_')}/{file}")
        return answer

    def _day(self, day: str, path: str) -> Answer:
        tree = self.days.get(day)
        if tree is None:
            return page(404)
        if path == "lastsync":
            return Answer(200, Content(f"{epoch(day.replace('/', '') + 'T000000Z') + _SYNC}\n".encode()))
        is_gone = path.rpartition("/")[2] in self.removed or (day in self.thinned and ".pkg.tar" in path)
        if (content := tree.get(path)) and not is_gone:
            return Answer(200, content, {}, (f"archlinux/{path}",), has_validators=True)
        return (listing(tree, path) if path == "" or path.endswith("/") else None) or page(404)

    def _package(self, path: str, file: str) -> Answer:
        name = _PACKAGE.fullmatch(file)
        homes = {f"/packages/.all/{file}", f"/packages/{name['name'][0]}/{name['name']}/{file}"} if name else set()
        if path in homes and file not in self.removed:
            return self._found(file)
        return self._listing(path) or page(404)

    def _listing(self, folder: str) -> Answer | None:
        """Return the listing of a folder of packages as nginx's autoindex does.

        Names are escaped in the links, and lines end like HTTP's.
        """
        trees = self.days.values()
        files = {name: tree.files[path] for tree in trees for path in tree.files if (name := _file(path))}
        names = sorted(
            name
            for name in files.keys() - self.removed
            if folder in {"/packages/.all/", f"/packages/{name[0]}/{_name(name)}/"}
        )
        if not names:
            return None
        rows = "".join(
            f'<a href="{quote(name, safe="")}">{name}</a>   {_listed_date(files[name].modified)}   1\r\n'
            for name in names
        )
        title = f"Index of {folder}"
        text = (
            f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<h1>{title}</h1><hr><pre>"
            f'<a href="../">../</a>\r\n{rows}</pre><hr></body>\r\n</html>\r\n'
        )
        return Answer(200, Content(text.encode()), {"Content-Type": "text/html"})

    def _found(self, file: str) -> Answer:
        for tree in self.days.values():
            if content := tree.get(f"{REPO}/{file}"):
                return Answer(200, content, {}, (f"archlinux/{file}",), has_validators=True)
        return page(404)


class ArchMirror:
    """A regular mirror: serves the newest state below any folder."""

    def __init__(self, newest: FixedTree) -> None:
        self.newest = newest

    def answer(self, path: str, query: str) -> Answer:
        content = self.newest.get(path.removeprefix("/archlinux/"))
        return Answer(200, content, {}, (f"archlinux{path}",), has_validators=True) if content else page(404)


class ArchWorld:
    """Two states over ten days, with a day missing between them, the archive of them, and a mirror of the second.

    `changing` is the package that has two versions, `files` are its files besides the main file.
    """

    def __init__(self, folder: Path, *, changing: str = "dummy", files: tuple[tuple[str, bytes], ...] = ()) -> None:
        self.key = SigningKey(folder / "gnupg")
        before, between = "20240520T000000Z", "20240605T180000Z"
        self.kept = ArchPackage("libtest++", "2:2.4-1", self.key, before)
        self.old = ArchPackage(changing, "1.0-1", self.key, before, payload=300_000, files=files)
        self.new = ArchPackage(changing, "2.0-1", self.key, between, payload=300_000, files=files)
        first = publish(folder / "first", (self.kept, self.old), before)
        second = publish(folder / "second", (self.kept, self.new), between)
        self.service = DatedService({**dict.fromkeys(FIRST_DAYS, first), **dict.fromkeys(SECOND_DAYS, second)})
        self.log = Log()
        self.archive = ArchiveServer(self.service, name="archive", address="127.0.0.6", log=self.log)
        self.mirror = ArchiveServer(ArchMirror(second), name="mirror", address="127.0.0.7", log=self.log)
        for server in (self.archive, self.mirror):
            server.start()

    def configuration(self, folder: Path) -> Path:
        """Write a configuration that uses these servers for the built-in archive."""
        path = folder / "config.toml"
        folder.mkdir(parents=True)
        paces = "".join(
            f'[upstreams."{host}"]\nconnections = 8\nrequests_per_second = 500\nburst = 500\n'
            for host in ("127.0.0.6", "127.0.0.7")
        )
        path.write_text(
            f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n'
            f'[archives.archlinux]\nsnapshot = ["{self.archive.url}"]\n'
            f'mirrors = ["{self.mirror.url}/archlinux"]\n{paces}'
        )
        return path

    def close(self) -> None:
        """Stop all servers and agents of this world."""
        self.archive.stop()
        self.mirror.stop()
        self.key.close()
        assert not [*self.archive.errors, *self.mirror.errors]

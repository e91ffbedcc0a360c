"""An rpm repository at two instants on a snapshot service and a mirror.

It is made with rpmbuild and createrepo_c and signed with a test key. At FIRST its metadata are like Fedora's (gzip,
SHA-256), at SECOND like openSUSE's (xz, SHA-512). `steady` stays the same, `hello` has a new version.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from snapproxy.core.model import Archive
from tests.fakes.archive_server import ArchiveServer, Log
from tests.fakes.content import Content, FixedTree, Timeline, epoch, stamp
from tests.fakes.services import MirrorService, SnapshotService
from tests.fakes.signing import SigningKey
from tests.fakes.world import FIRST, SECOND

ARCHIVE = "linux"
REPOSITORY = "updates/40/Everything/x86_64"
HOST = "download.example"
VERSIONS = {FIRST: {"hello": "1.0-1", "steady": "7-1"}, SECOND: {"hello": "1.1-1", "steady": "7-1"}}
_TOOLS = {FIRST: ("--zck",), SECOND: ("--general-compress-type=xz", "--checksum=sha512")}
_SPEC = """\
Name: {name}
Version: {version}
Release: {release}
Summary: A package of a test
License: MIT
BuildArch: noarch
{fields}%description
A package of a test.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
head -c 40000 /dev/zero | tr '\\0' {name} > %{{buildroot}}/usr/share/{name}/data
%files
/usr/share/{name}
"""


class RpmWorld:
    """The repository and the servers that show it. Close it to stop the servers.

    `versions` are those of the packages at each instant; `fields` are further lines of their spec files, by name.
    """

    def __init__(
        self,
        folder: Path,
        *,
        versions: Mapping[str, Mapping[str, str]] = VERSIONS,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self.versions = versions
        self._fields = fields or {}
        self.key = SigningKey(folder / "gnupg")
        self.public_key = folder / "key.asc"
        self.public_key.write_bytes(self.key.armored())
        self.trees = {when: self.tree(when) for when in versions}
        self._timeline = timeline = Timeline()
        for when, tree in self.trees.items():
            for hours in range(-72, 72, 6):
                timeline.publish(stamp(epoch(when) + 3600 * hours), tree)
        self.log = Log()
        archives = {ARCHIVE: timeline}
        self.snapshot = ArchiveServer(SnapshotService(archives), name="snapshot", address="127.0.0.2", log=self.log)
        self.mirror = ArchiveServer(MirrorService(archives), name="mirror", address="127.0.0.3", log=self.log)
        self.servers = (self.snapshot, self.mirror)
        for server in self.servers:
            server.start()

    def close(self) -> None:
        for server in self.servers:
            server.stop()
        self.key.close()

    def reset(self) -> None:
        """Remove all faults and reset the counts, before a test begins."""
        for server in self.servers:
            server.heal()
            server.reset_counts()

    @contextlib.contextmanager
    def showing(self, when: str) -> Iterator[None]:
        """Make the mirror show an earlier state within the context."""
        last = self._timeline.ids[-1]
        self._timeline.publish(last, self.trees[when])
        try:
            yield
        finally:
            self._timeline.publish(last, self.trees[SECOND])

    @property
    def settings(self) -> str:
        """The TOML that declares the repository as an archive, practically without a rate limit."""
        paces = "".join(
            f'[upstreams."{urlsplit(server.url).hostname}"]\nrequests_per_second = 500\nburst = 500\n'
            for server in self.servers
        )
        return (
            f'[archives.{ARCHIVE}]\nfamily = "rpm"\nhistory = "snapshots"\n'
            f'snapshot = ["{self.snapshot.url}/archive/{ARCHIVE}"]\nmirrors = ["{self.mirror.url}/{ARCHIVE}"]\n'
            f'hosts = ["{HOST}/{ARCHIVE}/"]\nkeyrings = ["{self.key.keyring}"]\n{paces}'
        )

    @property
    def row(self) -> Archive:
        """The same archive, for a snapproxy in the test's own process."""
        return Archive(
            ARCHIVE,
            "rpm",
            "snapshots",
            snapshot=(f"{self.snapshot.url}/archive/{ARCHIVE}",),
            mirrors=(f"{self.mirror.url}/{ARCHIVE}",),
            keyrings=(str(self.key.keyring),),
        )

    def configuration(self, folder: Path) -> Path:
        """Write the settings, with stores in `folder`."""
        folder.mkdir(parents=True)
        path = folder / "config.toml"
        path.write_text(f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n{self.settings}')
        return path

    def path_of(self, when: str, part: str) -> str:
        """Return the path of the file of an instant whose path contains `part`.

        A zchunk file is returned only if `part` says so.
        """
        paths = [path for path in self.trees[when].paths() if part in path]
        (path,) = [path for path in paths if path.endswith(".zck") == part.endswith(".zck")]
        return path

    def package(self, when: str, name: str) -> Content:
        """Return the repository's package `name`."""
        found = self.trees[when].get(f"{REPOSITORY}/Packages/{name[0]}/{file_name(name, self.versions[when][name])}")
        assert found is not None
        return found

    def tree(self, when: str, at: str = "") -> FixedTree:
        """Build the repository with the packages of `when`, published at `at` (default: then)."""
        at = at or when
        top = self._folder / f"{when}-{at}"
        if top.exists():
            return FixedTree(files_of(top, epoch(at)))
        for name, version in self.versions[when].items():
            target = top / "Packages" / name[0] / file_name(name, version)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(build(self._folder, name, version, self._fields.get(name, "")).read_bytes())
        dated = ("--revision", str(epoch(at)), "--set-timestamp-to-revision")
        _run("createrepo_c", "--quiet", *dated, *_TOOLS[when], str(top))
        repomd = top / "repodata" / "repomd.xml"
        repomd.with_suffix(".xml.asc").write_bytes(self.key.detached(repomd.read_bytes(), at=at))
        repomd.with_suffix(".xml.key").write_bytes(self.public_key.read_bytes())
        return FixedTree(files_of(top, epoch(at)))


def file_name(name: str, version: str) -> str:
    return f"{name}-{version}.noarch.rpm"


def files_of(top: Path, modified: int) -> Mapping[str, Content]:
    """Return every file below `top`, by its path in the archive."""
    files = (each for each in sorted(top.rglob("*")) if each.is_file())
    return {f"{REPOSITORY}/{each.relative_to(top)}": Content(each.read_bytes(), modified) for each in files}


@functools.cache
def build(folder: Path, name: str, version: str, fields: str = "") -> Path:
    """Build one package in `folder`, with further lines of its spec file, and return its file."""
    number, _, release = version.partition("-")
    top = folder / f"build-{name}-{version}"
    top.mkdir()
    spec = top / f"{name}.spec"
    spec.write_text(_SPEC.format(name=name, version=number, release=release, fields=fields))
    macros = {"_topdir": top, "_dbpath": top / "db", "_build_id_links": "none"}
    defines = [word for key, value in macros.items() for word in ("--define", f"{key} {value}")]
    _run("rpmbuild", "-bb", "--quiet", *defines, str(spec))
    return top / "RPMS" / "noarch" / file_name(name, version)


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

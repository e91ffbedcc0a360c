"""Build a Debian-shaped archive at one instant from packages: pool, indexes, by-hash, signed roots.

Genuine packages keep their genuine stanzas, so a suite published here differs from Debian's own in its selection and in
its signature, which a test key makes.
"""

from __future__ import annotations

import gzip
import lzma
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from tests.fakes.content import Content, FixedTree, Package, epoch, parse_stanza
from tests.fakes.signing import SigningKey


@dataclass(frozen=True)
class SuitePlan:
    """The content of one suite. `valid_for` (seconds) adds Valid-Until; `headers` adds or replaces Release fields."""

    name: str
    packages: tuple[Package, ...]
    origin: str = "Debian"
    label: str = "Debian"
    component: str = "main"
    valid_for: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Publisher:
    """Publishes suites signed with one key."""

    def __init__(self, key: SigningKey) -> None:
        self.key = key

    def tree(self, at: str, suites: Iterable[SuitePlan]) -> FixedTree:
        """Return the archive's whole tree after publishing these suites at the instant `at`."""
        files: dict[str, Content] = {}
        packages: dict[tuple[str, str, str], Package] = {}
        for suite in suites:
            files |= self._suite(at, suite)
            for package in suite.packages:
                files |= package.files
                packages[package.name, package.version, package.architecture] = package
        return FixedTree(files, tuple(packages.values()))

    def _suite(self, at: str, suite: SuitePlan) -> dict[str, Content]:
        instant = epoch(at)
        binaries = [package for package in suite.packages if not package.is_source]
        sources = [package for package in suite.packages if package.is_source]
        indexes = {
            **_compressed(f"{suite.component}/binary-amd64/Packages", binaries),
            **_compressed(f"{suite.component}/source/Sources", sources),
        }
        release = _release(at, suite, indexes)
        folder = f"dists/{suite.name}"
        files = {
            f"{folder}/Release": release,
            f"{folder}/Release.gpg": self.key.detached(release, at=at),
            f"{folder}/InRelease": self.key.clear(release, at=at),
        }
        contents = {path: Content(data, instant) for path, data in files.items()}
        for name, data in indexes.items():
            content = Content(data, instant)
            # Debian lists the uncompressed index in Release and does not serve it under its own name.
            if name.endswith((".xz", ".gz")):
                contents[f"{folder}/{name}"] = content
                contents[f"{folder}/{name.rpartition('/')[0]}/by-hash/SHA256/{content.sha256}"] = content
        return contents


def _compressed(name: str, packages: Iterable[Package]) -> dict[str, bytes]:
    plain = "".join(f"{package.stanza}\n\n" for package in packages).encode()
    return {name: plain, f"{name}.gz": gzip.compress(plain, mtime=0), f"{name}.xz": lzma.compress(plain)}


def _release(at: str, suite: SuitePlan, indexes: Mapping[str, bytes]) -> bytes:
    published = datetime.fromtimestamp(epoch(at), UTC)
    fields = {
        "Origin": suite.origin,
        "Label": suite.label,
        "Suite": suite.name,
        "Codename": suite.name,
        "Date": _rfc2822(published),
        "Acquire-By-Hash": "yes",
        "Architectures": "amd64",
        "Components": suite.component,
        "Description": "Simulated from genuine packages",
    }
    if suite.valid_for is not None:
        fields["Valid-Until"] = _rfc2822(datetime.fromtimestamp(epoch(at) + suite.valid_for, UTC))
    contents = {name: Content(data) for name, data in indexes.items()}
    for heading, algorithm in (("MD5Sum", "md5"), ("SHA256", "sha256")):
        rows = (f"\n {each.digests[algorithm]} {each.size:8d} {name}" for name, each in contents.items())
        fields[heading] = "".join(rows)
    fields |= suite.headers
    return "".join(
        f"{key}:{value}\n" if value.startswith("\n") else f"{key}: {value}\n" for key, value in fields.items()
    ).encode()


def _rfc2822(when: datetime) -> str:
    return format_datetime(when).replace("+0000", "UTC")


def repacked(package: Package, suffix: str, *, modified: int) -> Package:
    """Return `package` rebuilt by dpkg-deb under a higher version.

    The result is NOT genuine; it is used if there is no genuine second version.
    """
    version = package.version + suffix
    with tempfile.TemporaryDirectory() as folder:
        tree, target = Path(folder, "tree"), Path(folder, "new.deb")
        original = next(iter(package.files.values())).source
        subprocess.run(
            ["dpkg-deb", "--raw-extract", str(original), str(tree)], check=True, capture_output=True, timeout=60
        )
        control = tree / "DEBIAN/control"
        control.write_text(control.read_text().replace(f"Version: {package.version}", f"Version: {version}"))
        command = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(target)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        content = Content(target.read_bytes(), modified)
    path = package.path.replace(
        package.version.partition(":")[2] or package.version, version.partition(":")[2] or version
    )
    changed = {
        "Version": version,
        "Filename": path,
        "Size": str(content.size),
        "MD5sum": content.digests["md5"],
        "SHA256": content.sha256,
    }
    fields = {**parse_stanza(package.stanza), **changed}
    return Package("\n".join(f"{key}: {value}" for key, value in fields.items()), {path: content})

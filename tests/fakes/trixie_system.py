"""Small trixie systems with one program each, for programs that are too old in the machine's own release.

They are made from genuine packages of the machine's own mirror: the closure of the program, unpacked and not
configured, is enough to run it under chroot. Measured for apt 3: 29 packages, 13 MB fetched, 55 MB unpacked, about six
seconds cold; for pacman 7: 89 packages, 27 MB, 88 MB and seven seconds. Later runs reuse them from the tests' cache.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.fakes import genuine
from tests.fakes.apt_root import AptRoot
from tests.fakes.closure import closure

_SUITE = "trixie"
_NULL = os.makedev(1, 3)


def trixie_system(label: str, *packages: str) -> Path:
    """Return an unpacked system with `packages`, creating it if the cache has none."""
    suite = replace(genuine.main_suite(), name=_SUITE)
    target = genuine.remembered(f"{label}-system", [suite]).with_suffix("")
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}")
        # base-files contains the links of the merged /usr and must come first.
        for stanza in sorted(
            closure(suite, *packages, "base-files", "dpkg"),
            key=lambda text: not text.startswith("Package: base-files\n"),
        ):
            package = next(iter(genuine.binary(suite, stanza).files.values())).source
            subprocess.run(["dpkg-deb", "-x", str(package), str(part)], check=True, capture_output=True, timeout=60)
        (part / "private").mkdir()
        _null_device(part / "dev/null")
        with contextlib.suppress(OSError):
            part.rename(target)
        shutil.rmtree(part, ignore_errors=True)
    return target


def _null_device(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.mknod(path, 0o666 | stat.S_IFCHR, _NULL)
        path.chmod(0o666)
    else:
        path.touch()


@contextlib.contextmanager
def private_folder(system: Path, name: str) -> Iterator[Path]:
    """Yield a folder inside `system` that its programs can access."""
    folder = system / "private" / f"{name}-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def apt3_root(name: str) -> Iterator[AptRoot]:
    """Yield a private root whose programs are apt 3."""
    system = trixie_system("apt3", "apt")
    with private_folder(system, name) as folder:
        yield AptRoot(folder, chroot=system)

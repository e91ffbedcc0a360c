"""Small trixie systems that hold one program each, for what the machine's own release is too old for.

Made from genuine packages of the machine's own mirror: the closure of the program, unpacked and not configured, is all that it needs to
run under chroot. Measured for apt 3: 29 packages, 13 MB fetched, 55 MB unpacked, about six seconds cold; for pacman 7: 89, 27 MB, 88 MB and seven.
Afterwards they stand ready in the tests' cache.
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
    """Return an unpacked system that holds `packages`, making it first when the cache does not hold it."""
    suite = replace(genuine.main_suite(), name=_SUITE)
    target = genuine.remembered(f"{label}-system", [suite]).with_suffix("")
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}")
        # base-files brings the links of the merged /usr and must come first.
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
    """Lend a folder inside `system`, where its programs can see it."""
    folder = system / "private" / f"{name}-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def apt3_root(name: str) -> Iterator[AptRoot]:
    """Lend a private root whose programs are apt 3."""
    system = trixie_system("apt3", "apt")
    with private_folder(system, name) as folder:
        yield AptRoot(folder, chroot=system)

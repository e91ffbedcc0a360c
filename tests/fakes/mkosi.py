"""mkosi in the version of Debian's sid: the machine's own version has no `Snapshot=` yet.

It is plain Python, so its package needs unpacking only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from tests.fakes import genuine
from tests.fakes.apt_root import Outcome


def unpacked() -> Path:
    """Return the folder that contains the package, creating it if the cache has none."""
    suite = replace(genuine.main_suite(), name="sid")
    target = genuine.remembered("mkosi", [suite]).with_suffix("")
    if not target.exists():
        package = genuine.binary(suite, genuine.index(suite)["mkosi"][-1])
        part = target.with_suffix(f".{os.getpid()}")
        deb = next(iter(package.files.values())).source
        subprocess.run(["dpkg-deb", "-x", str(deb), str(part)], check=True, capture_output=True, timeout=60)
        with contextlib.suppress(OSError):
            part.rename(target)
        shutil.rmtree(part, ignore_errors=True)
    return target


def mkosi(folder: Path, *arguments: str) -> Outcome:
    """Run mkosi on the `mkosi.conf` in `folder`, to its end."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder),
        "PYTHONPATH": str(unpacked() / "usr/lib/python3/dist-packages"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "mkosi", *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)

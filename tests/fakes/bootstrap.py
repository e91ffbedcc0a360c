"""Run the tools that build roots and images, without any setting of the machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.fakes.five_states import FiveStates
from tests.fakes.world import RootWorld

EPOCH = "1717200000"
"""The date of every built file."""

_MERGED = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"


def tool(*command: str, **environment: str) -> str:
    """Run a tool to its end and return its output."""
    fixed = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    done = subprocess.run(
        command, env={**fixed, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def mmdebstrap(
    world: RootWorld | FiveStates,
    target: Path,
    mirror: str,
    *options: str,
    variant: str = "essential",
    **environment: str,
) -> None:
    """Build a root. The world has no `usrmerge`, so the root is merged from the start, by mmdebstrap's own hook."""
    fixed = [f"--variant={variant}", f"--keyring={world.key.keyring}", f"--hook-dir={_MERGED}"]
    # apt's own user cannot read pytest's folders.
    fixed += ['--aptopt=APT::Sandbox::User "root"', '--aptopt=Acquire::Check-Valid-Until "false"']
    tool("mmdebstrap", *fixed, *options, world.codename, str(target), mirror, **environment)


class Buildah:
    """buildah with its images in a folder of its own, isolated by chroot only, so that it runs wherever root can."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def base(self, root: Path, name: str) -> None:
        """Make an image of a root in a tar file."""
        container = self._run("from", "scratch").strip()
        self._run("add", "--quiet", container, str(root), "/")
        self._run("commit", "--quiet", f"--timestamp={EPOCH}", container, name)

    def build(self, dockerfile: Path, *, context: Path | None = None, volume: str = "", **build_args: str) -> list[str]:
        """Build an image, and return the digests of its layers. `volume`: a mount while it builds, SOURCE:TARGET:ro."""
        options = ["--isolation=chroot", f"--timestamp={EPOCH}", *([f"--volume={volume}"] if volume else [])]
        options += [f"--build-arg={name}={value}" for name, value in build_args.items()]
        where = str(context or self._folder)
        self._run("bud", *options, "--layers", "--pull-never", "--tag=built", f"--file={dockerfile}", where)
        layers: list[str] = json.loads(self._run("inspect", "--type=image", "built"))["OCIv1"]["rootfs"]["diff_ids"]
        return layers

    def manifest(self) -> str:
        """Return the digest of the manifest of the image that was built."""
        layout = self._folder / "layout"
        self._run("push", "--quiet", "built", f"oci:{layout}:built")
        (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
        return str(entry["digest"])

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Path]:
        """Yield the root of the image that was built."""
        container = self._run("from", "--pull-never", "built").strip()
        yield Path(self._run("mount", container).strip())
        self._run("umount", container)

    def _run(self, *arguments: str) -> str:
        stores = [f"--root={self._folder}/root", f"--runroot={self._folder}/run", "--storage-driver=vfs"]
        return tool("buildah", *stores, *arguments, TMPDIR=str(self._folder))

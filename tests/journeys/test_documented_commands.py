"""Commands of the pages, run in their order against the simulated archive, with nothing changed but the settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.fakes import proxy as snapproxy_process
from tests.fakes.documented import RUN
from tests.fakes.proxy import configuration
from tests.fakes.world import World

pytestmark = [pytest.mark.journey, pytest.mark.long]

MAKEFILE = """\
image:
	curl --fail --silent --show-error http://ftp.debian.org/debian/dists/{codename}/InRelease --output InRelease
	curl --fail --silent --show-error http://ftp.debian.org/debian/{package} --output package.deb
	tar --create --sort=name --mtime=@0 --file=image.tar InRelease package.deb
"""
"""The build of a user, who builds with `make image`."""


def test_the_documented_commands_work(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command needs those before it, as on the pages."""
    settings = configuration(tmp_path / "snapproxy", world)
    folder = tmp_path / "project"
    folder.mkdir()
    package = next(each for each in world.first.debian.packages if each.name == "liblzma5")
    (folder / "Makefile").write_text(MAKEFILE.format(codename=world.codename, package=package.path))
    monkeypatch.chdir(folder)
    for line in RUN:
        done = snapproxy_process.run(*shlex.split(line)[1:], extra={"SNAPPROXY_CONFIG": str(settings)})
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        for output in re.findall(r"--(?:output|lock|summary|output-dir) (\S+)", line):
            assert (folder / output).exists(), line

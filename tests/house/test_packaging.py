"""Versions, the wheel, units, the image, and words that must not appear anywhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from snapproxy import __version__
from snapproxy.cli.parser import parse
from snapproxy.cli.verbs import VERBS
from snapproxy.config import load

#: Assembled here, so that this file does not contain them. The CDN is matched by pattern; registries are not named.
FORBIDDEN = ["deb." + "debian.org", "pypi." + "org", "python" + "hosted", "registry." + "npmjs", "../" + "shared"]


def test_one_version(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    assert project["scripts"]["snapproxy"] == "snapproxy.cli:main"


def test_the_changelog_has_a_place_for_what_comes(root: Path) -> None:
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text


def test_the_licence_is_the_one_that_is_declared(root: Path) -> None:
    assert "Apache License\n                           Version 2.0" in (root / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("word", FORBIDDEN)
def test_forbidden_words_are_absent(word: str, project_files: list[Path]) -> None:
    assert [str(file) for file in project_files if word.encode() in file.read_bytes()] == []


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel that is built from a copy of the sources, without network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    for name in ("snapproxy", "storage"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*command, "--wheel-dir", target, source], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = target.glob("*.whl")
    return zipfile.ZipFile(file).namelist()


def test_the_wheel_takes_no_name_but_its_own(wheel: list[str]) -> None:
    """A package named `storage` would hide another one of that name in the site-packages of a user."""
    tops = {name.partition("/")[0] for name in wheel}
    assert tops == {"snapproxy", "snapproxy_storage", f"snapproxy-{__version__}.dist-info"}


def test_the_wheel_has_every_module_and_the_script(root: Path, wheel: list[str]) -> None:
    modules = [file.relative_to(root).as_posix() for file in (root / "snapproxy").rglob("*.py")]
    modules += [file.relative_to(root / "storage").as_posix() for file in (root / "storage").rglob("*.py")]
    packed = {name for name in wheel if ".dist-info/" not in name}
    pages = root / "snapproxy/pages"
    data = [file for folder in ("static", "templates") for file in (pages / folder).iterdir()]
    others = {"snapproxy/client_config/pin.sh", *(file.relative_to(root).as_posix() for file in data)}
    assert packed == {*modules, *others}


def test_the_debian_package_has_the_version_and_every_dependency(root: Path) -> None:
    """`debian/fetch-wheels --lock FOLDER` writes the list of bundled wheels again."""
    changelog = (root / "debian/changelog").read_text(encoding="utf-8")
    assert changelog.startswith(f"snapproxy ({__version__}) ")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wheels = (root / "debian/wheels.txt").read_text(encoding="utf-8")
    bundled = {canonicalize_name(name): version for name, version in re.findall(r"^(\S+)==(\S+)", wheels, re.MULTILINE)}
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(bundled[canonicalize_name(requirement.name)]), requirement
    assert len(re.findall("--hash=sha256:[0-9a-f]{64}", wheels)) >= len(bundled)


PROGRAM = "/opt/snapproxy/bin/snapproxy"
"""The program that the service starts."""


SERVICES = ["snapproxy", "snapproxy-gc", "snapproxy-fsck"]


@pytest.fixture
def units(root: Path, tmp_path: Path) -> Path:
    """Copies of the units that start a program which exists on every machine."""
    for file in (root / "systemd").glob("snapproxy*"):
        text = file.read_text(encoding="utf-8").replace(f"={PROGRAM} ", f"={sys.executable} ")
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    return tmp_path


def unit_of(root: Path, name: str) -> str:
    return (root / "systemd" / name).read_text(encoding="utf-8")


def test_systemd_finds_no_fault_in_the_units(units: Path) -> None:
    names = sorted(file for file in units.iterdir() if file.suffix in {".service", ".socket", ".timer"})
    assert len(names) == 6
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_the_services_are_hardened(units: Path, name: str) -> None:
    """systemd's own measure of exposure, 0 (none) to 10, is below 2."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=19", units / f"{name}.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_a_verb_as_the_user_that_is_made(root: Path, name: str) -> None:
    service = unit_of(root, f"{name}.service")
    for command in re.findall(rf"^Exec\w+={PROGRAM} (.*)$", service, re.MULTILINE):
        words = shlex.split(command)
        assert words[0] not in VERBS or parse(words).verb
    assert "User=snapproxy\n" in service
    assert re.search(r"^u snapproxy ", unit_of(root, "snapproxy.sysusers.conf"), re.MULTILINE)
    folders = unit_of(root, "snapproxy.tmpfiles.conf")
    assert re.search(r"^d /var/lib/snapproxy +0700 snapproxy snapproxy", folders, re.MULTILINE)


def test_every_service_may_do_the_same(root: Path) -> None:
    """The lines about folders, privileges and system calls are equal, apart from the network."""

    def rules(name: str) -> set[str]:
        found = unit_of(root, f"{name}.service").partition("StateDirectory=")[2].partition("[Install]")[0]
        lines = {line for line in found.splitlines() if line and not line.startswith("#")}
        return {line for line in lines if not line.startswith(("RestrictAddressFamilies=", "PrivateNetwork="))}

    assert len(rules("snapproxy")) > 25
    assert rules("snapproxy") == rules("snapproxy-gc") == rules("snapproxy-fsck")


def test_each_timer_has_its_service(root: Path) -> None:
    timers = {file.stem for file in (root / "systemd").glob("*.timer")}
    assert timers == {"snapproxy-gc", "snapproxy-fsck"}
    assert all((root / "systemd" / f"{name}.service").exists() for name in timers)


def test_the_service_may_take_as_long_to_stop_as_the_default_drain(root: Path, tmp_path: Path) -> None:
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit_of(root, "snapproxy.service"), re.MULTILINE)
    assert int(stop) >= load(None, {"HOME": str(tmp_path)}).drain + 15


def test_the_guide_installs_every_unit_and_the_program_that_they_start(root: Path) -> None:
    """A unit that looks for a program elsewhere is "not executable"."""
    guide = (root / "docs" / "install.md").read_text(encoding="utf-8").partition("## As a service")[2]
    assert f"sudo /usr/bin/python3 -m venv {Path(PROGRAM).parents[1]}\n" in guide
    assert f"sudo {Path(PROGRAM).parent}/pip install .\n" in guide
    assert {file.name for file in (root / "systemd").iterdir()} == set(
        re.findall(r"systemd/(snapproxy[-a-z]*\.[a-z.]+)", guide)
    )


def _instructions(root: Path) -> list[tuple[str, str]]:
    text = (root / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_image_is_small_unprivileged_and_watched(root: Path) -> None:
    found = _instructions(root)
    last = dict(found)
    assert [value for name, value in found if name == "FROM"] == ["${BASE} AS build", "${BASE}"]
    assert found[0] == ("ARG", "BASE=docker.io/library/debian:bookworm-slim")
    assert last["USER"] == "65532:65532"
    assert last["WORKDIR"] == "/data", "the only writable folder, if --read-only has no temporary file system"
    assert [value for name, value in found if name == "VOLUME"] == ["/data"]
    health = json.loads(last["HEALTHCHECK"].partition("CMD ")[2])
    compile(health[2], "HEALTHCHECK", "exec")
    assert "/healthz" in health[2]
    assert parse([*json.loads(last["CMD"])]).verb
    for value in (value for name, value in found if name == "COPY" and not value.startswith("--from")):
        assert all((root / source).exists() for source in value.split()[:-1]), value


def test_the_images_settings_are_settings(root: Path, tmp_path: Path) -> None:
    environ = dict(pair.split("=", 1) for name, value in _instructions(root) if name == "ENV" for pair in value.split())
    ours = {name: value for name, value in environ.items() if name.startswith("SNAPPROXY_")}
    config = load(None, {"HOME": str(tmp_path), **ours})
    assert config.listen == (("0.0.0.0", 3142),)
    assert {config.state_dir.parent, config.cache_dir.parent} == {Path("/data")}


@pytest.mark.parametrize("name", ["run", "packages"])
def test_scripts_are_executable_and_parse(root: Path, name: str) -> None:
    script = root / ".ci" / name
    assert script.stat().st_mode & 0o111 == 0o111
    subprocess.run(["bash", "-n", script], check=True)


def test_a_user_without_root_gets_the_names_of_missing_packages(root: Path, tmp_path: Path) -> None:
    """One line is printed and nothing is installed. EUID cannot be set in bash, so its condition is replaced."""
    script = tmp_path / "packages"
    script.write_text(
        (root / ".ci" / "packages").read_text(encoding="utf-8").replace("EUID != 0", "1"), encoding="utf-8"
    )
    done = subprocess.run(
        ["bash", script, "dpkg", "no-such-package", "--", "no-such-keyring"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "sudo apt-get install no-such-package\n" in done.stderr
    assert subprocess.run(["bash", script, "dpkg"], check=False).returncode == 0


def test_make_prints_its_targets(root: Path) -> None:
    printed = subprocess.run(["make", "--silent"], cwd=root, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in printed.splitlines()] == [
        "help",
        "run",
        "test",
        "test-long",
        "soak",
        "faults",
        "clients",
        "pictures",
        "docs",
        "check",
        "fix",
        "bench",
        "manuals",
        "deb",
    ]

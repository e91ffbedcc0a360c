"""Real dnf 4 and zypper at two instants of a repository whose history only snapproxy has.

They install, update, and go back in time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snapproxy.client_config import rpm
from snapproxy.core.time_spec import parse_time
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.rpm_root import RELEASE, DnfRoot, ZypperRoot, installed
from tests.fakes.rpm_world import ARCHIVE, HOST, REPOSITORY, VERSIONS, RpmWorld
from tests.fakes.world import FIRST, SECOND

pytestmark = pytest.mark.journey
FOLDER = f"updates/{RELEASE}/Everything/x86_64"


@dataclass(frozen=True)
class Observed:
    """A proxy that observed the repository twice and has no upstream any more; `instants` are oldest first."""

    proxy: Snapproxy
    instants: tuple[str, str]

    def versions(self, when: str) -> dict[str, str]:
        return VERSIONS[FIRST if when == self.instants[0] else SECOND]

    @property
    def there_and_back(self) -> tuple[str, ...]:
        return (*self.instants, self.instants[0])


@pytest.fixture
def observed(rpm_world: RpmWorld, tmp_path: Path) -> Iterator[Observed]:
    file = rpm_world.configuration(tmp_path / "snapproxy")
    settings = file.read_text().replace('history = "snapshots"', 'history = "captured"')
    file.write_text("".join(line for line in settings.splitlines(keepends=True) if not line.startswith("snapshot =")))
    instants = []
    root = f"{REPOSITORY}/repodata/repomd.xml"
    for state in (FIRST, SECOND):
        rpm_world.log.reset_counts()
        with rpm_world.showing(state):
            said = run("observe", ARCHIVE, root, "--packages", "all", "--json", "--config", str(file))
        assert said.returncode == 0, said.stderr
        told = json.loads(said.stdout)
        assert told["packages"] == 2, "by SHA-512 alone as well, as the second state promises them"
        brought = [each.path for each in rpm_world.log.requests() if "repomd" not in each.path]
        assert len(brought) == len(set(brought)), "each file came once"
        instants.append(told["instant"])
        time.sleep(1.1)
    rpm_world.log.reset_counts()
    with Snapproxy(file) as process:
        yield Observed(process, (instants[0], instants[1]))
    assert rpm_world.log.requests() == [], "the past is known here alone"


def untouched(world: RpmWorld) -> str:
    url = f"http://{HOST}/{ARCHIVE}/{FOLDER}"
    return (
        f"[t]\nname=t\nbaseurl={url}\nenabled=1\nautorefresh=1\ngpgcheck=0\nrepo_gpgcheck=1\n"
        f"metadata_expire=0\ngpgkey=file://{world.public_key}\n"
    )


def mirror(world: RpmWorld, observed: Observed, when: str, form: str) -> str:
    text = rpm.FORMS[form](rpm.RpmOptions(ARCHIVE, FOLDER, parse_time(when), observed.proxy.url))[0].text
    return text.replace("gpgcheck=1", f"gpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://{world.public_key}")


def test_dnf_installs_updates_and_goes_back(rpm_world: RpmWorld, observed: Observed, tmp_path: Path) -> None:
    root = DnfRoot(tmp_path / "dnf")
    for when in observed.there_and_back:
        root.repository(mirror(rpm_world, observed, when, "mirror"))
        outcome = root.dnf("distro-sync") if installed(root.root) else root.dnf("install", "hello", "steady")
        assert outcome.code == 0, outcome.text
        assert installed(root.root) == observed.versions(when)


def test_zypper_installs_updates_and_goes_back(rpm_world: RpmWorld, observed: Observed, tmp_path: Path) -> None:
    root = ZypperRoot(tmp_path / "zypper")
    for when in observed.there_and_back:
        root.repository(mirror(rpm_world, observed, when, "zypper"))
        refresh = root.zypper("refresh", "--force")
        assert refresh.code == 0, refresh.text
        verb = ("dist-upgrade", "--allow-downgrade") if installed(root.folder) else ("install", "hello", "steady")
        outcome = root.zypper(*verb)
        assert outcome.code == 0, outcome.text
        assert installed(root.folder) == observed.versions(when)


def test_a_407_pins_both_with_their_repositories_untouched(
    rpm_world: RpmWorld, observed: Observed, tmp_path: Path
) -> None:
    """Neither sends the time before the 407, and neither gets the present state instead."""
    dnf, zypper = DnfRoot(tmp_path / "dnf"), ZypperRoot(tmp_path / "zypper")
    dnf.repository(untouched(rpm_world))
    zypper.repository(untouched(rpm_world))
    for number, when in enumerate(observed.there_and_back):
        time.sleep(1.1)  # dnf counts the age of its files in whole seconds
        http_proxy = observed.proxy.proxy(when)
        first, later = (("install", "hello", "steady"), ("distro-sync",))
        outcome = dnf.dnf(*(later if number else first), http_proxy=http_proxy)
        assert outcome.code == 0, outcome.text
        refresh = zypper.zypper("refresh", "--force", http_proxy=http_proxy)
        assert refresh.code == 0, refresh.text
        later = ("dist-upgrade", "--allow-downgrade")
        outcome = zypper.zypper(*(later if number else first), http_proxy=http_proxy)
        assert outcome.code == 0, outcome.text
        assert installed(dnf.root) == installed(zypper.folder) == observed.versions(when)
    assert observed.proxy.log.count(" 407 ") >= 6

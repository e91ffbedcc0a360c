"""apk at two instants of an Alpine-like archive whose history only snapproxy has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.alpine import RsaKey, package, repository
from tests.fakes.apk_root import Apk, ApkFailedError, apk_in
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import FixedTree, Timeline, epoch
from tests.fakes.proxy import Snapproxy, run
from tests.fakes.services import MirrorService

pytestmark = pytest.mark.journey

BRANCH = "v3.99"
INDEXES = tuple(f"{BRANCH}/{component}/x86_64/APKINDEX.tar.gz" for component in ("main", "community"))


class Observed:
    """The present archive behind a mirror, and a configuration that observes it."""

    def __init__(self, folder: Path) -> None:
        self.key = RsaKey("test@example.org-1.rsa.pub")
        self.keys = self.key.write(folder / "keys").parent
        self._shown = Timeline()
        self.mirror = ArchiveServer(MirrorService({"alpine": self._shown}), name="mirror", address="127.0.0.6")
        self.mirror.start()
        self.file = folder / "config.toml"
        self.file.write_text(
            f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n'
            f'[archives.alpine]\nfamily = "apk"\nhistory = "captured"\nmirrors = ["{self.mirror.url}/alpine"]\n'
            f'hosts = ["dl.example.org/alpine"]\nkeyrings = ["{self.keys}"]\n'
            '[upstreams."127.0.0.6"]\nconnections = 8\nrequests_per_second = 500\nburst = 500\n'
        )

    def publish(self, when: str, main: dict[str, str], community: dict[str, str], body: bytes | None = None) -> None:
        """Publish these packages (name to version) and no others; `body` is the content of those of `community`."""
        files = {}
        for component, packages, content in (("main", main, None), ("community", community, body)):
            built = [package(name, version, self.key, content) for name, version in packages.items()]
            folder = f"{BRANCH}/{component}/x86_64"
            files |= repository(built, self.key, folder=folder, modified=epoch(when)).files
        self._shown.publish(when, FixedTree(files))

    def observe(self, packages: str) -> str:
        """Run `snapproxy observe`; return the instant it observed."""
        done = run("observe", "alpine", *INDEXES, "--packages", packages, "--json", "--config", str(self.file))
        assert done.returncode == 0, done.stderr
        instant: str = json.loads(done.stdout)["instant"]
        return instant


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[Observed]:
    observed = Observed(tmp_path)
    yield observed
    observed.mirror.stop()
    assert not observed.mirror.errors


@pytest.fixture
def apk(observed: Observed, tmp_path: Path) -> Apk:
    return apk_in(tmp_path / "root", observed.keys)


def at(proxy: Snapproxy, when: str) -> list[str]:
    return [f"{proxy.url}/alpine/{when}/{BRANCH}/{component}" for component in ("main", "community")]


def test_what_upstream_deleted_and_rebuilt_still_installs_at_the_instant_it_was_seen(
    observed: Observed, apk: Apk
) -> None:
    observed.publish("20240601T000000Z", {"hello": "1.0-r0", "gone": "1-r0"}, {"built": "1-r0"})
    first = observed.observe("all")
    observed.publish("20240602T000000Z", {"hello": "1.1-r0"}, {"built": "1-r0"}, b"with other bytes\n")
    second = observed.observe("all")
    observed.mirror.stop()  # only the store has the state of either instant
    with Snapproxy(observed.file) as proxy:
        apk.repositories(*at(proxy, second))
        apk.update()
        apk.add("hello", "built")
        assert (apk.read("hello"), apk.read("built")) == ("hello 1.1-r0\n", "with other bytes\n")
        with pytest.raises(ApkFailedError, match="no such package"):
            apk.add("gone")
        apk.repositories(*at(proxy, first))
        apk.update()
        apk.upgrade()
        apk.add("gone")
        assert (apk.read("hello"), apk.read("built")) == ("hello 1.0-r0\n", "built 1-r0\n")
        assert apk.read("gone") == "gone 1-r0\n"
    observed.mirror.start()


def test_what_a_live_client_installed_is_there_for_the_next_one(observed: Observed, apk: Apk, tmp_path: Path) -> None:
    """No scheduled observation: the client's own update was observed, and its package is kept."""
    observed.publish("20240601T000000Z", {"gone": "1-r0"}, {"built": "1-r0"})
    with Snapproxy(observed.file) as proxy:
        apk.repositories(*at(proxy, "live"))
        apk.update()
        apk.add("gone")
        first = observed.observe("used")
        observed.publish("20240602T000000Z", {}, {})
        observed.observe("used")
        later = apk_in(tmp_path / "later", observed.keys)
        later.repositories(*at(proxy, first))
        later.update()
        later.add("gone")
        assert later.read("gone") == "gone 1-r0\n"
        with pytest.raises(ApkFailedError):
            later.add("built")  # listed then, and never fetched

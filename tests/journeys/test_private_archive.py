"""A real apt, without any login, reads an archive whose server demands one."""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.apt_root import AptRoot
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Timeline
from tests.fakes.forms import sources, trouble
from tests.fakes.proxy import Snapproxy, configuration, run
from tests.fakes.services import MirrorService
from tests.fakes.world import World

pytestmark = pytest.mark.journey

SECRET = "C1a2b3"
HEADER = "Basic " + base64.b64encode(f"bearer:{SECRET}".encode()).decode()


@pytest.fixture
def configured(world: World, private: ArchiveServer, tmp_path: Path) -> Path:
    """The configuration of a private archive; its login is in a file as Ubuntu Pro writes it."""
    file = configuration(tmp_path / "snapproxy", world)
    login = tmp_path / "esm.auth"
    login.write_text(f"machine {private.url}/esm/ login bearer password {SECRET}\n", encoding="utf-8")
    login.chmod(0o600)
    with file.open("a", encoding="utf-8") as out:
        out.write(
            f'[archives.esm]\nfamily = "apt"\nhistory = "captured"\nmirrors = ["{private.url}/esm"]\n'
            f'keyrings = ["{world.key.keyring}"]\ncredentials = "file:{login}"\n'
        )
    return file


@pytest.fixture
def private(world: World) -> Iterator[ArchiveServer]:
    """A mirror that demands a login."""
    shown = Timeline()
    shown.publish("20240601T000000Z", world.first.debian)
    with ArchiveServer(MirrorService({"esm": shown}), name="private", address="127.0.0.7") as server:
        server.authorization = HEADER
        yield server
        assert not server.errors


def test_apt_installs_from_a_private_archive_and_the_secret_appears_nowhere(
    world: World, private: ArchiveServer, configured: Path, apt_root: Callable[[str], AptRoot]
) -> None:
    with Snapproxy(configured) as at:
        root = sources(apt_root("apt"), world, f"{at.url}/esm/live")
        update = root.update()
        assert (update.code, trouble(update.text)) == (0, []), update.text
        download = root.download(*world.wanted)
        assert download.code == 0, download.text
        assert {each.headers.get("authorization") for each in private.requests()} == {HEADER}
        with urllib.request.urlopen(f"{at.url}/-/stats", timeout=10) as answer:
            stats = answer.read().decode()
        log = at.log
    shown = run("config", "show", "--config", str(configured))
    for text in (stats, log, shown.stdout, update.text):
        assert SECRET not in text
        assert HEADER.split()[1] not in text


def test_apt_prints_which_login_is_wrong(
    world: World, private: ArchiveServer, configured: Path, apt_root: Callable[[str], AptRoot]
) -> None:
    private.authorization = "Bearer another"
    with Snapproxy(configured) as at:
        update = sources(apt_root("apt"), world, f"{at.url}/esm/live").update()
    assert update.code == 100
    assert "424  Upstream refuses the login (401): see `credentials` of esm" in update.text

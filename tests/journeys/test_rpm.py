"""Real dnf 4 and zypper at two instants of a repository that createrepo_c made.

They go forward and back in time, and are pinned by a 407.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest

from snapproxy.client_config import Snippet, rpm
from snapproxy.core.time_spec import parse_time
from tests.fakes.content import Content
from tests.fakes.faults import Replace
from tests.fakes.proxy import Snapproxy
from tests.fakes.rpm_root import RELEASE, DnfRoot, ZypperRoot
from tests.fakes.rpm_world import ARCHIVE, HOST, REPOSITORY, VERSIONS, RpmWorld, file_name
from tests.fakes.world import FIRST, SECOND

pytestmark = pytest.mark.journey
Form = Callable[[rpm.RpmOptions], tuple[Snippet, ...]]
THERE_AND_BACK = (FIRST, SECOND, FIRST)
FOLDER = f"updates/{RELEASE}/Everything/x86_64"


@pytest.fixture
def proxy(rpm_world: RpmWorld, tmp_path: Path) -> Iterator[Snapproxy]:
    with Snapproxy(rpm_world.configuration(tmp_path / "snapproxy")) as process:
        yield process


def pinned(form: Form, world: RpmWorld, proxy: Snapproxy, when: str) -> str:
    """Return the text that `sources` prints, changed for unsigned packages in signed metadata."""
    folder = "updates/$releasever/Everything/$basearch" if form is rpm.mirror else FOLDER
    text = form(rpm.RpmOptions(ARCHIVE, folder, parse_time(when), proxy.url))[0].text
    return text.replace("gpgcheck=1", f"gpgcheck=0\nrepo_gpgcheck=1\ngpgkey=file://{world.public_key}")


def untouched(world: RpmWorld) -> str:
    """Return a repository file without any mention of snapproxy."""
    url = f"http://{HOST}/{ARCHIVE}/{FOLDER}"
    return (
        f"[t]\nname=t\nbaseurl={url}\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=1\n"
        f"autorefresh=1\ngpgkey=file://{world.public_key}\n"
    )


def hello(world: RpmWorld, when: str) -> dict[str, bytes]:
    return {file_name("hello", VERSIONS[when]["hello"]): world.package(when, "hello").data}


def get(url: str) -> HTTPResponse:
    return build_opener(ProxyHandler({})).open(url, timeout=30)


def test_dnf_goes_forward_and_back_in_both_forms(rpm_world: RpmWorld, proxy: Snapproxy, tmp_path: Path) -> None:
    """The mirror form uses the text that `sources` prints.

    The proxy form uses unchanged repositories and the time in dnf.conf.
    """
    one, two = DnfRoot(tmp_path / "mirror"), DnfRoot(tmp_path / "proxy")
    two.repository(untouched(rpm_world))
    for when in THERE_AND_BACK:
        time.sleep(1.1)  # dnf counts the age of its files in whole seconds
        (lines,) = rpm.proxy(rpm.RpmOptions(ARCHIVE, "", parse_time(when), proxy.url))
        one.repository(pinned(rpm.mirror, rpm_world, proxy, when))
        two.main(lines.text.replace("[main]\n", ""))
        for root in (one, two):
            outcome = root.download("hello")
            assert outcome.code == 0, outcome.text
            assert root.fetched() == hello(rpm_world, when)
    assert " 407 " not in proxy.log, "dnf was told to send the time at once"
    given = [each for each in rpm_world.log.requests() if each.path.endswith(".rpm") and each.status in (200, 302)]
    assert len(given) == 2, "each version of the package came from upstream once"


def test_zypper_goes_forward_and_back_and_a_407_pins_it(rpm_world: RpmWorld, proxy: Snapproxy, tmp_path: Path) -> None:
    one, two = ZypperRoot(tmp_path / "mirror"), ZypperRoot(tmp_path / "proxy")
    two.repository(untouched(rpm_world))
    for when in THERE_AND_BACK:
        one.repository(pinned(rpm.zypper, rpm_world, proxy, when))
        for root, http_proxy in ((one, ""), (two, proxy.proxy(when))):
            for arguments in (("refresh", "--force"), ("--no-refresh", "download", "hello")):
                outcome = root.zypper(*arguments, http_proxy=http_proxy)
                assert outcome.code == 0, outcome.text
            assert root.available() == VERSIONS[when]
            assert root.fetched().items() >= hello(rpm_world, when).items()
    assert " 407 " in proxy.log, "zypper sends the time only when asked for it"


def test_without_a_time_neither_gets_today(rpm_world: RpmWorld, proxy: Snapproxy, tmp_path: Path) -> None:
    """dnf, which sends the time only on request, is pinned by the 407."""
    http_proxy = f"http://127.0.0.1:{proxy.port}"
    root, other = DnfRoot(tmp_path / "dnf"), ZypperRoot(tmp_path / "zypper")
    root.repository(untouched(rpm_world))
    other.repository(untouched(rpm_world))
    assert root.download("hello", http_proxy=http_proxy).code == 1
    assert other.zypper("refresh", "--force", http_proxy=http_proxy).code == 4
    assert rpm_world.log.requests() == []
    outcome = root.download("hello", http_proxy=proxy.proxy(FIRST))
    assert outcome.code == 0, outcome.text
    assert root.fetched() == hello(rpm_world, FIRST)


@pytest.mark.parametrize("when", [FIRST, SECOND, "live"])
def test_packages_are_vouched_for_by_metadata_named_by_checksum(
    rpm_world: RpmWorld, proxy: Snapproxy, when: str
) -> None:
    """The chain of proof from repomd's signature to the package, with SHA-256 or SHA-512 throughout."""
    state = SECOND if when == "live" else when
    tree = rpm_world.trees[state]
    base = f"{proxy.url}/{ARCHIVE}/{when}"
    primary = rpm_world.path_of(state, "-primary.xml")
    package = f"{REPOSITORY}/Packages/s/{file_name('steady', VERSIONS[state]['steady'])}"
    for _ in range(2):
        for path in (f"{REPOSITORY}/repodata/repomd.xml", primary, package):
            with get(f"{base}/{path}") as answer:
                found = tree.get(path)
                assert found is not None
                assert answer.read() == found.data
                assert answer.headers["X-Snapproxy-Verified"] == "gpg"
        asked, rpm_world.log.entries[:] = list(rpm_world.log.entries), []
    assert asked == [], "what was verified once is not asked for again"


def test_packages_are_vouched_for_by_zchunk_alone(rpm_world: RpmWorld, proxy: Snapproxy) -> None:
    """A client that reads zchunk requests no other format.

    The signed repomd lists both, and both are served unchanged.
    """
    package = f"{REPOSITORY}/Packages/h/{file_name('hello', VERSIONS[FIRST]['hello'])}"
    primary = rpm_world.path_of(FIRST, "-primary.xml.zck")
    for path in (f"{REPOSITORY}/repodata/repomd.xml", primary, package):
        with get(f"{proxy.url}/{ARCHIVE}/{FIRST}/{path}") as answer:
            found = rpm_world.trees[FIRST].get(path)
            assert found is not None
            assert answer.read() == found.data
            assert answer.headers["X-Snapproxy-Verified"] == "gpg"
    assert not [each for each in rpm_world.log.requests() if "primary.xml.gz" in each.path]


@pytest.mark.parametrize("path", ["repodata/filelists.xml.gz", "media.1/media"])
def test_what_a_signed_repomd_does_not_list_is_absent(rpm_world: RpmWorld, proxy: Snapproxy, path: str) -> None:
    with pytest.raises(HTTPError) as refused:
        get(f"{proxy.url}/{ARCHIVE}/{FIRST}/{REPOSITORY}/{path}")
    refused.value.close()
    assert refused.value.code == 404


def test_a_damaged_repomd_is_refused_by_its_signature(rpm_world: RpmWorld, proxy: Snapproxy, tmp_path: Path) -> None:
    path = f"{REPOSITORY}/repodata/repomd.xml"
    content = rpm_world.trees[FIRST].files[path]
    damaged = Content(content.data.replace(b"<revision>", b"<revision> ", 1))
    rpm_world.snapshot.fault(f"{ARCHIVE}/{path}", Replace(damaged))
    root = DnfRoot(tmp_path / "dnf")
    root.repository(pinned(rpm.mirror, rpm_world, proxy, FIRST))
    outcome = root.download("hello")
    assert outcome.code == 1
    assert "424" in outcome.text

"""The texts for pacman: the mirrorlist is read by pacman itself, the edits are run by sed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from snapproxy.client_config.pacman import FORMS, MIRRORLIST, OWN_FORMS, SETTINGS, PacmanOptions
from snapproxy.client_config.snippets import Snippet
from snapproxy.core.time_spec import parse_time

BASE = "http://127.0.0.1:4000"


def texts(form: str, when: str = "2024-06-01") -> tuple[Snippet, ...]:
    return FORMS[form](PacmanOptions(parse_time(when), BASE))


def test_pacman_reads_the_mirrorlist_and_the_lines_for_its_configuration(tmp_path: Path) -> None:
    mirrorlist, conf = texts("mirror")
    (tmp_path / "mirrorlist").write_text(mirrorlist.text)
    path = tmp_path / "pacman.conf"
    path.write_text(
        f"[options]\nArchitecture = x86_64\n{conf.text}[core]\nSigLevel = Never\nInclude = {tmp_path}/mirrorlist\n"
    )
    done = subprocess.run(
        ["pacman-conf", "--config", str(path), "--repo", "core"], capture_output=True, text=True, check=True, timeout=30
    )
    assert f"Server = {BASE}/archlinux/20240601T000000Z/core/os/x86_64\n" in done.stdout
    assert done.stderr == ""
    options = subprocess.run(
        ["pacman-conf", "--config", str(path)], capture_output=True, text=True, check=True, timeout=30
    )
    assert "DisableDownloadTimeout" in options.stdout


def test_a_mirrorlist_has_no_second_server() -> None:
    assert texts("mirror")[0].text.count("Server") == 1


def test_every_form_but_the_shell_form_sets_the_timeout() -> None:
    for form in ("mirror", "cache", "proxy"):
        assert SETTINGS in texts(form)[-1].text


def edited(tmp_path: Path, script: str, text: str) -> str:
    path = tmp_path / "mirrorlist"
    path.write_text(text)
    script = script.replace(MIRRORLIST, str(path)).replace("pacman -Syuu", "true")
    subprocess.run(["sh", "-ec", script], check=True, timeout=30)
    return path.read_text()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_edit_keeps_only_the_archive_with_our_address(tmp_path: Path, scheme: str) -> None:
    host = "archive.archlinux.org"
    before = f"Server={scheme}://{host}/repos/2024/05/31/$repo/os/$arch\nServer=https://live.example/$repo/os/$arch\n"
    assert edited(tmp_path, texts("edit")[0].text, before) == f"Server={BASE}/repos/2024/05/31/$repo/os/$arch\n"


def test_the_proxy_form_keeps_the_servers_and_drops_tls(tmp_path: Path) -> None:
    before = "Server = https://mirror.example/archlinux/$repo/os/$arch\n"
    script = texts("proxy")[0].text
    assert edited(tmp_path, script, before) == before.replace("https", "http")
    assert "http_proxy=http://20240601T000000Z:x@127.0.0.1:4000 " in script


def test_a_dockerfile_writes_the_variables_of_pacman_and_not_of_the_shell(tmp_path: Path) -> None:
    [snippet] = texts("dockerfile")
    command = snippet.text.partition("RUN ")[2].partition(" \\\n")[0]
    path = tmp_path / "mirrorlist"
    script = "SNAPPROXY=127.0.0.1:4000 SNAPSHOT=20240601T000000Z\n" + command.replace(MIRRORLIST, str(path))
    subprocess.run(["sh", "-ec", script], check=True, timeout=30)
    assert path.read_text() == texts("mirror")[0].text


def test_repro_gets_the_packages_folder() -> None:
    assert f"export ARCH_ARCHIVE_CACHE={BASE}/packages\n" in texts("environment")[0].text
    assert "SOURCE_DATE_EPOCH=1717200000" in texts("environment")[0].text
    assert "SOURCE_DATE_EPOCH" not in texts("environment", "live")[0].text


def test_mkosi_uses_a_mirror_since_its_snapshot_is_a_folder() -> None:
    assert texts("mkosi")[0].text == f"[Distribution]\nDistribution=arch\nMirror={BASE}/archlinux/20240601T000000Z\n"


def test_other_archives_may_have_other_folders() -> None:
    request = PacmanOptions(parse_time("2024-06-01"), BASE, "arm", "$arch/$repo")
    assert OWN_FORMS["mirror"](request)[0].text == f"Server = {BASE}/arm/20240601T000000Z/$arch/$repo\n"

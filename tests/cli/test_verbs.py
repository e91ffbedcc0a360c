"""The verbs that print an answer: resolve, fetch, stats, config, sources."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import fetch, main, resolve, sources, stats
from snapproxy.cli.options import a_time
from snapproxy.cli.progress import Lines, reporting

APP = Any  # the small application of conftest


@pytest.fixture
def built(small_app: APP, plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> APP:
    """Make the verbs build the small application."""
    for module, name in ((fetch, "build"), (resolve, "open_times")):
        monkeypatch.setattr(module, name, lambda _config, **_options: small_app)
    return small_app


def test_resolve_prints_the_time_to_use_alone(built: APP, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", "debian", "2024-06-01"]) == 0
    output = capsys.readouterr()
    assert output.out == "20240531T203452Z\n"
    assert output.err == "snapproxy: asked for 2024-06-01\n"


def test_resolve_prints_a_time_where_the_id_is_a_folder_s_name(built: APP, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", "archlinux", "2024-06-01"]) == 0
    output = capsys.readouterr()
    assert a_time(output.out.strip()).instant == 1_717_159_325
    assert output.err == "snapproxy: the archive's folder for that time is 2024/05/31\n"
    assert main(["resolve", "archlinux", "2024-06-01", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["at"], found["snapshot"]) == ("20240531T124205Z", "2024/05/31")


def test_resolve_tells_a_machine_everything(built: APP, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", "debian", "2024-06-01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "archive": "debian",
        "when": "2024-06-01",
        "at": "20240531T203452Z",
        "snapshot": "20240531T203452Z",
        "instant": 1_717_187_692,
        "valid": ["20240531T203452Z", "20240601T023000Z"],
        "note": "asked for 2024-06-01",
    }


def test_a_refusal_is_its_reason_and_hint(built: APP, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", "nowhere", "2024-06-01"]) == 1
    assert capsys.readouterr().err == (
        "snapproxy: no archive of that name\n  The archives here are debian.\n  Ask for one of them.\n"
    )


def test_fetch_places_files_under_their_names(built: APP, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (built.folder / "pool").mkdir()
    blob = built.folder / "pool" / "a.deb"
    blob.write_bytes(b"bytes")
    blob.chmod(0o444)
    assert main(["fetch", "debian", "20240601", "pool/a.deb", "--output-dir", str(tmp_path / "out"), "--json"]) == 0
    placed = tmp_path / "out" / "a.deb"
    assert placed.read_bytes() == b"bytes"
    assert placed.stat().st_mode & 0o200, "the user's own mode, not the blob's"
    assert [each.name for each in placed.parent.iterdir()] == ["a.deb"]
    assert json.loads(capsys.readouterr().out) == [
        {
            "path": "pool/a.deb",
            "state": "ok",
            "file": str(placed),
            "size": 5,
            "digest": f"sha256:{hashlib.sha256(b'bytes').hexdigest()}",
            "verified": "gpg",
            "cache": "MISS",
            "snapshot": "20240531T203452Z",
        }
    ]


def test_one_refused_path_fails_the_call_and_not_the_others(
    built: APP, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (built.folder / "a").write_bytes(b"x")
    assert main(["fetch", "debian", "20240601", "absent", "a", "--output-dir", str(tmp_path / "out")]) == 1
    assert (tmp_path / "out" / "a").read_bytes() == b"x"
    output = capsys.readouterr()
    assert "verified: gpg" in output.out
    assert "snapproxy: absent: 404\n  no such file at that snapshot\n" in output.err


def test_root_fetches_into_a_store_of_another_and_keeps_the_file(
    built: APP, foreign_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = foreign_folder.stat()
    for name in ("state", "cache"):
        (foreign_folder / name).mkdir()
        os.chown(foreign_folder / name, owner.st_uid, owner.st_gid)
        monkeypatch.setenv(f"SNAPPROXY_{name.upper()}_DIR", str(foreign_folder / name))
    built.folder = foreign_folder
    (foreign_folder / "a").write_bytes(b"x")
    assert main(["fetch", "debian", "20240601", "a", "--output-dir", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "a").stat().st_uid == os.geteuid()
    assert list((foreign_folder / "cache").iterdir()) == []


@pytest.mark.parametrize("paths", [["x/a", "y/a"], ["dists/.."], ["/"]])
def test_paths_without_a_name_of_their_own_are_refused_first(built: APP, paths: list[str]) -> None:
    assert main(["fetch", "debian", "20240601", *paths]) == 2
    assert built.entered == 0


async def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    async with reporting(["a", "b"], period=0.01) as report:
        report.advance("a", 1500, None)
        report.finish("a")
        await asyncio.sleep(0.1)
    assert capsys.readouterr().err.startswith("fetch: 1 of 2 files, 1.5 kB\n")


def test_the_line_sums_what_is_on_its_way() -> None:
    lines = Lines("fetch", 3)
    lines.advance("a", 1000, 2000)
    lines.advance("b", 1000, None)
    lines.advance("a", 2000, 2000)
    assert lines.line() == "fetch: 0 of 3 files, 3.0 kB"


class _Figures(BaseHTTPRequestHandler):
    body = b"{}"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == stats.PAGE else 404)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Figures) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_stats_are_read_past_any_proxy(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setattr(_Figures, "body", b'{"hits": 3, "upstreams": {"a.b": {"bytes": 5}}}')
    assert main(["stats", "--url", server]) == 0
    assert capsys.readouterr().out == "hits: 3\nupstreams a.b bytes: 5\n"
    assert main(["stats", "--url", server + "/", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"] == 3


@pytest.mark.parametrize("body", [b"<html>", b"[1]"])
def test_figures_from_another_kind_of_server_are_an_error(
    server: str, body: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_Figures, "body", body)
    assert main(["stats", "--url", server]) == 1
    assert "That server is not snapproxy" in capsys.readouterr().err


def test_no_server_is_an_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--url", "http://127.0.0.1:1"]) == 1
    assert "Is `snapproxy serve` running there?" in capsys.readouterr().err
    assert main(["stats", "--url", "file:///etc"]) == 2


def test_config_check_says_ok_and_names_missing_keyrings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAPPROXY_ARCHIVES", '{"debian": {"keyrings": ["/nowhere/k.gpg"]}}')
    assert main(["config", "check"]) == 0
    output = capsys.readouterr()
    assert re.fullmatch(r"ok: the configuration is valid \(read from no file; .* \d+ archives\)\n", output.out)
    assert "snapproxy: debian: no signature is verified; missing: /nowhere/k.gpg\n" in output.err
    assert main(["config", "check", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["settings"]["listen"] == ["127.0.0.1:3142"]
    assert any("/nowhere/k.gpg" in line for line in checked["warnings"])


@pytest.mark.parametrize(
    ("text", "mode", "base", "warning"),
    [
        ("bearer s3cret", 0o600, "https://a.example/x", None),
        ("bearer s3cret", 0o644, "https://a.example/x", "other users can read or write it"),
        ("s3cret", 0o600, "https://a.example/x", "neither"),
        ("machine b.example login a password s3cret", 0o600, "https://a.example/x", "no entry for this address"),
        ("bearer s3cret", 0o600, "http://a.example/x", "credentials_over_http = true"),
    ],
)
def test_config_check_warns_of_credentials_that_cannot_be_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    mode: int,
    base: str,
    warning: str | None,
) -> None:
    file = tmp_path / "a.auth"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    archive = {"family": "apt", "history": "captured", "mirrors": [base], "credentials": f"file:{file}"}
    monkeypatch.setenv("SNAPPROXY_ARCHIVES", json.dumps({"private": archive}))
    assert main(["config", "check"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "credentials" in line]
    assert len(lines) == (warning is not None)
    assert all(warning in line and f'[archives.private] credentials = "file:{file}"' in line for line in lines)
    assert "s3cret" not in "".join(lines)


def test_a_folder_of_keys_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAPPROXY_ARCHIVES", json.dumps({"alpine": {"keyrings": [str(tmp_path), "/nowhere/keys"]}}))
    assert main(["config", "check"]) == 0
    assert "snapproxy: alpine: not all signatures are verified; missing: /nowhere/keys\n" in capsys.readouterr().err


def test_config_show_prints_a_file_with_every_default(
    plain_environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "show"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["state_dir"] == f"{plain_environment}/state"


def test_config_check_touches_nothing(plain_environment: Path) -> None:
    assert main(["config", "check"]) == 0
    assert not (plain_environment / "state").exists()


def test_sources_of_arch_need_no_release_and_have_forms_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", "archlinux", "--at", "2024-06-01"]) == 0
    assert "Server = http://127.0.0.1:3142/archlinux/20240601T000000Z/$repo/os/$arch\n" in capsys.readouterr().out
    assert main(["sources", "archlinux", "--at", "2024-06-01", "--form", "list"]) == 2
    assert main(["sources", "debian", "--suite", "sid", "--at", "2024-06-01", "--form", "edit"]) == 2


def test_sources_print_texts_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", "debian", "--suite", "bookworm", "--at", "2024-06-01", "--form", "list"]) == 0
    assert "http://127.0.0.1:3142/debian/20240601T000000Z bookworm main\n" in capsys.readouterr().out
    assert main(["sources", "ubuntu", "--suite", "noble", "--at", "live", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["form"] == "mirror"
    assert output["files"][0]["path"] == "/etc/apt/sources.list.d/ubuntu.sources"


@pytest.mark.parametrize(
    ("distro", "suite", "meant"),
    [
        ("debian", "bookwrm", "bookworm"),
        ("debian", "Bookworm", "bookworm"),
        ("debian", "bookworm-backports", "bookworm"),
        ("ubuntu", "nobel", "noble"),
        ("debian-security", "bookwrm-security", "bookworm-security"),
        ("debian-security", "bustre/updates", "buster/updates"),
        ("ubuntu-ports", "jamy-updates", "jammy-updates"),
    ],
)
def test_a_misspelt_suite_is_refused_with_the_right_one(
    capsys: pytest.CaptureFixture[str], distro: str, suite: str, meant: str
) -> None:
    command = ["sources", distro, "--at", "2024-06-01", "--suite"]
    assert main([*command, suite]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"{distro} has no suite '{suite}'" in output.err
    assert f"Did you mean --suite {meant}?" in output.err
    assert main([*command, meant]) == 0
    assert main([*command, suite, "--any-suite"]) == 0


def test_a_suite_like_no_other_is_refused_without_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", "debian", "--at", "2024-06-01", "--suite", "xyz"]) == 2
    error = capsys.readouterr().err
    assert "Did you mean" not in error
    assert "add --any-suite" in error


@pytest.mark.parametrize("distro", ["archlinux", "archlinuxarm", "fedora"])
def test_a_suite_of_an_archive_without_suites_is_refused(capsys: pytest.CaptureFixture[str], distro: str) -> None:
    assert main(["sources", distro, "--at", "2024-06-01", "--suite", "42"]) == 2
    assert f"{distro} has no suites" in capsys.readouterr().err


def test_sources_print_texts_for_alpine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    machine = {"ID": "alpine", "VERSION_ID": "3.20.3"}
    monkeypatch.setattr(sources.platform, "freedesktop_os_release", lambda: machine)
    assert main(["sources", "alpine", "--at", "20240601"]) == 0
    assert "http://127.0.0.1:3142/alpine/20240601T000000Z/v3.20/community\n" in capsys.readouterr().out
    assert main(["sources", "alpine", "--at", "20240601", "--form", "list"]) == 2
    assert "Its forms are: mirror, proxy, dockerfile." in capsys.readouterr().err
    machine["ID"] = "debian"
    assert main(["sources", "alpine", "--at", "20240601"]) == 2
    assert "--suite v3.20" in capsys.readouterr().err


def test_sources_of_any_archive_and_the_script_for_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    rows = "".join(
        f'[archives.{name}]\nfamily = "{family}"\nhistory = "captured"\nmirrors = ["http://127.0.0.1/"]\n'
        for name, family in (("docker", "apt"), ("arm", "pacman"))
    )
    row = f'state_dir = "{tmp_path}"\ncache_dir = "{tmp_path}"\n{rows}hosts = ["mine.example.org/"]\n'
    file.write_text(row)
    fixed = ["--config", str(file), "--at", "2024-06-01"]
    assert main(["sources", "docker", *fixed]) == 2
    assert "--suite stable" in capsys.readouterr().err
    assert main(["sources", "docker", *fixed, "--suite", "bookworm"]) == 0
    assert "URIs: http://127.0.0.1:3142/docker/20240601T000000Z\n" in capsys.readouterr().out
    assert main(["sources", "arm", *fixed, "--repo", "$arch/$repo"]) == 0
    assert "/arm/20240601T000000Z/$arch/$repo\n" in capsys.readouterr().out
    assert main(["sources", "debian-debug", *fixed, "--suite", "bookworm-debug", "--form", "mkosi"]) == 2
    assert "Its forms are: mirror, list, proxy." in capsys.readouterr().err
    assert main(["sources", "docker", *fixed, "--form", "script", "--base", "http://builder:3142"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("#!/bin/sh\n")
    assert "http://builder:3142" in output
    assert 'host ~ "^mine[.]example[.]org$"' in output


def test_a_release_is_never_guessed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    machine = {"ID": "debian", "VERSION_CODENAME": "trixie"}
    monkeypatch.setattr(sources.platform, "freedesktop_os_release", lambda: machine)
    assert main(["sources", "debian", "--at", "20240601"]) == 0
    assert "Suites: trixie trixie-updates\n" in capsys.readouterr().out
    assert main(["sources", "ubuntu", "--at", "20240601"]) == 2
    assert "--suite noble" in capsys.readouterr().err


def test_sources_of_an_archive_of_rpm_packages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    row = 'family = "rpm"\nhistory = "snapshots"\nsnapshot = ["http://127.0.0.1/archive/linux"]\n'
    file.write_text(f'state_dir = "{tmp_path}"\ncache_dir = "{tmp_path}"\n[archives.linux]\n{row}')
    words = ["sources", "linux", "--config", str(file), "--at", "2024-06-01", "--repo", "40/$basearch"]
    assert main(words) == 0
    assert "baseurl=http://127.0.0.1:3142/linux/20240601T000000Z/40/$basearch/\n" in capsys.readouterr().out
    assert main([*words, "--form", "zypper"]) == 0
    assert "/etc/zypp/repos.d/linux.repo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "There is no client configuration for that distribution"),
        (["debian", "--suite", "sid", "--form", "zypper"], "There is no form zypper for debian"),
    ],
)
def test_sources_that_cannot_be_written(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", *words, "--at", "2024-06-01"]) == 2
    assert said in capsys.readouterr().err

"""`doctor` finds what is wrong with an installation, says what to do, and changes nothing."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from snapproxy.cli import main
from snapproxy.jobs.doctor import programs
from snapproxy.jobs.doctor.folders import file_system_of
from snapproxy.jobs.doctor.listeners import check_certificate, check_exposure
from snapproxy.jobs.doctor.network import check_date, check_observed
from tests.fakes.faults import Status
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet, later
from tests.fakes.house import House
from tests.fakes.proxy import Snapproxy

Doctor = Callable[..., tuple[int, dict[str, list[tuple[str, str]]]]]


@pytest.fixture
def doctor(hamlet_settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Run the command; return its exit code, and (level, text) of the findings by check."""
    for name in [name for name in os.environ if "proxy" in name.lower() and not name.startswith("SNAPPROXY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SNAPPROXY_ADMIN_LISTEN", "[]")  # another test may listen on the default port

    def run(*options: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
        code = main(["doctor", "--json", *options])
        found: dict[str, list[tuple[str, str]]] = {}
        for each in json.loads(capsys.readouterr().out):
            found.setdefault(each["check"], []).append((each["level"], f"{each['what']}. {each['hint']}"))
        return code, found

    return run


def tree(folder: Path) -> dict[str, Any]:
    """Return times, modes and bytes of all files, without the memory that all readers of the catalog share."""
    files = [each for each in [folder, *sorted(folder.rglob("*"))] if not each.name.endswith("-shm")]
    return {
        str(each): (each.lstat().st_mtime_ns, each.lstat().st_mode, each.is_file() and each.read_bytes())
        for each in files
    }


def test_an_installation_without_a_store_is_checked_and_no_folder_is_created(
    doctor: Doctor, tmp_path: Path, hamlet: Hamlet
) -> None:
    code, found = doctor()
    assert code == 0
    assert found["state_dir"][0][0] == "warning"
    assert "does not exist" in found["state_dir"][0][1]
    assert found["store"] == [("ok", "it is empty. ")]
    assert found["helper process"][0][0] == "ok"
    assert "no archive is used yet" in found["upstreams"][0][1]
    assert not (tmp_path / "state").exists()
    assert hamlet.log.entries == []


async def _fill(hamlet: Hamlet, tmp_path: Path) -> None:
    async with House(tmp_path, (hamlet.row,)) as house:
        await house.get(later(FIRST, 3600), INRELEASE)


@pytest.fixture
async def filled(hamlet: Hamlet, tmp_path: Path) -> None:
    await _fill(hamlet, tmp_path)
    hamlet.log.reset_counts()


def test_each_upstream_of_an_archive_in_use_gets_one_request_and_the_store_is_unchanged(
    filled: None, doctor: Doctor, tmp_path: Path, hamlet: Hamlet
) -> None:
    before = tree(tmp_path)
    code, found = doctor()
    assert code == 0
    assert len(hamlet.log.entries) == 2
    levels = [each[0][0] for name, each in found.items() if name.startswith("upstream 127")]
    assert levels == ["ok", "ok"]
    assert found["keyrings of debian"][0][0] == "ok"
    assert tree(tmp_path) == before
    hamlet.log.reset_counts()
    assert doctor("--offline")[0] == 0
    assert hamlet.log.entries == []


def test_an_upstream_that_cools_down_is_not_asked(filled: None, doctor: Doctor, tmp_path: Path, hamlet: Hamlet) -> None:
    with sqlite3.connect(tmp_path / "state/catalog.sqlite3") as catalog:
        state = json.dumps({"until": time.time() + 300, "cause": "429", "throttles": 1, "noted": time.time()})
        host = hamlet.past.url.removeprefix("http://")
        catalog.execute("REPLACE INTO fact VALUES (?, ?, NULL)", (f"pace/{host}", state))
    code, found = doctor()
    assert code == 0
    ((level, text),) = found[f"upstream {host}"]
    assert level == "warning"
    assert "cooling down" in text
    assert "429" in text
    assert {each.service for each in hamlet.log.entries} == {"now"}


def test_an_upstream_that_is_gone_is_a_problem(filled: None, doctor: Doctor, hamlet: Hamlet) -> None:
    hamlet.past.stop()
    code, found = doctor()
    assert code == 1
    assert found[f"upstream {hamlet.past.url.removeprefix('http://')}"][0][0] == "problem"


def test_mistakes_in_the_settings_are_a_problem(doctor: Doctor, hamlet_settings: Path) -> None:
    hamlet_settings.write_text("quotta = 5\n", encoding="utf-8")
    code, found = doctor()
    assert code == 1
    assert list(found) == ["settings"]
    assert "quotta" in found["settings"][0][1]


def test_a_catalog_of_a_newer_program_is_a_problem(filled: None, doctor: Doctor, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state/catalog.sqlite3") as catalog:
        catalog.execute("PRAGMA user_version = 999")
    code, found = doctor("--offline")
    assert code == 1
    assert "newer program" in found["store"][0][1]


def test_a_catalog_that_is_no_database_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state/catalog.sqlite3").write_bytes(b"not a database" * 1000)
    code, found = doctor("--offline")
    assert code == 1
    assert found["store"][0][0] == "problem"


def test_a_folder_with_a_wide_mode_is_a_warning(filled: None, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "state").chmod(0o755)
    _, found = doctor("--offline")
    assert found["state_dir"][0][0] == "warning"
    assert "chmod 700" in found["state_dir"][0][1]


def test_a_missing_verifier_and_a_missing_keyring_are_named(
    filled: None, doctor: Doctor, hamlet_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "PROGRAMS", ("no-such-program",))
    text = hamlet_settings.read_text(encoding="utf-8")
    start = text.index("keyrings = ")
    end = text.index("\n", start)
    hamlet_settings.write_text(text[:start] + 'keyrings = ["/no/such.gpg"]' + text[end:], encoding="utf-8")
    code, found = doctor("--offline")
    assert code == 1
    assert "Install the package gpgv" in found["signatures"][0][1]
    assert "/no/such.gpg" in found["keyrings of debian"][0][1]


def test_a_keyring_with_expired_keys_alone_is_a_problem(
    filled: None, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_is_expired", lambda _: True)
    code, found = doctor("--offline")
    assert code == 1
    assert "expired" in found["keyrings of debian"][0][1]


def test_proxy_variables_are_reported_as_ignored(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    level, text = doctor("--offline")[1]["environment"][0]
    assert (level, "https_proxy is set and ignored" in text) == ("warning", True)


def test_another_service_on_the_listener_is_a_problem(
    doctor: Doctor, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = hamlet.now.url.removeprefix("http://")
    monkeypatch.setenv("SNAPPROXY_LISTEN", address)
    code, found = doctor("--offline")
    assert code == 1
    assert "another service" in found[f"listen {address}"][0][1]


def test_a_running_snapproxy_is_recognized(
    doctor: Doctor, hamlet_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Snapproxy(hamlet_settings) as running:
        address = running.url.removeprefix("http://")
        monkeypatch.setenv("SNAPPROXY_LISTEN", address)
        code, found = doctor("--offline")
    assert code == 0
    assert found[f"listen {address}"] == [("ok", "snapproxy answers. ")]


def test_each_listener_is_checked_even_if_every_request_needs_a_token(
    doctor: Doctor, hamlet_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_ports: list[int]
) -> None:
    files = {"certificate": tmp_path / "certificate.pem", "key": tmp_path / "key.pem"}
    issued = trustme.CA().issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=3))
    issued.cert_chain_pems[0].write_to_path(str(files["certificate"]))
    issued.private_key_pem.write_to_path(str(files["key"]))
    files["key"].chmod(0o600)
    names = ("listen", "admin_listen", "tls.listen")
    places = {name: f"127.0.0.1:{port}" for name, port in zip(names, unused_ports, strict=True)}
    tls = {"listen": places["tls.listen"], **{name: str(file) for name, file in files.items()}}
    variables = {"SNAPPROXY_TLS": json.dumps(tls), "SNAPPROXY_ADMIN_LISTEN": places["admin_listen"]}
    variables["SNAPPROXY_TOKENS"] = "required"
    for name, value in {**variables, "SNAPPROXY_LISTEN": places["listen"]}.items():
        monkeypatch.setenv(name, value)
    with Snapproxy(hamlet_settings, options=("--listen", places["listen"]), variables=variables):
        code, found = doctor("--offline")
    assert code == 0
    for name, place in places.items():
        assert found[f"{name} {place}"] == [("ok", "snapproxy answers. ")]
    assert found["certificate"][0][0] == "warning"
    files["key"].chmod(0o644)
    code, found = doctor("--offline")
    assert code == 1
    assert [found[f"{name} {place}"][0][0] for name, place in places.items()] == ["warning"] * 3
    assert "chmod o-rw" in found["certificate"][0][1]


@pytest.fixture
def unused_ports() -> list[int]:
    with ExitStack() as probes:
        found = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        return [int(probe.getsockname()[1]) for probe in found]


def test_a_certificate_is_judged_by_its_days() -> None:
    begin, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
    issued = trustme.CA().issue_cert("localhost", not_before=begin, not_after=end)
    pem, day = issued.cert_chain_pems[0].bytes(), 86400
    levels = {
        days: check_certificate(pem, int(begin.timestamp()) + days * day).level.value for days in (-1, 1, 45, 47, 61)
    }
    assert levels == {-1: "problem", 1: "ok", 45: "ok", 47: "warning", 61: "problem"}


@pytest.mark.parametrize(
    ("login", "status", "level", "text"),
    [
        ("machine 127.0.0.1", 200, "problem", "Correct the file"),
        ("machine {host} login ann password s3cret", 403, "problem", "Check the login"),
        ("", 403, "warning", "Ask the operator"),
    ],
)
def test_an_upstream_that_refuses_access_is_told_from_a_login_that_is_wrong(
    filled: None, doctor: Doctor, hamlet: Hamlet, hamlet_settings: Path, tmp_path: Path, *, login: str, status: int,
    level: str, text: str,
) -> None:  # fmt: skip
    host = hamlet.past.url.removeprefix("http://")
    hamlet.past.fault("*", Status(status))
    if login:
        file = tmp_path / "debian.auth"
        file.write_text(login.format(host=hamlet.past.url), encoding="utf-8")
        file.chmod(0o600)
        settings = hamlet_settings.read_text(encoding="utf-8")
        credentials = f'credentials = "file:{file}"\ncredentials_over_http = true\n'
        hamlet_settings.write_text(settings.replace("keyrings =", f"{credentials}keyrings ="), encoding="utf-8")
    _, found = doctor()
    assert (found[f"upstream {host}"][0][0], text in found[f"upstream {host}"][0][1]) == (level, True)
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(("host", "count"), [("127.0.0.1", 0), ("::1", 0), ("0.0.0.0", 1), ("192.168.1.2", 1)])
def test_an_address_that_others_can_reach_is_shown_and_a_warning_for_any_client(host: str, count: int) -> None:
    limited = list(check_exposure([(host, 3142)], ["loopback", "private"]))
    assert [each.level.value for each in limited] == ["ok"] * count
    opened = list(check_exposure([(host, 3142)], ["any"]))
    assert [each.level.value for each in opened] == ["warning"] * count


def test_a_file_of_authorities_that_cannot_be_read_is_a_problem(
    filled: None, doctor: Doctor, hamlet: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPPROXY_UPSTREAM_CA", "/no/such.pem")
    code, found = doctor()
    assert code == 1
    assert "/no/such.pem" in found["upstreams"][0][1]
    assert hamlet.log.entries == []


def test_a_clock_that_is_wrong_is_a_problem() -> None:
    assert check_date(None, 1000, "host") == []
    assert check_date(1000, 1299, "host") == []
    assert "1000 s behind host" in check_date(2000, 1000, "host")[0].what
    assert "500 s ahead of host" in check_date(1000, 1500, "host")[0].what
    assert check_observed(None, 1000).level.value == "ok"
    assert check_observed(9999, 1000).level.value == "problem"


def test_the_file_system_is_that_of_the_longest_mount_point(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"22 21 {number} / {tmp_path.parent} rw shared:1 - nfs4 server:/x rw\n"
        f"23 21 0:99 / {tmp_path}/elsewhere rw - tmpfs tmpfs rw\n",
        encoding="utf-8",
    )
    assert file_system_of(tmp_path, mounts) == "nfs4"
    assert file_system_of(tmp_path, tmp_path / "missing") == ""

"""Sources of settings, their precedence, and the defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snapproxy.config import Config, MirroredSlice, Watch, load
from snapproxy.config.effective import as_table, as_toml
from snapproxy.config.load import SYSTEM_FILE, find_file
from snapproxy.config.value_types import byte_size, format_size, quota
from snapproxy.core.model import Archive, Match
from snapproxy.core.rate_limit import BLOB_SOURCE, MIRROR, SPARING
from snapproxy.errors import ConfigurationError

Loader = Callable[..., Config]


def test_nothing_need_be_set(load_text: Loader, rows: tuple[Archive, ...]) -> None:
    config = load_text()
    assert config.listen == (("127.0.0.1", 3142),)
    assert config.archives == rows
    assert (config.default_when, config.passes, config.upstreams, config.patience) == (None, (), {}, {})


def test_the_file_is_sought_where_the_page_says(tmp_path: Path) -> None:
    given, named = tmp_path / "a", tmp_path / "b"
    assert find_file(given, {"SNAPPROXY_CONFIG": str(named)}) == given
    assert find_file(None, {"SNAPPROXY_CONFIG": str(named)}) == named
    assert find_file(None, {}) == (SYSTEM_FILE if SYSTEM_FILE.exists() else None)


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="configuration file does not exist"):
        load(tmp_path / "absent.toml", {}, ())


@pytest.mark.parametrize("content", [b"listen = \n", b"listen = '\xff'\n"])
def test_a_file_that_is_no_toml_says_where(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(file, {}, ())
    assert str(file) in caught.value.why


def test_the_environment_beats_the_file(load_text: Loader) -> None:
    config = load_text('listen = "127.0.0.1:1"\nmax_gap = "1h"', SNAPPROXY_LISTEN="127.0.0.1:2")
    assert config.listen == (("127.0.0.1", 2),)
    assert config.archives[0].max_gap == 3600


def test_tables_from_the_environment_are_json_and_merge_with_the_files(load_text: Loader) -> None:
    config = load_text(
        '[archives.debian]\nmirrors = ["http://a.example/debian"]\nmax_gap = "1h"',
        SNAPPROXY_ARCHIVES=json.dumps({"debian": {"max_gap": "2h"}}),
    )
    assert config.archives[0].mirrors == ("http://a.example/debian",)
    assert config.archives[0].max_gap == 7200


def test_an_empty_variable_counts_as_unset(load_text: Loader) -> None:
    assert load_text('listen = "127.0.0.1:1"', SNAPPROXY_LISTEN="").listen == (("127.0.0.1", 1),)


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ('"0.0.0.0:3142"', (("0.0.0.0", 3142),)),
        ('"[::1]:3142"', (("::1", 3142),)),
        ('["127.0.0.1:0", "[::]:80"]', (("127.0.0.1", 0), ("::", 80))),
        ('"localhost:3142"', (("localhost", 3142),)),
    ],
)
def test_listen_is_an_address_or_a_list(load_text: Loader, text: str, listen: object) -> None:
    assert load_text(f"listen = {text}").listen == listen


def test_an_ipv6_listen_address_survives_the_environment(load_text: Loader) -> None:
    assert load_text(SNAPPROXY_LISTEN="[::1]:3142").listen == (("::1", 3142),)


def test_folders_of_a_plain_user_follow_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    plain = load(None, {"HOME": "/home/u"}, ())
    assert (plain.state_dir, plain.cache_dir) == (
        Path("/home/u/.local/state/snapproxy"),
        Path("/home/u/.cache/snapproxy"),
    )
    moved = load(None, {"HOME": "/home/u", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative"}, ())
    assert (moved.state_dir, moved.cache_dir) == (Path("/s/snapproxy"), Path("/home/u/.cache/snapproxy"))


def test_folders_of_root_and_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load(None, {}, ()).state_dir == Path("/var/lib/snapproxy")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    served = load(None, {"STATE_DIRECTORY": "/var/lib/snapproxy", "CACHE_DIRECTORY": "/c/other:/c/snapproxy"}, ())
    assert (served.state_dir, served.cache_dir) == (Path("/var/lib/snapproxy"), Path("/c/snapproxy"))
    elsewhere = load(None, {"HOME": "/home/u", "STATE_DIRECTORY": "/var/lib/build-runner"}, ())
    assert elsewhere.state_dir == Path("/home/u/.local/state/snapproxy")


def test_what_passes_may_name_a_port_or_both_usual_ones(load_text: Loader) -> None:
    config = load_text('pass = ["GitHub.com:443", "files.example"]')
    assert config.passes == (("github.com", 443), ("files.example", 80), ("files.example", 443))


def test_pinned_states_alone_may_be_allowed(load_text: Loader) -> None:
    assert load_text("").serves_live
    assert not load_text('allow = ["pinned"]').serves_live
    assert not load_text('allow = "pinned"').serves_live


def test_clients_are_networks(load_text: Loader) -> None:
    assert load_text("").clients == ("loopback", "private")
    assert load_text('clients = ["loopback", "2001:DB8::/32", "192.0.2.1"]').clients == (
        "loopback",
        "2001:db8::/32",
        "192.0.2.1/32",
    )


def test_default_when_is_read_once(load_text: Loader) -> None:
    live = load_text('default_when = "live"').default_when
    assert live is not None
    assert live.match is Match.LIVE


def test_manners_are_the_hosts_kind_with_what_is_said_changed(load_text: Loader) -> None:
    config = load_text('[upstreams."snapshot.debian.org"]\nburst = 5\n[upstreams."mirror.example"]\nconnections = 9')
    assert config.policies == {
        "snapshot.debian.org": replace(SPARING, burst=5),
        "snapshot.ubuntu.com": SPARING,
        "mirror.example": replace(MIRROR, connections=9),
    }


def test_who_holds_digests_is_asked_freely_unless_the_past_is_there_too(load_text: Loader) -> None:
    sources = '["docker://reg.example:5000/a", "https://snapshot.debian.org/a"]'
    policies = load_text(f"[archives.debian]\nsources = {sources}").policies
    assert (policies["reg.example"], policies["snapshot.debian.org"]) == (BLOB_SOURCE, SPARING)


def test_patience_is_set_per_family(load_text: Loader) -> None:
    assert load_text('[patience]\napt = "10s"').patience == {"apt": 10}


def test_a_watch_is_hourly_and_keeps_what_is_used(load_text: Loader) -> None:
    config = load_text('[[watch]]\narchive = "debian"\npaths = ["dists/stable/InRelease"]')
    assert config.watch == (Watch("debian", ("dists/stable/InRelease",), 3600, "used"),)


def test_a_mirrored_slice_has_suites_or_repositories(load_text: Loader) -> None:
    config = load_text(
        '[[mirror]]\narchive = "debian"\nsuites = ["bookworm"]\ncomponents = ["main"]\narchitectures = ["amd64"]\n'
        '[[mirror]]\narchive = "ubuntu"\nrepos = ["core"]\nevery = "1d"\n'
    )
    assert config.mirror == (
        MirroredSlice("debian", ("bookworm",), ("main",), ("amd64",), 6 * 3600),
        MirroredSlice("ubuntu", (), ("core",), (), 86400),
    )


def test_an_archive_keeps_no_packages_if_every_watch_of_it_says_so(load_text: Loader) -> None:
    watches = "".join(
        f'[[watch]]\narchive = "{name}"\npaths = ["dists/{suite}/InRelease"]\npackages = "{packages}"\n'
        for name, suite, packages in (("debian", "a", "none"), ("debian", "b", "used"), ("ubuntu", "a", "none"))
    )
    rows = {row.name: row for row in load_text(watches).archives}
    assert [name for name, row in rows.items() if not row.keeps_packages] == ["ubuntu"]


def test_tunnels_are_off_unless_asked_for(load_text: Loader) -> None:
    assert not load_text().connect
    assert load_text("connect = true").connect
    assert load_text("connect = true", SNAPPROXY_CONNECT="false").connect is False


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("500GB", 500 * 10**9, "500GB"),
        ("1.5TB", 1_500 * 10**9, "1500GB"),
        ("64GiB", 64 << 30, "64GiB"),
        ("1 TiB", 1 << 40, "1TiB"),
        ("1000000B", 10**6, "1MB"),
        ("5000kB", 5 * 10**6, "5MB"),
        ("1.001MB", 1_001_000, "1001kB"),
    ],
)
def test_a_size_is_read_with_its_unit_and_written_so_that_it_is_read_back(text: str, size: int, shown: str) -> None:
    assert quota(text) == byte_size(text) == byte_size(shown) == size
    assert format_size(size) == shown


@pytest.mark.parametrize("text", ["500", "500gb", "-1GB", "GB", "1e9B", "5GB ", "5 %", "", 5_000_000_000, None, True])
def test_a_size_without_a_number_or_a_known_unit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a size with its unit"):
        byte_size(text)


def test_a_quota_too_small_for_any_download_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1MB"):
        quota("999KB")
    assert byte_size("0B") == 0


def test_the_limits_of_disk_space_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('quota = "500GB"\n')
    config = load(file, {"SNAPPROXY_FREE_SPACE": "20GiB"})
    assert (config.quota, config.free_space) == (500 * 10**9, 20 << 30)
    assert {"quota": "500GB", "free_space": "20GiB"}.items() <= as_table(config).items()
    assert (load(None, {}).quota, load(None, {}).free_space) == (None, None)


def test_the_logs_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('access_log = "json"\n')
    config = load(file, {"SNAPPROXY_LOG_LEVEL": "warning"})
    assert (config.access_log, config.log_level) == ("json", "warning")
    assert {"access_log": "json", "log_level": "warning"}.items() <= as_table(config).items()
    assert (load(None, {}).access_log, load(None, {}).log_level) == ("short", "info")


def test_the_check_of_stored_files_has_a_period_and_a_rate(tmp_path: Path) -> None:
    assert (load(None, {}).fsck_every, load(None, {}).fsck_rate) == (30 * 86400, 20_000_000)
    file = tmp_path / "config.toml"
    file.write_text('fsck_every = "never"\nfsck_rate = "1GB"\n')
    config = load(file, {})
    assert (config.fsck_every, config.fsck_rate) == (None, 10**9)
    assert {"fsck_every": "never", "fsck_rate": "1GB"}.items() <= as_table(config).items()
    file.write_text('fsck_every = "sometimes"\nfsck_rate = "9KB"\n')
    with pytest.raises(ConfigurationError, match="never") as refused:
        load(file, {})
    assert "fsck_rate" in refused.value.why


def test_the_listener_with_tls_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[tls]\nlisten = "0.0.0.0:3144"\ncertificate = "/etc/both.pem"\n')
    config = load(file, {})
    assert config.tls_listen == (("0.0.0.0", 3144),)
    assert config.tls_key == config.tls_certificate == "/etc/both.pem"
    file.write_text(as_toml(config))
    again = load(file, {})
    assert (again.tls_listen, again.tls_certificate, again.tls_key) == (
        config.tls_listen,
        config.tls_certificate,
        config.tls_key,
    )


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('listen = "0.0.0.0:1"', "tls.certificate"),
        ('certificate = "/x"', "tls.listen"),
        ('listen = "0.0.0.0:1"\ncertificate = "x"', "a path that begins with /"),
        ('listen = "0.0.0.0:1"\ncertificate = "/x"\nchain = "/y"', "tls.chain: no such setting"),
    ],
)
def test_mistakes_in_the_listener_with_tls_are_named(tmp_path: Path, text: str, mistake: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[tls]\n{text}\n")
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    assert mistake in caught.value.why

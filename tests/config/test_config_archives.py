"""Built-in archives overridden, new archives added, and the settings written back."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.archives import BUILTIN
from snapproxy.archives.dated_addresses import DatedSettings
from snapproxy.config import Config, as_table, as_toml, load
from snapproxy.config.archives import ARCHIVE
from snapproxy.core.blob_sources import BlobSource
from snapproxy.core.model import Archive

Loader = Callable[..., Config]

DOCKER = """
[archives.docker]
family = "apt"
history = "any-instant"
snapshot = ["https://snap.example/docker/"]
hosts = ["download.docker.com/linux/debian"]
"""


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("pkgs.k8s.io/core:/stable:/v1.30/deb", "pkgs.k8s.io/core:/stable:/v1.30/deb"),
        ("pkgs.k8s.io/core%3A/stable%3a/v1.30/deb/", "pkgs.k8s.io/core:/stable:/v1.30/deb/"),
        ("h.example:8080/a%20b", "h.example:8080/a b"),
        ("h.example/home:/u~1/(x)", "h.example/home:/u~1/(x)"),
        ("*/**/*/os/*/*", "*/**/*/os/*/*"),
    ],
)
def test_the_path_of_a_host_pattern_is_read_as_requests_for_it_are(load_text: Loader, written: str, read: str) -> None:
    """OBS and pkgs.k8s.io have colons in their paths."""
    *_, own = load_text(DOCKER.replace("download.docker.com/linux/debian", written)).archives
    assert own.hosts == (read,)


def test_any_field_of_a_built_in_row_can_be_overridden(load_text: Loader, rows: tuple[Archive, ...]) -> None:
    text = """
[archives.debian]
family = "apt"
history = "dated"
snapshot = ["https://a.example/x"]
mirrors = []
sources = ["docker://reg.example/team/packages", "http://builders:3142"]
hosts = ["*/debian"]
keyrings = ["/k.gpg"]
redirects = ["b.example"]
max_gap = "90m"
settle_after = "1d"
frozen = true
first = "2024-06-01"
scope = 2
folder = "/days/YYYY-MM-DD/"
days = "days/list"
bad = ["20240601T000000Z"]
"""
    debian, ubuntu = load_text(text).archives
    assert ubuntu == rows[1]
    assert debian == Archive(
        name="debian",
        family="apt",
        history="dated",
        snapshot=("https://a.example/x",),
        mirrors=(),
        sources=(
            BlobSource("docker://reg.example/team/packages", "https://reg.example", "team/packages", "reg.example"),
            BlobSource("http://builders:3142", "http://builders:3142"),
        ),
        hosts=("*/debian",),
        keyrings=("/k.gpg",),
        redirects=("b.example",),
        max_gap=5400,
        settle_after=86400,
        frozen=True,
        first=1_717_200_000,
        scope=2,
        history_settings=DatedSettings(folder="days/YYYY-MM-DD", days="days/list"),
        bad=(1_717_200_000,),
    )


def test_every_field_of_a_row_is_a_setting() -> None:
    laid_over = {"because", "keeps_packages"}
    fields = {*Archive.__dataclass_fields__, *DatedSettings.__dataclass_fields__} - {"history_settings"}
    assert {"name", *ARCHIVE.keys, *laid_over} == fields


def test_settings_of_one_history_have_no_effect_on_another(load_text: Loader) -> None:
    archive = load_text(DOCKER + 'folder = "days/YYYY-MM-DD"').archives[-1]
    assert archive.history_settings is None
    archive = load_text(DOCKER.replace("any-instant", "dated")).archives[-1]
    assert archive.history_settings == DatedSettings()


@pytest.mark.parametrize(
    ("text", "origin", "repository", "login"),
    [
        ("docker://reg.example:5000/a/b", "https://reg.example:5000", "a/b", "reg.example:5000"),
        ("docker://127.0.0.1:5000/a", "http://127.0.0.1:5000", "a", "127.0.0.1:5000"),
        ("docker://localhost:5000/a", "http://localhost:5000", "a", "localhost:5000"),
        ("docker://team/packages", "https://registry-1.docker.io", "team/packages", "docker.io"),
        ("http://reg.example:5000/a/b", "http://reg.example:5000", "a/b", ""),
        ("https://builders.example/", "https://builders.example", "snapproxy", ""),
        ("http://[fd00::1]:3142", "http://[fd00::1]:3142", "snapproxy", ""),
    ],
)
def test_where_a_digest_is_asked_for(load_text: Loader, text: str, origin: str, repository: str, login: str) -> None:
    """https, but on this machine and where http:// is written; a login for docker:// alone."""
    (blob_source,) = load_text(f'[archives.debian]\nsources = ["{text}"]').archives[0].sources
    assert (blob_source.origin, blob_source.repository, blob_source.registry) == (origin, repository, login)


def test_a_new_row_stands_after_the_built_in_ones(load_text: Loader) -> None:
    docker = load_text(DOCKER).archives[-1]
    assert docker.name == "docker"
    assert docker.snapshot == ("https://snap.example/docker",)
    assert docker.settle_after == 3600, "an any-instant history settles within the hour"


def test_the_files_defaults_serve_rows_that_set_none(load_text: Loader) -> None:
    debian, ubuntu, docker = load_text('max_gap = "1h"\nsettle_after = "2h"' + DOCKER).archives
    assert (debian.max_gap, debian.settle_after) == (3600, 7200)
    assert (ubuntu.max_gap, ubuntu.settle_after) == (3600, 3600), "ubuntu's own settle_after stands"
    assert (docker.max_gap, docker.settle_after) == (3600, 7200)


def test_the_built_in_table_is_written_as_users_may_write_theirs(tmp_path: Path) -> None:
    written = tmp_path / "effective.toml"
    written.write_text(as_toml(load(None, {"HOME": str(tmp_path)})), encoding="utf-8")
    assert load(written, {"HOME": str(tmp_path)}, ()).archives == BUILTIN


def test_the_effective_settings_read_back_to_themselves(load_text: Loader, tmp_path: Path) -> None:
    text = 'listen = ["127.0.0.1:1", "[::1]:2"]\ndefault_when = "live"\npass = ["a.b:443"]\n[patience]\napt = "9s"\n'
    text = 'clients = ["any"]\n' + text
    text += '[[watch]]\narchive = "debian"\npaths = ["a/Release", "b/Release"]\nevery = "2h"\npackages = "all"\n'
    text += '[[mirror]]\narchive = "debian"\nsuites = ["bookworm"]\nrepos = ["a/b"]\nevery = "2h"\n'
    text += '[archives.debian]\nsources = ["docker://reg.example/a", "http://b:3142", "https://r.example/a/b/"]\n'
    config = load_text(text + '[upstreams."a.b"]\nburst = 3\nrequests_per_second = 1.5\n' + DOCKER)
    written = tmp_path / "effective.toml"
    written.write_text(as_toml(config), encoding="utf-8")
    assert tomllib.loads(written.read_text(encoding="utf-8"))
    again = load(written, {"HOME": "/nowhere"}, ())
    assert (again.archives, again.listen, again.passes) == (config.archives, config.listen, config.passes)
    assert (again.clients, again.serves_live) == (("any",), True)
    assert again.watch == config.watch
    assert again.mirror == config.mirror
    assert (again.upstreams, again.patience, again.default_when) == (
        config.upstreams,
        config.patience,
        config.default_when,
    )
    assert (again.state_dir, again.cache_dir) == (config.state_dir, config.cache_dir)


@pytest.mark.parametrize("place", ["file:/etc/snapproxy/pro.auth", "systemd:pro-auth"])
def test_the_place_of_credentials_is_read_and_written_back(load_text: Loader, tmp_path: Path, place: str) -> None:
    text = f'[archives.debian]\ncredentials = "{place}"\ncredentials_over_http = true'
    first = load_text(text).archives[0]
    assert (first.credentials, first.credentials_over_http) == (place, True)
    assert load_text(as_toml(load_text(text))).archives[0] == first
    assert "credentials =" not in as_toml(load_text())


def test_the_upstream_network_is_read_and_written_back(load_text: Loader) -> None:
    text = """
upstream_proxy = "http://proxy.example:3128"
upstream_proxy_credentials = "file:/etc/snapproxy/proxy.auth"
upstream_proxy_except = ["mirror.example", "*.internal"]
upstream_ca = "/etc/ssl/site.pem"
[archives.debian]
upstream_ca = "/etc/ssl/debian.pem"
"""
    config = load_text(text)
    assert config.upstream_proxy_except == ("mirror.example", "*.internal")
    assert config.archives[0].upstream_ca == "/etc/ssl/debian.pem"
    assert as_table(load_text(as_toml(config))) == as_table(config)

"""All mistakes in one error, by key path, with the accepted values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.archives import RESERVED_NAMES
from snapproxy.config import Config, load
from snapproxy.config.archives import ARCHIVE
from snapproxy.config.settings import keys, twin
from snapproxy.config.value_types import UNITS, format_duration
from snapproxy.errors import ConfigurationError

Loader = Callable[..., Config]


def mistakes(load_text: Loader, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_text(text, **environ)
    return caught.value.why.splitlines()


def test_every_mistake_is_named_at_once(load_text: Loader) -> None:
    text = """
max_gapp = "48h"
settle_after = 5
[archives.debian]
mirrors = ["ftp://x"]
colour = 1
[archives.mr]
family = "apt"
history = "any-instant"
snapshot = ["https://a.example/x"]
[archives.docker]
history = "snapshots"
[upstreams."snapshot.debian.org"]
burst = "x"
"""
    found = mistakes(load_text, text, SNAPPROXY_FOO="1", SNAPPROXY_MAX_GAP="4")
    assert [line.split(": ")[0] for line in found] == [
        "SNAPPROXY_FOO",
        "archives.debian.colour",
        "archives.debian.mirrors[0]",
        "archives.docker.family",
        "archives.docker.snapshot",
        "archives.mr",
        "max_gap (or SNAPPROXY_MAX_GAP)",
        "max_gapp",
        "settle_after",
        'upstreams."snapshot.debian.org".burst',
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('max_gapp = "1h"', "max_gapp: no such setting; did you mean max_gap?"),
        ("max_gap = 48", 'max_gap: 48 is not accepted; accepted: a duration with its unit, such as "90s"'),
        ('max_gap = "48"', 'max_gap: "48" is not accepted; accepted: a duration'),
        ('listen = "3142"', 'listen[0]: "3142" is not accepted; accepted: "ADDRESS:PORT"'),
        ('listen = "a:70000"', 'listen[0]: "a:70000" is not accepted'),
        ('state_dir = "here"', 'state_dir: "here" is not accepted; accepted: a path that begins with /'),
        ('default_when = "yesterday"', 'default_when: "yesterday" is not accepted; accepted: "live", or an instant'),
        ('default_when = "latest"', 'default_when: "latest" is not accepted'),
        (
            'access_log = "apache"',
            'access_log: "apache" is not accepted; accepted: "short", "combined", "json", "off"',
        ),
        ('log_level = "INFO"', 'log_level: "INFO" is not accepted; accepted: "debug", "info", "warning", "error"'),
        ('capture_keep = "0s"', 'capture_keep: "0s" is not accepted; accepted: at least "1h"'),
        ('fsck_every = "5m"', 'fsck_every: "5m" is not accepted; accepted: at least "1h"'),
        ('allow = ["live"]', 'allow: ["live"] is not accepted; accepted: a list with "pinned"'),
        ('allow = ["pinned", "all"]', 'allow[1]: "all" is not accepted; accepted: "pinned" or "live"'),
        (
            'allow = ["pinned"]\ndefault_when = "live"',
            'default_when: "live" is refused, because allow does not include it',
        ),
        ('allow = ["pinned"]\nconnect = true', "connect: tunnels are for live clients, which are refused"),
        ('clients = ["192.0.2.1/24"]', 'clients[0]: "192.0.2.1/24" is not accepted; accepted: "loopback", "private"'),
        ("clients = [1]", "clients[0]: 1 is not accepted"),
        ('pass = ["http://x"]', 'pass[0]: "http://x" is not accepted; accepted: "HOST:PORT"'),
        ('pass = ["x:0"]', 'pass[0]: "x:0" is not accepted'),
        ('pass = "x"', 'pass: "x" is not accepted; accepted: a list'),
        ('[[watch]]\narchive = "x"\npaths = ["a"]', 'watch[0].archive: there is no archive "x"'),
        ('[[watch]]\narchive = "debian"\npaths = []', "watch[0].paths: [] is not accepted"),
        (
            '[[watch]]\narchive = "debian"\npaths = ["../x"]',
            'watch[0].paths[0]: "../x" is not accepted; accepted: the path',
        ),
        (
            '[[watch]]\narchive = "debian"\npaths = ["a"]\npackages = "some"',
            'watch[0].packages: "some" is not accepted; accepted: "used", "all", "none"',
        ),
        ('[[watch]]\narchive = "debian"\npath = "a"', "watch[0].path: no such setting; did you mean paths?"),
        ('[[mirror]]\narchive = "x"\nsuites = ["a"]', 'mirror[0].archive: there is no archive "x"'),
        ('[[mirror]]\narchive = "debian"\nsuites = ["../a"]', 'mirror[0].suites[0]: "../a" is not accepted'),
        ('[[mirror]]\narchive = "debian"\nsuite = ["a"]', "mirror[0].suite: no such setting; did you mean suites?"),
        ("watch = 1", "watch: 1 is not accepted; accepted: a list"),
        ('[archives.debian]\nfamily = ["apt"]', 'archives.debian.family: ["apt"] is not accepted; accepted: "apt", '),
        (
            '[upstreams."a.b"]\nrequests_per_second = nan',
            'upstreams."a.b".requests_per_second: NaN is not accepted; accepted: a number of at most 1000.0',
        ),
        ('[[watch]]\npaths = ["a"]', 'watch[0].archive: {"paths": ["a"]} is not accepted; accepted: Field required'),
        ("archives = 1", "archives: 1 is not accepted; accepted: a table"),
        ("[archives]\ndebian = 1", "archives.debian: 1 is not accepted; accepted: a table"),
        ('[archives.debian]\nfrozen = "yes"', 'archives.debian.frozen: "yes" is not accepted; accepted: true or false'),
        (
            '[archives.archlinux]\nfolder = "repos/YYYYMM"',
            (
                'archives.archlinux.folder: "repos/YYYYMM" is not accepted; accepted: the path of a day below '
                'the base, with YYYY, MM and DD for the date, such as "history/YYYYMMDD/tumbleweed"'
            ),
        ),
        (
            '[archives.archlinux]\ndays = "../list"',
            (
                'archives.archlinux.days: "../list" is not accepted; accepted: the path of a list of days below '
                'the base, such as "history/list", or "" for none'
            ),
        ),
        ("[archives.debian]\nscope = 9", "archives.debian.scope: 9 is not accepted; accepted: a number of at most 8"),
        ('[archives.debian]\nbad = ["live"]', 'archives.debian.bad[0]: "live" is not accepted; accepted: an instant'),
        (
            '[archives.debian]\nbad = ["20240601.exact"]',
            'archives.debian.bad[0]: "20240601.exact" is not accepted; accepted: an instant',
        ),
        *(
            (f'[archives.debian]\nhosts = ["{pattern}"]', f'archives.debian.hosts[0]: "{pattern}" is not accepted')
            for pattern in ("h/a%2fb", "h/../x", "h/a%zz", "h/a?b", "h/a**b", "h/a/**/b", "h:port/x")
        ),
        (
            '[archives.debian]\nhosts = ["http://a/b"]',
            'archives.debian.hosts[0]: "http://a/b" is not accepted; accepted: "host/prefix"',
        ),
        (
            '[archives.debian]\nsnapshot = ["https://u:p@a.example/"]',
            'archives.debian.snapshot[0]: "https://...@a.example/" is not accepted; accepted: an http://',
        ),
        (
            '[archives.debian]\nredirects = ["A.example"]',
            'archives.debian.redirects[0]: "A.example" is not accepted; accepted: a host name',
        ),
        *(
            (
                f'[archives.debian]\nsources = ["{text}"]',
                (
                    f'archives.debian.sources[0]: "{text}" is not accepted; accepted: '
                    '"docker://REGISTRY/REPOSITORY" without a tag, or'
                ),
            )
            for text in (
                "docker://reg.example/a:tag",
                f"docker://reg.example/a@sha256:{'a' * 64}",
                "docker://reg.example/A",
                "docker:reg.example/a",
                "http://reg.example/A",
                "oci:/srv/layout",
                "reg.example/a",
            )
        ),
        ("[archives.debian]\nsources = [1]", "archives.debian.sources[0]: 1 is not accepted; accepted: "),
        (
            '[archives.debian]\nsource = ["docker://reg.example/a"]',
            "archives.debian.source: no such setting; did you mean sources?",
        ),
        (
            '[archives.debian]\nfamily = "deb"',
            'archives.debian.family: "deb" is not accepted; accepted: "apt", "pacman", "apk", "rpm"',
        ),
        ('[patience]\ndeb = "8s"', 'patience.deb: "deb" is not accepted; accepted: a family: apt, pacman, apk, rpm'),
        (
            '[upstreams."a.b"]\nconnections = 0',
            'upstreams."a.b".connections: 0 is not accepted; accepted: a number of at least 1',
        ),
        (
            '[upstreams."a.b"]\nrequests_per_second = 0',
            'upstreams."a.b".requests_per_second: 0 is not accepted; accepted: a number of more than 0',
        ),
        ('[upstreams."a.b"]\nburts = 1', 'upstreams."a.b".burts: no such setting; did you mean burst?'),
        *(
            (
                f'[archives.debian]\ncredentials = "{value}"',
                'archives.debian.credentials: this value is not accepted; accepted: "file:/PATH" or "systemd:NAME"',
            )
            for value in ("bearer abc", "file:relative", "systemd:a/b", "systemd:..", "/etc/a", "file:/a\\nb")
        ),
        *(
            (
                f'upstream_proxy = "{value}"',
                f'upstream_proxy: "{shown}" is not accepted; accepted: the address of an http',
            )
            for value, shown in (
                ("http://ann:s3cret@proxy.example:3128", "http://...@proxy.example:3128"),
                ("https://proxy.example", "https://proxy.example"),
                ("socks5://proxy.example", "socks5://proxy.example"),
                ("http://proxy.example/path", "http://proxy.example/path"),
                ("proxy.example:3128", "proxy.example:3128"),
            )
        ),
        ('upstream_proxy_credentials = "basic a:b"', "upstream_proxy_credentials: this value is not accepted"),
        ('upstream_proxy_except = ["10.0.0.0/8"]', 'upstream_proxy_except[0]: "10.0.0.0/8" is not accepted'),
        ('upstream_ca = "ca.pem"', 'upstream_ca: "ca.pem" is not accepted; accepted: a path that begins with /'),
        ('[archives."a/b"]', 'archives."a/b": "a/b" is not accepted; accepted: 1 to 63 lower-case letters'),
    ],
)
def test_a_mistake_says_where_what_and_what_is_accepted(load_text: Loader, text: str, line: str) -> None:
    found = mistakes(load_text, text)
    assert any(each.startswith(line) for each in found), found


@pytest.mark.parametrize(
    "text",
    [
        '[archives.debian]\nmirrors = ["https://ann:s3cret@a.example/debian"]',
        '[archives.debian]\nmirrors = ["https://ann:s3cret/x@a.example/debian"]',
        '[archives.debian]\nsnapshot = "https://ann:s3cret@a.example/debian"',
        '[archives.debian]\nsources = ["http://ann:s3cret@a.example/x"]',
        '[archives.debian]\nsources = ["docker://ann:s3cret@a.example/x"]',
        '[archives.debian]\ncredentials = "bearer s3cret"',
        '[archives.debian]\ncredentials = ["bearer s3cret"]',
        'launchpad = "https://ann:s3cret@a.example"',
    ],
)
def test_a_secret_in_the_settings_is_refused_and_not_repeated(load_text: Loader, text: str) -> None:
    (line,) = mistakes(load_text, text)
    assert "s3cret" not in line


@pytest.mark.parametrize("address", [
    "user:hunter2@proxy:3128", "socks5://user:hunter2@proxy", "HTTP://user:hunter2@proxy", "http://user:hun ter2@proxy",
    'http://user:"hunter2@proxy', "http://user:hunter2@p@proxy", "docker://user:hunter2@registry/x y",
])  # fmt: skip
def test_no_message_repeats_a_password(load_text: Loader, address: str) -> None:
    for text in (f"upstream_proxy = {json.dumps(address)}", f"[archives.debian]\nsources = [{json.dumps(address)}]"):
        lines = mistakes(load_text, text)
        assert lines
        assert not any("hunter2" in line or "hun ter2" in line for line in lines), lines


def test_a_login_in_an_address_names_the_setting_for_it(load_text: Loader) -> None:
    (line,) = mistakes(load_text, '[archives.debian]\nmirrors = ["https://ann:s3cret@a.example/debian"]')
    assert line.startswith('archives.debian.mirrors[0]: "https://...@a.example/debian" is not accepted')
    assert "`credentials` in [archives.NAME]" in line


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_no_archive_takes_a_name_of_our_own_addresses(load_text: Loader, name: str) -> None:
    text = f'[archives."{name}"]\nfamily = "apt"\nhistory = "any-instant"\nsnapshot = ["https://a.example/x"]'
    (line,) = mistakes(load_text, text)
    assert "any name except those reserved" in line


def test_a_broken_variable_is_named(load_text: Loader) -> None:
    (line,) = mistakes(load_text, "", SNAPPROXY_ARCHIVES="{debian")
    assert line.startswith("archives (or SNAPPROXY_ARCHIVES): ")


@given(st.integers(0, 10**7))
def test_a_spelled_duration_reads_back(seconds: int) -> None:
    text = format_duration(seconds)
    assert int(text[:-1]) * UNITS[text[-1]] == seconds


#: Values of every type that a file or a variable can have.
ODD_VALUES = ({}, {"a": 1}, {"debian": []}, [], [[]], [{}], "", "x", 0, -1, 1e400, float("nan"), True, None, 10**30)


def _settings_with(value: object) -> Iterator[dict[str, object]]:
    """Yield configurations in which one key, at the top, of an archive or of a watch, has this value."""
    new = {"family": "apt", "history": "captured", "mirrors": ["http://a.example/x"]}
    for key in keys():
        yield {key: value}
    for key in ARCHIVE.keys:
        yield {"archives": {"debian": {key: value}}}
        yield {"archives": {"new": new | {key: value}}}
    for key in ("archive", "paths", "every", "packages"):
        yield {"watch": [{"archive": "debian", "paths": ["dists/stable/InRelease"], key: value}]}


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_a_value_of_any_type_is_read_or_is_a_mistake(value: object) -> None:
    for settings in _settings_with(value):
        with suppress(ConfigurationError):
            load(None, {twin(key): json.dumps(each) for key, each in settings.items()})


def test_a_value_of_the_wrong_type_is_not_also_missing(load_text: Loader) -> None:
    text = '[archives.new]\nfamily = {}\nhistory = "captured"\nmirrors = ["http://a.example/x"]'
    assert mistakes(load_text, text) == [
        'archives.new.family: {} is not accepted; accepted: "apt", "pacman", "apk", "rpm"'
    ]

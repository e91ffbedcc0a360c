"""The texts for apt, read by apt itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from snapproxy.client_config.apt import DISTROS, FORMS, OWN_FORMS, AptOptions, first_steps, own, proxy_conf
from snapproxy.client_config.snippets import Snippet, user_name
from snapproxy.core.model import Archive
from snapproxy.core.time_spec import parse_time

RELEASES = [("debian", "bookworm"), ("debian", "buster"), ("debian", "sid"), ("ubuntu", "noble")]


def texts(
    form: str, distro: str = "debian", release: str = "bookworm", when: str = "2024-06-01"
) -> tuple[Snippet, ...]:
    return FORMS[form](AptOptions(DISTROS[distro], release, parse_time(when), "http://127.0.0.1:4000"))


def apt(folder: Path, *argv: str) -> str:
    """Run an apt program with a separate root."""
    for name in ("lists/partial", "archives/partial", "etc/apt.conf.d", "etc/sources.list.d"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    places = {
        "Dir::Etc": f"{folder}/etc",
        "Dir::State::lists": f"{folder}/lists",
        "Dir::State::status": f"{folder}/status",
        "Dir::Cache": str(folder),
    }
    config = folder / "apt.conf"
    config.write_text("".join(f'{key} "{value}";\n' for key, value in places.items()), encoding="utf-8")
    done = subprocess.run(
        argv, env={**os.environ, "APT_CONFIG": str(config)}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("when", "spelled"),
    [
        ("2024-06-01T00:00:00Z", "20240601T000000Z"),
        ("1717200000", "20240601T000000Z"),
        ("20240601.exact", "20240601T000000Z.exact"),
        ("20240601.nearest", "20240601T000000Z.nearest"),
        ("live", "live"),
        ("latest", "latest"),
    ],
)
def test_a_time_is_written_without_colons(when: str, spelled: str) -> None:
    assert user_name(parse_time(when)) == spelled
    assert parse_time(spelled).match is parse_time(when).match


@pytest.mark.parametrize(("distro", "release"), RELEASES)
@pytest.mark.parametrize("form", ["mirror", "list"])
def test_apt_reads_the_sources(form: str, distro: str, release: str, tmp_path: Path) -> None:
    sources, _ = texts(form, distro, release)
    name = "x.sources" if form == "mirror" else "x.list"
    apt(tmp_path, "apt-config", "dump")
    (tmp_path / "etc" / "sources.list.d" / name).write_text(sources.text, encoding="utf-8")
    asked = apt(tmp_path, "apt-get", "update", "--print-uris")
    uris = {line.split("'")[1] for line in asked.splitlines()}
    roots = {uri for uri in uris if uri.endswith("/InRelease")}
    expected = {
        ("debian", "bookworm"): {
            "debian/20240601T000000Z/dists/bookworm",
            "debian/20240601T000000Z/dists/bookworm-updates",
            "debian-security/20240601T000000Z/dists/bookworm-security",
        },
        ("debian", "buster"): {
            "debian/20240601T000000Z/dists/buster",
            "debian/20240601T000000Z/dists/buster-updates",
            "debian-security/20240601T000000Z/dists/buster/updates",
        },
        ("debian", "sid"): {"debian/20240601T000000Z/dists/sid"},
        ("ubuntu", "noble"): {
            "ubuntu/20240601T000000Z/dists/noble",
            "ubuntu/20240601T000000Z/dists/noble-updates",
            "ubuntu/20240601T000000Z/dists/noble-security",
        },
    }
    assert roots == {f"http://127.0.0.1:4000/{path}/InRelease" for path in expected[distro, release]}


@pytest.mark.parametrize("form", ["mirror", "list", "proxy", "snapshot"])
def test_every_form_sets_timeouts_and_the_error_mode(form: str, tmp_path: Path) -> None:
    conf = texts(form)[-1]
    assert conf.path.startswith("/etc/apt/apt.conf.d/")
    apt(tmp_path, "apt-config", "dump")
    (tmp_path / "etc" / "apt.conf.d" / "99snapproxy").write_text(conf.text, encoding="utf-8")
    settings = apt(tmp_path, "apt-config", "dump").splitlines()
    for line in (
        'Acquire::Check-Valid-Until "false";',
        'APT::Update::Error-Mode "any";',
        'Acquire::Retries "8";',
        'Acquire::http::Timeout "300";',
    ):
        assert line in settings


def test_the_proxy_form_names_the_time_as_user(tmp_path: Path) -> None:
    (conf,) = texts("proxy", when="2024-06-01.nearest")
    assert 'Acquire::http::Proxy "http://20240601T000000Z.nearest:x@127.0.0.1:4000";' in conf.text
    assert conf.text == proxy_conf("http://20240601T000000Z.nearest:x@127.0.0.1:4000")


def test_snapshots_are_looked_up_by_what_is_stored_and_by_host(tmp_path: Path) -> None:
    """Override needs a Release file from an earlier update; with empty lists only the host is used."""
    (conf,) = texts("snapshot")
    apt(tmp_path, "apt-config", "dump")
    (tmp_path / "etc" / "apt.conf.d" / "99snapproxy").write_text(conf.text, encoding="utf-8")
    found = {}
    for line in apt(tmp_path, "apt-config", "dump").splitlines():
        key, _, value = line.partition(" ")
        if key.startswith("Acquire::Snapshots::URI::") and value != '"";':
            found[key.removeprefix("Acquire::Snapshots::URI::")] = value.strip('";')
    base = "http://127.0.0.1:4000"
    assert found["Override::Origin::Debian"] == f"{base}/debian/@SNAPSHOTID@/"
    assert found["Override::Label::Debian-Security"] == f"{base}/debian-security/@SNAPSHOTID@/"
    assert found["Override::Origin::Ubuntu"] == f"{base}/ubuntu/@SNAPSHOTID@/"
    hosts = {key.removeprefix("Host::"): value for key, value in found.items() if key.startswith("Host::")}
    cdn = "deb." + "debian.org"
    assert {host for host, value in hosts.items() if "@PATH@" in value} == {
        cdn,
        ".debian.org",
        "ports.ubuntu.com",
        "ppa.launchpadcontent.net",
    }
    assert hosts["ppa.launchpadcontent.net"] == f"{base}/ppa/@SNAPSHOTID@/@PATH@/", (
        "the time stands before owner and name"
    )
    assert hosts["security.debian.org"] == f"{base}/debian-security/@SNAPSHOTID@/"
    for host in ("archive.ubuntu.com", ".archive.ubuntu.com", "security.ubuntu.com"):
        assert hosts[host] == f"{base}/ubuntu/@SNAPSHOTID@/"


def test_the_dockerfile_makes_the_time_part_of_the_cache_key() -> None:
    (snippet,) = texts("dockerfile")
    lines = snippet.text.splitlines()
    assert "ARG SNAPSHOT=20240601T000000Z" in lines
    assert "ARG SNAPPROXY=127.0.0.1:4000" in lines
    assert any("$SNAPSHOT:x@$SNAPPROXY" in line for line in lines)


def test_the_dockerfiles_shell_writes_what_apt_reads(tmp_path: Path) -> None:
    (snippet,) = texts("dockerfile")
    printf = next(line for line in snippet.text.splitlines() if "printf" in line)
    command = printf.removeprefix(" && ").removesuffix(" \\").replace("/etc/apt/apt.conf.d", str(tmp_path))
    subprocess.run(["sh", "-c", command], check=True)
    written = (tmp_path / "99snapproxy").read_text(encoding="utf-8")
    assert 'APT::Update::Error-Mode "any";\n' in written


def test_the_dockerfile_leaves_no_file_with_the_time_of_the_build(tmp_path: Path) -> None:
    """These are the files in which two builds of it on Debian 12 differed."""
    dated = (
        "cache/apt/pkgcache.bin",
        "cache/ldconfig/aux-cache",
        "log/apt/history.log",
        "log/apt/term.log",
        "log/dpkg.log",
    )
    for each in (*dated, "lib/dpkg/status"):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).touch()
    (snippet,) = texts("dockerfile")
    command = (
        snippet.text[snippet.text.rindex("rm -rf") :].replace("/var/", f"{tmp_path}/").replace("/etc/", f"{tmp_path}/")
    )
    subprocess.run(["sh", "-c", command], check=True)
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file()] == ["lib/dpkg/status"]


def test_one_value_serves_repro_sources_list_for_every_distribution() -> None:
    """The script appends `debian/<time>` or `ubuntu/<time>` to the value, without a slash before it."""
    (snippet,) = texts("environment")
    script = snippet.text + 'printf %s "${SNAPSHOT_ARCHIVE_BASE}debian $SOURCE_DATE_EPOCH $http_proxy"'
    output = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert output == "http://127.0.0.1:4000/debian 1717200000 http://20240601T000000Z:x@127.0.0.1:4000"


def arguments_of(script: str, program: str) -> list[str]:
    """Return the arguments that a shell script passes to a program."""
    known = "debootstrap() { :; }\nmmdebstrap() { :; }\n" + program + "() { printf '%s\\n' \"$@\"; }\n"
    done = subprocess.run(["sh", "-ec", known + script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_roots_are_built_from_the_mirror_form(tmp_path: Path) -> None:
    (snippet,) = texts("bootstrap")
    base = "http://127.0.0.1:4000/debian/20240601T000000Z"
    keyring = "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg"
    assert arguments_of(snippet.text, "debootstrap") == [keyring, "bookworm", "root", base]
    words = arguments_of(snippet.text, "mmdebstrap")
    assert '--aptopt=Acquire::Check-Valid-Until "false"' in words
    assert [word for word in words if not word.startswith("--")] == [
        "bookworm",
        "root.tar",
        *texts("list")[0].text.splitlines(),
    ]
    assert "SOURCE_DATE_EPOCH=1717200000 mmdebstrap" in snippet.text
    assert "SOURCE_DATE_EPOCH" not in texts("bootstrap", when="live")[0].text


def test_mkosi_has_one_time_for_all_archives() -> None:
    """On Ubuntu, `Mirror=` does not affect security updates: their address is fixed, so they need the proxy."""
    assert texts("mkosi")[0].text == (
        "[Distribution]\nDistribution=debian\nRelease=bookworm\n"
        "Mirror=http://127.0.0.1:4000\nSnapshot=20240601T000000Z\n"
    )
    assert texts("mkosi", "ubuntu", "noble")[0].text == (
        "[Distribution]\nDistribution=ubuntu\nRelease=noble\n"
        "[Build]\nProxyUrl=http://20240601T000000Z:x@127.0.0.1:4000\n"
    )


@pytest.mark.parametrize("keyring", ["", "/etc/apt/keyrings/docker.gpg"])
@pytest.mark.parametrize("form", ["mirror", "list"])
def test_an_archive_of_the_users_own(form: str, keyring: str, tmp_path: Path) -> None:
    row = Archive("docker", "apt", "captured", keyrings=(keyring,) if keyring else ())
    sources, _ = OWN_FORMS[form](AptOptions(own(row), "bookworm", parse_time("2024-06-01"), "http://127.0.0.1:4000"))
    apt(tmp_path, "apt-config", "dump")
    name = "x.sources" if form == "mirror" else "x.list"
    (tmp_path / "etc" / "sources.list.d" / name).write_text(sources.text, encoding="utf-8")
    asked = apt(tmp_path, "apt-get", "update", "--print-uris")
    assert "'http://127.0.0.1:4000/docker/20240601T000000Z/dists/bookworm/InRelease'" in asked
    assert sources.text.lower().count("signed-by") == bool(keyring)


def test_live_has_no_epoch() -> None:
    assert "SOURCE_DATE_EPOCH" not in texts("environment", when="live")[0].text


def test_the_status_page_shows_its_own_address() -> None:
    shown = first_steps("http://builder:99")
    assert len(shown) == len({snippet.path for snippet in shown})
    assert all("builder:99" in snippet.text for snippet in shown)
    assert "export http_proxy=http://20240601T000000Z:x@builder:99 " in shown[0].text
    assert "Check-Valid-Until=false" in shown[0].text, "the Release of updates and security has expired since"
    assert "Error-Mode=any" in shown[0].text, "without it apt exits 0 when CONNECT for an https source is refused"

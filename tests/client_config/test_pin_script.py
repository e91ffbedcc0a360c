"""The script that pins a root, in all supported shells."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.client_config.pin_script import refusal, rules, script
from snapproxy.core.model import Archive, Refusal
from snapproxy.core.routes import RouteKind, routes_of, select
from snapproxy.core.time_spec import parse_time
from tests.fakes.pinning import Shell, age, look

BASE = "http://127.0.0.1:4000"
TS = "20240601T000000Z"
PINNED = f"{BASE}/debian/{TS}/"
#: The host of the live archive, built from its domain as everywhere.
CDN = "deb" + ".debian.org"

#: An archive of each family.
ROWS = (
    *BUILTIN,
    Archive("alpine", "apk", "captured", hosts=("dl-cdn.alpinelinux.org/alpine/", "*/**/alpine/*/*/*/*")),
    Archive("fedora", "rpm", "captured", hosts=("download.example/pub/fedora/linux/",)),
    Archive("rocky", "rpm", "captured", hosts=("dl.rockylinux.org/pub/rocky/",)),
    Archive("leap", "rpm", "captured", hosts=("download.opensuse.org/",)),
    Archive("vendor", "apt", "captured", hosts=('packages.example.org:8443/apt/it\'s \\ "odd"\n/', "[::1]:99/x+y/")),
)

FILES = {
    "etc/apt/sources.list": f"""\
# deb http://{CDN}/debian bookworm main
deb http://{CDN}/debian bookworm main # see http://example.org
deb [arch=amd64 signed-by=/x]  https://security.debian.org bookworm-security main
deb-src\thttp://de.archive.ubuntu.com:80/ubuntu/ noble main
deb cdrom:[Debian]/ bookworm main
deb file:/srv/local ./
deb mirror+file:/etc/apt/mirrors/debian.list bookworm main
""",
    "etc/apt/mirrors/debian.list": f"https://{CDN}/debian\n",
    "etc/apt/sources.list.d/debian.sources": f"""\
Types: deb
URIs: HTTP://{CDN.upper()}/debian
 http://snapshot.debian.org/archive/debian/20200101T000000Z/
Suites: bookworm
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 Comment: https://example.org

# off for now
Types: deb
URIs: https://unknown.example/x
Enabled: no
""",
    "etc/apt/apt.conf.d/01other": "",
    "etc/pacman.conf": """\
[options]
Architecture = auto
[core]
Include = /etc/pacman.d/mirrorlist
[extra]
Server = https://geo.mirror.example.org/$repo/os/$arch
Include = /etc/pacman.d/mirrorlist
""",
    "etc/pacman.d/mirrorlist": """\
#Server = https://commented.example.org/$repo/os/$arch
Server = https://archive.archlinux.org/repos/2024/05/31/$repo/os/$arch
Server = https://mirror.example.org/pub/archlinux/$repo/os/$arch
""",
    "etc/apk/repositories": """\
https://dl-cdn.alpinelinux.org/alpine/v3.20/main
@edge http://mirror.example.org/pub/alpine/edge/testing
/home/me/packages
""",
    "etc/dnf/dnf.conf": "[main]\ngpgcheck=1\ntimeout=5\n",
    "etc/dnf/vars/contentdir": "pub/rocky\n",
    "etc/yum.repos.d/fedora.repo": """\
[fedora]
name=Fedora $releasever
#baseurl=http://download.example/pub/fedora/linux/releases/$releasever/Everything/$basearch/os/
metalink=https://mirrors.fedoraproject.org/metalink?repo=fedora-$releasever&arch=$basearch
enabled=1
skip_if_unavailable=True

[baseos]
mirrorlist=https://mirrors.rockylinux.org/mirrorlist?arch=$basearch&repo=BaseOS-$releasever
# baseurl=http://dl.rockylinux.org/$contentdir/$releasever/BaseOS/$basearch/os/

[other]
metalink=https://example.org/metalink
enabled = 0
""",
    "etc/zypp/repos.d/oss.repo": (
        "[oss]\nenabled=1\nbaseurl=http://download.opensuse.org/distribution/leap/15.6/repo/oss/\n"
    ),
    "etc/zypp/zypp.conf": "[main]\n## download.transfer_timeout = 180\n",
}


def make(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    age(root)
    return root


def texts(root: Path) -> dict[str, str]:
    """Return every file of a root except those in the state folder of the script."""
    found = (path for path in root.rglob("*") if path.is_file() and "snapproxy-pin" not in path.parts)
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in found}


def pin_script(when: str = TS, *, rows: tuple[Archive, ...] = ROWS, capture: str = "") -> str:
    return script(rows, parse_time(when), BASE, capture)


def pin(shell: Shell, root: Path, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
    done = shell.run(text or pin_script(), "--root", str(root), *options)
    assert done.returncode == 0, done.stderr
    return done


EXPECTED = {
    "etc/apt/sources.list": f"""\
# deb http://{CDN}/debian bookworm main
deb {PINNED} bookworm main # see http://example.org
deb [arch=amd64 signed-by=/x]  {BASE}/debian-security/{TS}/ bookworm-security main
deb-src\t{BASE}/ubuntu/{TS}/ noble main
deb cdrom:[Debian]/ bookworm main
deb file:/srv/local ./
deb mirror+file:/etc/apt/mirrors/debian.list bookworm main
""",
    "etc/apt/mirrors/debian.list": f"{PINNED}\n",
    "etc/apt/sources.list.d/debian.sources": FILES["etc/apt/sources.list.d/debian.sources"]
    .replace(f"HTTP://{CDN.upper()}/debian", PINNED)
    .replace("http://snapshot.debian.org/archive/debian/20200101T000000Z/", PINNED),
    "etc/pacman.conf": FILES["etc/pacman.conf"]
    .replace("[options]\n", "[options]\nDisableDownloadTimeout\n")
    .replace("https://geo.mirror.example.org", f"{BASE}/archlinux/{TS}"),
    "etc/pacman.d/mirrorlist": f"""\
#Server = https://commented.example.org/$repo/os/$arch
Server = {BASE}/archlinux/{TS}/$repo/os/$arch
""",
    "etc/apk/repositories": f"""\
{BASE}/alpine/{TS}/v3.20/main
@edge {BASE}/alpine/{TS}/alpine/edge/testing
/home/me/packages
""",
    "etc/dnf/dnf.conf": "[main]\ntimeout=300\nminrate=1\nskip_if_unavailable=False\ngpgcheck=1\n#timeout=5\n",
    "etc/dnf/vars/contentdir": "pub/rocky\n",
    "etc/yum.repos.d/fedora.repo": f"""\
[fedora]
name=Fedora $releasever
baseurl={BASE}/fedora/{TS}/releases/$releasever/Everything/$basearch/os/
#metalink=https://mirrors.fedoraproject.org/metalink?repo=fedora-$releasever&arch=$basearch
enabled=1
skip_if_unavailable=False

[baseos]
#mirrorlist=https://mirrors.rockylinux.org/mirrorlist?arch=$basearch&repo=BaseOS-$releasever
baseurl={BASE}/rocky/{TS}/$releasever/BaseOS/$basearch/os/

[other]
metalink=https://example.org/metalink
enabled = 0
""",
    "etc/zypp/repos.d/oss.repo": f"[oss]\nenabled=1\nbaseurl={BASE}/leap/{TS}/distribution/leap/15.6/repo/oss/\n",
    "etc/zypp/zypp.conf": "[main]\ndownload.transfer_timeout=3600\n## download.transfer_timeout = 180\n",
}


class TestPin:
    def test_every_source_of_every_client_is_pinned(self, shell: Shell, root: Path) -> None:
        done = pin(shell, root)
        found = texts(root)
        assert 'Check-Valid-Until "false"' in found.pop("etc/apt/apt.conf.d/99snapproxy")
        assert found.pop("etc/apt/apt.conf.d/01other") == ""
        assert found == EXPECTED
        off = "snapproxy: not changed, because it is disabled:"
        assert done.stderr.splitlines() == [
            f"{off} /etc/apt/sources.list.d/debian.sources: https://unknown.example/x",
            f"{off} /etc/yum.repos.d/fedora.repo: https://example.org/metalink",
        ]

    def test_undo_leaves_no_trace(self, shell: Shell, root: Path) -> None:
        before = look(root, fraction=shell.fraction)
        pin(shell, root)
        assert look(root, fraction=shell.fraction) != before
        pin(shell, root, "--undo")
        assert look(root, fraction=shell.fraction) == before
        assert pin(shell, root, "--undo").stdout == ""
        assert look(root, fraction=shell.fraction) == before

    def test_pinning_again_keeps_the_first_originals(self, shell: Shell, root: Path) -> None:
        before = look(root, fraction=shell.fraction)
        pin(shell, root, text=pin_script("20200101"))
        pin(shell, root)
        again = texts(root)
        assert {name: text for name, text in again.items() if "apt.conf.d" not in name} == EXPECTED
        pin(shell, root)
        assert texts(root) == again
        pin(shell, root, "--undo")
        assert look(root, fraction=shell.fraction) == before

    def test_a_capture_is_in_every_address(self, shell: Shell, root: Path) -> None:
        pin(shell, root, text=pin_script(capture="build-1"))
        assert {name: text.replace("/~build-1/", "/") for name, text in texts(root).items()}.items() >= EXPECTED.items()
        assert f"{BASE}/~build-1/debian/{TS}/ bookworm" in texts(root)["etc/apt/sources.list"]

    def test_our_own_address_takes_the_new_time(self, shell: Shell, tmp_path: Path) -> None:
        lines = f"deb {BASE}/debian/20200101T000000Z/x a main\ndeb {BASE}/~old/archive/debian/20200101 b main\n"
        root = make(tmp_path / "root", {"etc/apt/sources.list": lines})
        pin(shell, root)
        assert texts(root) == {"etc/apt/sources.list": f"deb {PINNED}x a main\ndeb {PINNED.rstrip('/')} b main\n"}

    def test_links_are_kept_and_followed_within_the_root(self, shell: Shell, tmp_path: Path) -> None:
        root = make(tmp_path / "root", {"etc/real/a.list": f"deb http://{CDN}/debian a main\n", "etc/apt/x": ""})
        (root / "etc/apt/sources.list").symlink_to("../real/a.list")
        age(root)
        before = look(root, fraction=shell.fraction)
        pin(shell, root)
        pin(shell, root)
        assert (root / "etc/apt/sources.list").read_text() == f"deb {PINNED} a main\n"
        assert (root / "etc/real/a.list").read_text() == f"deb http://{CDN}/debian a main\n"
        pin(shell, root, "--undo")
        assert look(root, fraction=shell.fraction) == before

    @pytest.mark.parametrize(
        ("value", "host"),
        [("http://builder:1234/", "builder:1234"), ("[::1]:3142", "[::1]:3142"), ("my_host", "my_host")],
    )
    def test_another_address_of_snapproxy_by_its_variable(
        self, shell: Shell, root: Path, value: str, host: str
    ) -> None:
        done = shell.run(pin_script(), environment={"SNAPPROXY": value, "ROOT": str(root)})
        assert done.returncode == 0
        assert f"deb http://{host}/debian/{TS}/ bookworm" in texts(root)["etc/apt/sources.list"]

    @pytest.mark.parametrize(
        "address", ["https://b", "http://", "http://a/b", "http://$(id)", "http://a b", "http://a&b"]
    )
    def test_no_other_address_is_taken(self, shell: Shell, root: Path, address: str) -> None:
        before = look(root)
        done = shell.run(pin_script(), "--root", str(root), environment={"SNAPPROXY": address})
        assert (done.returncode, done.stderr) == (1, f"snapproxy: SNAPPROXY is not http://HOST:PORT: {address}\n")
        assert look(root) == before


UNKNOWN = {
    "etc/apt/sources.list.d/a.list": "deb [signed-by=/x] https://vendor.example/debian stable main\n",
    "etc/apt/sources.list.d/b.sources": "Types: deb\nuris: tor+http://a.onion/debian\nSuites: a\n",
    "etc/apt/sources.list.d/c.list": f"deb mirror://{CDN}/debian a main\n",
    "etc/apt/sources.list.d/d.list": f"deb http://user:password@{CDN}/debian a main\n",
    "etc/apt/sources.list.d/e.list": f"deb http://{CDN}//debian a main\n",
    "etc/apt/sources.list.d/f.list": "deb mirror+file:/elsewhere/list a main\n",
    "etc/apk/repositories": "set mirror=https://dl-cdn.alpinelinux.org/alpine\n",
    "etc/yum.repos.d/a.repo": "[a]\nmetalink=https://mirrors.example/metalink?x\nenabled=1\n",
    "etc/yum.repos.d/b.repo": "[b]\nbaseurl=https://one.example/\n  https://two.example/\n",
    "etc/zypp/services.d/c.service": "[c]\nenabled=1\nurl=https://services.example/\n",
    "etc/pacman.conf": "[options]\n[mine]\nServer = https://mine.example/$arch\n",
}


class TestUnknown:
    @pytest.mark.parametrize("name", UNKNOWN)
    def test_an_unknown_source_is_an_error_and_nothing_is_changed(self, shell: Shell, root: Path, name: str) -> None:
        make(root, {name: UNKNOWN[name]})
        before = look(root)
        done = shell.run(pin_script(), "--root", str(root))
        assert done.returncode == 1
        errors = [
            line
            for line in done.stderr.splitlines()
            if not line.startswith("snapproxy: not changed, because it is disabled")
        ]
        addresses = [word.partition("mirror=")[2] or word for word in UNKNOWN[name].split() if ":/" in word]
        assert [
            any(line.startswith(f"/{name}: ") and word.partition("=")[2] in line for line in errors)
            for word in addresses
        ]
        assert len(errors) == len(addresses) + 1
        assert errors[-1].startswith(
            "snapproxy: no archive is configured for the sources above, so nothing was changed."
        )
        assert look(root) == before

    def test_unknown_sources_may_be_kept(self, shell: Shell, root: Path) -> None:
        make(root, UNKNOWN)
        before = look(root, fraction=shell.fraction)
        done = pin(shell, root, "--keep-unknown")
        assert "/etc/apt/sources.list.d/a.list: https://vendor.example/debian" in done.stderr
        found = texts(root)
        assert found["etc/apt/sources.list"] == EXPECTED["etc/apt/sources.list"]
        assert {name: found[name] for name in UNKNOWN if "pacman" not in name} == {
            name: text for name, text in UNKNOWN.items() if "pacman" not in name
        }
        pin(shell, root, "--undo")
        assert look(root, fraction=shell.fraction) == before

    def test_an_include_in_an_included_file_is_unknown(self, shell: Shell, root: Path) -> None:
        make(root, {"etc/pacman.d/mirrorlist": "Include = /etc/elsewhere\n"})
        done = shell.run(pin_script(), "--root", str(root))
        assert done.returncode == 1
        assert "/etc/pacman.d/mirrorlist: Include = /etc/elsewhere\n" in done.stderr

    def test_a_root_without_sources_is_an_error(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        done = shell.run(pin_script(), "--root", str(tmp_path))
        assert done.returncode == 1
        assert "found no package sources of apt, pacman, apk, dnf or zypper in" in done.stderr

    @pytest.mark.parametrize("options", [("--undone",), ("--root",), ("x",)])
    def test_an_unknown_option_does_nothing(self, shell: Shell, options: tuple[str, ...]) -> None:
        done = shell.run(pin_script(), *options)
        assert (done.returncode, done.stdout) == (1, "")


class TestInterrupted:
    """After a kill at any command each file is old or new, and the run can be undone and repeated."""

    @staticmethod
    def breaking(shell: Shell, folder: Path, name: str, count: int) -> Shell:
        """Return a shell in which the command `name` kills the whole run at its call number `count`."""
        folder.mkdir()
        for tool in Path(shell.tools).iterdir():
            (folder / tool.name).symlink_to(tool.readlink())
        (folder / name).unlink()
        (folder / name).write_text(
            f"#!/bin/sh\necho >> '{folder}/.turns'\n"
            f"[ $(wc -l < '{folder}/.turns') -lt {count} ] || kill -9 0\nexec '{shell.tools}/{name}' \"$@\"\n"
        )
        (folder / name).chmod(0o755)
        return Shell(shell.name, str(folder), shell.fraction)

    @pytest.mark.parametrize(
        ("verb", "name"),
        [*(("pin", each) for each in ("mv", "ln", "mkdir", "cp", "stat")), ("undo", "mv"), ("undo", "touch")],
    )
    def test_at_any_command(self, all_shells: dict[str, Shell], tmp_path: Path, name: str, verb: str) -> None:
        shell = all_shells["dash"]
        for count in (1, 2, 5):
            root = make(tmp_path / f"root{count}", FILES)
            before, old = look(root), texts(root)
            if verb == "undo":
                pin(shell, root)
            broken = self.breaking(shell, tmp_path / f"tools{count}", name, count)
            command = [f"{broken.tools}/sh", "-s", "--", "--root", str(root), *(["--undo"] if verb == "undo" else [])]
            done = subprocess.run(
                command, input=pin_script(), env={"PATH": f"{broken.tools}:/usr/bin"}, text=True, check=False,
                capture_output=True, timeout=60, start_new_session=True,
            )  # fmt: skip
            assert done.returncode == -signal.SIGKILL
            for file, text in texts(root).items():
                assert file.endswith("99snapproxy") or text in {old[file], EXPECTED.get(file)}
            pin(shell, root)
            assert texts(root).items() >= EXPECTED.items()
            pin(shell, root, "--undo")
            assert look(root) == before


HOSTS = (CDN, "ftp.de.debian.org", "security.debian.org", "a.archive.ubuntu.com", "ports.ubuntu.com", "example.org",
         "dl-cdn.alpinelinux.org", "snapshot.debian.org", "ppa.launchpadcontent.net",
         "packages.example.org:8443", "[::1]:99")  # fmt: skip
SEGMENTS = ("debian", "debian-security", "ubuntu", "alpine", "pub", "os", "core", "x86_64", "archive", "v3.20", "main",
            "apt", "x+y", "ubuntu-ports", "debian-backports", "$repo", TS)  # fmt: skip
FAMILIES = {"apt": "x", "pacman": "x", "apk": "x/y"}
"""A path that a client requests below a source, by family."""


class TestRules:
    @staticmethod
    def found(family: str, places: list[tuple[str, str]], awk: str = "mawk") -> list[tuple[str, str]]:
        """Return the (archive, rest) that the script finds for each place."""
        text = pin_script()
        program = text[text.index("# Return the archive at `host`") : text.index("# Return the path of an address in")]
        body = f'{{ family = "{family}"; host = $1; path = $2; rest = ""; print known() "\\t" rest }}'
        lines = "".join(f"{host}\t{path}\n" for host, path in places)
        done = subprocess.run(
            [awk, "-F", "\t", program + body], input=lines, capture_output=True, text=True, check=True, timeout=30
        )
        return [(row, rest) for row, _, rest in (line.partition("\t") for line in done.stdout.splitlines())]

    @given(
        st.sampled_from(sorted(FAMILIES)),
        st.lists(
            st.tuples(st.sampled_from(HOSTS), st.lists(st.sampled_from(SEGMENTS), max_size=6).map("/".join)),
            min_size=20,
        ),
    )
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_the_script_finds_the_same_archive_as_the_address_reader(
        self, family: str, places: list[tuple[str, str]]
    ) -> None:
        routes = routes_of((row for row in ROWS if row.family == family), HISTORIES)
        tail = FAMILIES[family]
        found = self.found(family, [(host, f"/{path}" if path else "") for host, path in places])
        for (host, path), (name, rest) in zip(places, found, strict=True):
            chosen = select(routes, host, f"{path}/{tail}".lstrip("/"))
            if chosen is None:
                assert name == ""
            elif chosen[0].kind is RouteKind.MIRROR:
                assert (name, f"{rest}/{tail}".lstrip("/")) == (chosen[0].archive.name, chosen[1])
            elif name:
                _, _, after = chosen[1].partition("/")
                assert (name, f"{rest}/{tail}".lstrip("/")) == (chosen[0].archive.name, after)

    @pytest.mark.parametrize("awk", ["mawk", "busybox awk"])
    @pytest.mark.parametrize(
        ("path", "answer"),
        [
            ("/core:/stable:/v1.30/deb", "k8s\t"),
            ("/core:/stable:/v1.30/deb/", "k8s\t/"),
            ("/core:/stable:/v1.30/deb/a b", "k8s\t/a b"),
            ("/core:/v1.30/deb", "\t"),
        ],
    )
    def test_a_star_in_a_path_matches_within_its_segment(self, path: str, answer: str, awk: str) -> None:
        row = Archive("k8s", "apt", "captured", hosts=("h.example/core*/*/v1.30/deb",))
        known = "function known() {\n" + "\n".join(rules((row,))) + '\n    return ""\n}\n'
        program = known + '{ family = "apt"; host = "h.example"; path = $0; rest = ""; print known() "\\t" rest }'
        done = subprocess.run(
            [*awk.split(), program], input=f"{path}\n", capture_output=True, text=True, check=True, timeout=30
        )
        assert done.stdout == f"{answer}\n"

    def test_every_built_in_archive_with_mirrors_has_a_rule(self) -> None:
        for family in FAMILIES:
            text = "\n".join(rules(ROWS))
            assert {row.name for row in ROWS if row.family == family and f'return "{row.name}"' not in text} == set()

    def test_special_characters_in_folders_are_quoted(self, all_shells: dict[str, Shell], tmp_path: Path) -> None:
        odd = "https://packages.example.org:8443/apt/it's"
        root = make(tmp_path / "root", {"etc/apt/sources.list": f"deb {odd} a main\n"})
        done = all_shells["dash"].run(pin_script(), "--root", str(root))
        assert done.returncode == 1
        assert f"/etc/apt/sources.list: {odd}\n" in done.stderr


class TestText:
    @pytest.mark.parametrize("rows", [ROWS, BUILTIN, ()])
    def test_shellcheck_finds_no_fault(self, tmp_path: Path, rows: tuple[Archive, ...]) -> None:
        file = tmp_path / "pin.sh"
        file.write_text(pin_script(rows=rows, capture="build"))
        done = subprocess.run(["shellcheck", file], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (0, "")

    def test_a_script_cut_short_does_nothing(self, all_shells: dict[str, Shell], root: Path) -> None:
        text = pin_script()
        before = look(root)
        for end in range(0, len(text) - len('main "$@"\n'), 997):
            done = all_shells["dash"].run(text[:end], environment={"ROOT": str(root)})
            assert done.stdout == ""
        assert look(root) == before

    def test_a_refusal_is_a_script_that_fails(self, shell: Shell) -> None:
        done = shell.run(refusal(Refusal(400, "it's; $(reboot)", "`why`", "\\ hint")))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "snapproxy: it's; $(reboot)\nsnapproxy: `why`\nsnapproxy: \\ hint\n"

"""The script that pins a root reads what it wrote as the clients do: no source stays live unnoticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.client_config.test_pin_script import BASE, CDN, PINNED, TS, UNKNOWN, make, pin, pin_script, texts
from tests.fakes.pinning import Shell, look

DEBIAN = f"Types: deb\nURIs: http://{CDN}/debian\nSuites: a\nComponents: main\n"
OTHER = "Types: deb\nURIs: http://other.example/x\nSuites: a\nComponents: main\n"
OFF = "Enabled: no\n"

#: Files that a client reads in another way than it seems, with what is reported. Each has a source that stays live.
MISREAD = {
    "a stanza that is not off": (
        {"etc/apt/sources.list.d/a.sources": f"{OTHER}Enabled: nope\n"},
        "http://other.example/x",
    ),
    "two settings of one stanza": (
        {"etc/apt/sources.list.d/a.sources": f"{OTHER}{OFF}Enabled: yes\n"},
        "http://other.example/x",
    ),
    "a blank line that is not empty": (
        {"etc/apt/sources.list.d/a.sources": f"{OTHER} \n{DEBIAN}{OFF}"},
        "http://other.example/x",
    ),
    "a carriage return inside a line": (
        {"etc/apt/sources.list": f"deb http://{CDN}/debian a main\rdeb http://other.example/x b main\n"},
        "a carriage return inside a line:",
    ),
    "a list of mirrors that is missing": (
        {"etc/apt/sources.list": "deb mirror+file:/etc/apt/none.list a main\n"},
        "mirror+file:/etc/apt/none.list",
    ),
    "a live address in a list of mirrors elsewhere": (
        {"etc/apt/sources.list": "deb mirror+file:///srv/m a main\n", "srv/m": "http://other.example/x\tpriority:1\n"},
        "/srv/m: http://other.example/x",
    ),
    "another file of sources": ({"etc/apt/apt.conf.d/x": 'Dir::Etc::SourceList "/srv/list";\n'}, "SourceList"),
    "a variable of apk": ({"etc/apk/repositories": "${mirror}/v3.20/main\n"}, "${mirror}/v3.20/main"),
    "a folder of apk itself": (
        {"lib/apk/repositories.d/x.list": "https://other.example/x\n"},
        "https://other.example/x",
    ),
    "a variable of dnf": ({"etc/yum.repos.d/x.repo": "[x]\nbaseurl=$mirror/x\nenabled=1\n"}, "$mirror/x"),
    "a section that is not off": (
        {"etc/yum.repos.d/x.repo": "[x]\nbaseurl=http://other.example/x\nenabled=01\n"},
        "http://other.example/x",
    ),
    "an indented key": (
        {"etc/zypp/repos.d/x.repo": "[x]\nenabled=0\n baseurl=http://other.example/x\n"},
        "baseurl=http://other.example/x",
    ),
    "a key with a colon": (
        {"etc/yum.repos.d/x.repo": "[x]\nbaseurl: http://other.example/x\n"},
        "http://other.example/x",
    ),
    "a list beside an address": (
        {"etc/yum.repos.d/x.repo": "[x]\nbaseurl=http://other.example/x\nmirrorlist=file:///srv/list\n"},
        "http://other.example/x",
    ),
    "a repository in dnf.conf": (
        {"etc/dnf/dnf.conf": "# text\n[main]\ngpgcheck=1\n[x]\nbaseurl=http://other.example/x\n"},
        "/etc/dnf/dnf.conf: http://other.example/x",
    ),
    "an override of dnf": (
        {"etc/dnf/repos.override.d/x.repo": "[x]\nbaseurl=http://other.example/x\n"},
        "http://other.example/x",
    ),
    "another folder of dnf": ({"etc/dnf/dnf.conf": "[main]\nreposdir=/srv/repos\n"}, "reposdir=/srv/repos"),
    "a service on disk": ({"etc/zypp/services.d/x.service": "[x]\nurl=file:///srv/x\n"}, "file:///srv/x"),
    "a service that is a program": (
        {"usr/lib/zypp/plugins/services/x": "#!/bin/sh\n"},
        "/usr/lib/zypp/plugins/services/x: a program that adds repositories",
    ),
    "an include that is not absolute": (
        {"etc/pacman.conf": "[options]\n[core]\nInclude = mirrors\n"},
        "Include = mirrors",
    ),
    "an include of several folders": (
        {"etc/pacman.conf": "[options]\n[core]\nInclude = /etc/*/mirrors\n"},
        "Include = /etc/*/mirrors",
    ),
}


class TestReadsWhatItWrote:
    """The script says "pinned" only if every enabled source is pinned, read as its client reads it."""

    @pytest.mark.parametrize("second", ["", f"\n{OTHER}{OFF}"])
    def test_a_file_with_carriage_returns_is_pinned(self, shell: Shell, tmp_path: Path, second: str) -> None:
        """apt reads it as if it had none; a blank line in it ends a stanza, so that the first one is not off."""
        root = make(tmp_path / "root", {"etc/apt/sources.list.d/x.sources": ""})
        file = root / "etc/apt/sources.list.d/x.sources"
        file.write_bytes(f"{DEBIAN}{second}".replace("\n", "\r\n").encode())
        pin(shell, root)
        assert file.read_text().split("\n")[:2] == ["Types: deb", f"URIs: {PINNED}"]

    @pytest.mark.parametrize(
        ("name", "text", "address"),
        [
            ("apk/repositories", "https://dl-cdn.alpinelinux.org/alpine/v3\r\n", f"{BASE}/alpine/{TS}/v3\n"),
            ("zypp/repos.d/a.repo", "[a]\r\nbaseurl=http://download.opensuse.org/x\r\n", f"={BASE}/leap/{TS}/x\n"),
            ("pacman.conf", "[core]\r\nServer = http://m.example/core/os/x\r\n", f"{BASE}/archlinux/{TS}/core/os/x\n"),
        ],
    )
    def test_so_is_one_of_any_client(
        self, all_shells: dict[str, Shell], tmp_path: Path, name: str, text: str, address: str
    ) -> None:
        root = make(tmp_path / "root", {f"etc/{name}": ""})
        (root / "etc" / name).write_bytes(text.encode())
        pin(all_shells["dash"], root)
        assert (root / "etc" / name).read_text().endswith(address)

    @pytest.mark.parametrize("name", MISREAD)
    def test_a_source_that_would_stay_live_is_refused(
        self, all_shells: dict[str, Shell], tmp_path: Path, name: str
    ) -> None:
        files, reported = MISREAD[name]
        root = make(tmp_path / "root", {"etc/apt/sources.list.d/first.sources": DEBIAN, **files})
        before = look(root)
        done = all_shells["dash"].run(pin_script(), "--root", str(root))
        assert (done.returncode, done.stdout) == (1, ""), done.stdout
        assert reported in done.stderr
        assert look(root) == before

    @pytest.mark.parametrize("text", ["deb http://a\x00b/ a main\n", "# \x0c\n", "\x1b[0m\n"])
    def test_control_characters_are_refused(self, shell: Shell, root: Path, text: str) -> None:
        make(root, {"etc/apt/sources.list.d/x.list": text})
        before = look(root)
        done = shell.run(pin_script(), "--root", str(root))
        assert (done.returncode, done.stdout) == (1, "")
        assert "/etc/apt/sources.list.d/x.list contains control characters" in done.stderr
        assert look(root) == before

    @pytest.mark.parametrize("options", [(), ("--keep-unknown",), ("--disable-unknown",)])
    @pytest.mark.parametrize(
        "files",
        [
            {"etc/apt/sources.list": "# nothing\n"},
            {"etc/apt/sources.list": "deb file:/srv a main\n"},
            {"etc/apt/sources.list.d/a.sources": f"{DEBIAN}{OFF}"},
            {"etc/yum.repos.d/a.repo": "[a]\nmetalink=https://mirrors.example/metalink?x\nenabled=1\n"},
        ],
    )
    def test_nothing_pinned_is_an_error(
        self, all_shells: dict[str, Shell], tmp_path: Path, files: dict[str, str], options: tuple[str, ...]
    ) -> None:
        root = make(tmp_path / "root", files)
        before = look(root)
        done = all_shells["dash"].run(pin_script(), "--root", str(root), *options)
        assert (done.returncode, done.stdout) == (1, "")
        assert ", so nothing was changed." in done.stderr
        assert look(root) == before

    def test_a_file_that_differs_after_the_rewrite_is_restored(
        self, all_shells: dict[str, Shell], tmp_path: Path, root: Path
    ) -> None:
        before, tools = look(root), tmp_path / "tools"
        shutil.copytree(all_shells["dash"].tools, tools, symlinks=True)
        mv = (tools / "mv").readlink()
        (tools / "mv").unlink()
        live = f"deb http://{CDN}/debian bookworm main"
        (tools / "mv").write_text(
            f'#!{tools}/sh\n[ "${{2##*/}}" = new ] && [ "${{3##*/}}" = sources.list ] && echo "{live}" >> "$2"\n'
            f'exec {mv} "$@"\n'
        )
        (tools / "mv").chmod(0o755)
        done = Shell("changing", str(tools)).run(pin_script(), "--root", str(root))
        assert done.returncode == 1
        assert f"/etc/apt/sources.list: http://{CDN}/debian\n" in done.stderr
        assert done.stderr.endswith("snapproxy: the sources above were not pinned\n")
        assert "pinned to" not in done.stdout
        assert look(root) == before

    def test_unknown_sources_may_be_disabled(self, shell: Shell, root: Path) -> None:
        files = {name: text for name, text in UNKNOWN.items() if "mirror+file" not in text}
        make(root, files)
        before = look(root, fraction=shell.fraction)
        done = pin(shell, root, "--disable-unknown")
        assert "snapproxy: disabled: /etc/apt/sources.list.d/a.list: https://vendor.example/debian\n" in done.stderr
        note = "# disabled by pin.sh, because snapproxy has no archive for it\n"
        found = texts(root)
        for name, text in files.items():
            lines = [line for line in text.splitlines(keepends=True) if line not in {"[options]\n", "enabled=1\n"}]
            if name.endswith((".repo", ".service")):
                assert found[name] == "".join([lines[0], note, "enabled=0\n", *lines[1:]])
            elif name.endswith(".sources"):
                assert found[name] == f"{text}{note}Enabled: no\n"
            else:
                assert found[name].endswith(note + "".join(f"#{line}" for line in lines))
        pin(shell, root, "--undo")
        assert look(root, fraction=shell.fraction) == before

    def test_of_a_repository_of_pacman_only_the_unknown_server_is_disabled(
        self, all_shells: dict[str, Shell], tmp_path: Path
    ) -> None:
        servers = "Server = https://a.example/core/os/x\nServer = ftp://b.example/core/os/x\n"
        root = make(tmp_path / "root", {"etc/pacman.conf": f"[core]\n{servers}"})
        pin(all_shells["dash"], root, "--disable-unknown")
        note = "# disabled by pin.sh, because snapproxy has no archive for it\n"
        assert (root / "etc/pacman.conf").read_text() == (
            f"[core]\nServer = {BASE}/archlinux/{TS}/core/os/x\n{note}#Server = ftp://b.example/core/os/x\n"
        )

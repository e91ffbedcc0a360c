"""The script that pins a root changes nothing outside of it, and removes the metadata in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client_config.test_pin_script import CDN, FILES, PINNED, make, pin, pin_script, texts
from tests.fakes.pinning import Shell, age, look


class TestStaysInTheRoot:
    """A symbolic link is followed as the system in the root would follow it: never out of the root."""

    @pytest.mark.parametrize(
        ("link", "target"),
        [
            ("etc/apt", "{outside}"),
            ("etc/apt/sources.list.d", "{outside}/sources.list.d"),
            ("etc/apt/sources.list.d", "../../../../../../../../../..{outside}/sources.list.d"),
            ("etc/apt/sources.list.d/a.list", "{outside}/sources.list.d/a.list"),
            ("etc", "{outside}"),
        ],
    )
    def test_a_link_out_of_the_root_leads_into_it(self, shell: Shell, tmp_path: Path, link: str, target: str) -> None:
        outside = tmp_path / "outside"
        line = f"deb http://{CDN}/debian a main\n"
        files = dict.fromkeys(("sources.list", "sources.list.d/a.list", "apt/sources.list"), line)
        files |= {"apt.conf.d/x": "", "apt/apt.conf.d/x": ""}
        make(outside, files)
        within = tmp_path / "root"
        make(within, {str(outside / name).lstrip("/"): text for name, text in files.items()})
        (within / link).parent.mkdir(parents=True, exist_ok=True)
        if not (within / link).exists():
            (within / link).symlink_to(target.format(outside=outside))
        age(within)
        before, inside = look(outside), look(within, fraction=shell.fraction)
        pin(shell, within)
        assert look(outside) == before
        assert PINNED in "".join(texts(within).values())
        pin(shell, within, "--undo")
        assert look(outside) == before
        assert look(within, fraction=shell.fraction) == inside

    @pytest.mark.parametrize("link", ["etc/snapproxy-pin", "etc/snapproxy-pin/old", "etc/snapproxy-pin/files"])
    @pytest.mark.parametrize("options", [(), ("--undo",)])
    def test_a_state_that_is_a_link_is_refused(
        self, all_shells: dict[str, Shell], tmp_path: Path, root: Path, link: str, options: tuple[str, ...]
    ) -> None:
        outside = make(tmp_path / "outside", {"files": "/etc/apt/sources.list\n"})
        (root / link).parent.mkdir(exist_ok=True)
        (root / link).symlink_to(outside)
        before = look(root)
        done = all_shells["dash"].run(pin_script(), "--root", str(root), *options)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{root / link} must not be a symbolic link" in done.stderr
        assert (look(root), texts(outside)) == (before, {"files": "/etc/apt/sources.list\n"})

    @pytest.mark.parametrize("name", ["added", "files"])
    @pytest.mark.parametrize("path", ["/../victim", "/etc/link/victim"])
    def test_a_name_in_the_state_does_not_lead_out(
        self, all_shells: dict[str, Shell], tmp_path: Path, root: Path, name: str, path: str
    ) -> None:
        (tmp_path / "victim").write_text("kept")
        (root / "etc/link").symlink_to(tmp_path)
        make(root, {f"etc/snapproxy-pin/{name}": f"{path}\n", "etc/snapproxy-pin/old/victim": "moved"})
        done = all_shells["dash"].run(pin_script(), "--root", str(root), "--undo")
        assert done.returncode == 1
        assert (tmp_path / "victim").read_text() == "kept"

    def test_a_loop_of_links_is_an_error(self, all_shells: dict[str, Shell], tmp_path: Path) -> None:
        root = make(tmp_path / "root", {"etc/x": ""})
        (root / "etc/apt").symlink_to("apt")
        done = all_shells["dash"].run(pin_script(), "--root", str(root))
        assert (done.returncode, done.stdout) == (1, "")
        assert "too many symbolic links in /etc/apt" in done.stderr


METADATA = (
    "var/lib/apt/lists/host_debian_dists_a_InRelease",
    "var/lib/apt/lists/partial/host_debian_dists_a_InRelease",
    "var/cache/apt/pkgcache.bin",
    "var/lib/pacman/sync/core.db",
    "var/lib/pacman/sync/core.db.sig",
    "var/cache/apk/APKINDEX.01234567.tar.gz",
    "var/cache/dnf/fedora.solv",
    "var/cache/dnf/fedora-0123456789abcdef/repodata/repomd.xml",
    "var/cache/libdnf5/fedora-0123456789abcdef/solv/fedora.solv",
    "var/cache/zypp/raw/repo-oss/repodata/repomd.xml",
    "var/cache/zypp/solv/repo-oss/solv",
)
PACKAGES = (
    "var/lib/apt/lists/lock",
    "var/cache/apt/archives/a.deb",
    "var/lib/pacman/local/a/desc",
    "var/cache/pacman/pkg/a.pkg.tar.zst",
    "var/cache/apk/a-1-r0.01234567.apk",
    "var/cache/dnf/fedora-0123456789abcdef/packages/a.rpm",
    "var/cache/zypp/packages/repo-oss/a.rpm",
)


class TestMetadata:
    """A client that keeps metadata would go on with it: apt with a newer list, the others for some hours."""

    def test_it_is_removed_when_the_time_changes(self, shell: Shell, root: Path) -> None:
        for options in ((), ("--undo",)):
            make(root, dict.fromkeys((*METADATA, *PACKAGES), ""))
            pin(shell, root, *options)
            assert [name for name in METADATA if (root / name).exists()] == []
            assert [name for name in PACKAGES if not (root / name).exists()] == []

    def test_a_refused_run_keeps_it(self, all_shells: dict[str, Shell], root: Path) -> None:
        make(root, {**dict.fromkeys(METADATA, ""), "etc/apk/repositories": "https://other.example/x\n"})
        assert all_shells["dash"].run(pin_script(), "--root", str(root)).returncode == 1
        assert [name for name in METADATA if not (root / name).exists()] == []

    def test_it_is_removed_where_pacman_keeps_it(self, all_shells: dict[str, Shell], root: Path) -> None:
        text = FILES["etc/pacman.conf"].replace("[options]\n", "[options]\nDBPath = /srv/db/\n")
        make(root, {"srv/db/sync/core.db": "", "etc/pacman.conf": text})
        pin(all_shells["dash"], root)
        assert not (root / "srv/db/sync/core.db").exists()

    @pytest.mark.parametrize(
        "link", ["var", "var/lib/apt", "var/lib/apt/lists", "var/lib/pacman/sync", "var/cache/dnf/x"]
    )
    def test_none_is_removed_outside_of_the_root(
        self, all_shells: dict[str, Shell], tmp_path: Path, root: Path, link: str
    ) -> None:
        outside = make(
            tmp_path / "outside", dict.fromkeys(("a_b", "lists/a_b", "lib/apt/lists/a_b", "core.db", "repodata/x"), "")
        )
        before = look(outside)
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(outside)
        pin(all_shells["dash"], root)
        assert look(outside) == before

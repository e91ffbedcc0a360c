"""The script that pins a root changes nothing outside of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client_config.test_pin_script import CDN, PINNED, make, pin, pin_script, texts
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

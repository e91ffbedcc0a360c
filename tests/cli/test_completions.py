"""The generated completions in the real shells, on a terminal, and the man pages in the real man."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import generate_manuals
from snapproxy.cli.verbs import VERBS

SETUP = {
    "bash": "source {folder}/completions/bash/snapproxy",
    "zsh": "fpath=({folder}/completions/zsh $fpath); autoload -Uz compinit; compinit -u -D",
    "fish": "source {folder}/completions/fish/snapproxy.fish",
}
START = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}


_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\b\x07]")


class Terminal:
    """A shell on a terminal. Everything that it prints is in `shown`."""

    def __init__(self, command: tuple[str, ...], home: Path) -> None:
        self.shown = ""
        self.pid, self._side = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(OSError):
                os.execvpe(
                    command[0], command, {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "PS1": "$ "}
                )
            os._exit(127)

    def type(self, keys: str) -> None:
        os.write(self._side, keys.encode())

    def wait_for(self, text: str) -> None:
        """Wait until the shell has printed a text, regardless of spaces and of the movements of its cursor."""
        deadline = time.monotonic() + 60
        while text not in re.sub(" +", " ", _ESCAPES.sub("", self.shown)):
            assert time.monotonic() < deadline, self.shown
            if select.select([self._side], [], [], 0.2)[0]:
                self.shown += os.read(self._side, 4096).decode(errors="replace")

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._side)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated files."""
    folder = tmp_path_factory.mktemp("manuals")
    generate_manuals.write(folder)
    return folder


@pytest.fixture(params=sorted(SETUP))
def shell(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Iterator[Terminal]:
    """A shell that has loaded its completion."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    terminal = Terminal(START[request.param], tmp_path)
    terminal.type(f"{SETUP[request.param].format(folder=folder)}; echo rea''dy\n")
    terminal.wait_for("ready\r")
    yield terminal
    terminal.close()


def test_a_verb_an_action_and_an_option_are_completed(shell: Terminal) -> None:
    shell.type("snapproxy ca\t")
    shell.wait_for("snapproxy capture")
    shell.type("sh\t")
    shell.wait_for("capture show")
    shell.type("--js\t")
    shell.wait_for("--json")


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_the_man_page_renders_without_a_warning(folder: Path, verb: str) -> None:
    page = folder / "man" / f"{f'snapproxy-{verb}' if verb else 'snapproxy'}.1"
    done = subprocess.run(
        ["man", "--warnings", "-l", str(page)],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MANROFFSEQ": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    summary = VERBS[verb] if verb else "show package archives as they were at one instant"
    assert f"{page.stem} - {summary}" in " ".join(done.stdout.split())
    assert "Generated from" not in done.stdout

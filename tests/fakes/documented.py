"""Every command line of the pages, how the tests cover it, and why some lines are not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.fakes.pages import blocks

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

RUN = (
    "snapproxy --version",
    "snapproxy config check",
    "snapproxy resolve debian 2024-06-01",
    "snapproxy fetch debian 2024-06-01 dists/bookworm/InRelease --output-dir downloads",
    "snapproxy run --at 2024-06-01 --lock snapproxy.lock.json -- make image",
    "snapproxy run --at 20240601T000000Z --lock snapproxy.lock.json -- make image",
    "snapproxy lock show snapproxy.lock.json",
    "snapproxy lock show snapproxy.lock.json --format cyclonedx",
    "snapproxy verify snapproxy.lock.json",
    "snapproxy run --locked snapproxy.lock.json -- make image",
    "snapproxy run --locked snapproxy.lock.json --summary used.json -- make image",
    "snapproxy run --locked snapproxy.lock.json --offline -- make image",
    "snapproxy reproduce --lock snapproxy.lock.json --output image.tar -- make image",
    "snapproxy run --at 2024-06-01 --summary used.json -- make image",
    "snapproxy run --at 20240601T000000Z --capture mybuild -- make image",
    "snapproxy capture show mybuild",
    "snapproxy lock mybuild --output snapproxy.lock.json",
    "snapproxy verify mybuild",
    "snapproxy run --offline --capture mybuild -- make image",
    "snapproxy export mybuild oci-archive:mybuild.tar",
    "snapproxy export mybuild dir:repository",
)
"""Lines that `tests/journeys/test_documented_commands.py` runs as they are on the pages, in this order."""

ELSEWHERE = {
    "snapproxy attach *": "tests/cli/test_carrying_verbs.py",
    "snapproxy backup *": "tests/cli/test_backup.py",
    "snapproxy bad *": "tests/cli/test_verbs.py",
    "snapproxy bisect *": "tests/journeys/test_bisecting.py",
    "snapproxy capture diff *": "tests/cli/test_capture_verb.py",
    "snapproxy diff *": "tests/cli/test_diffing.py",
    "snapproxy doctor*": "tests/cli/test_doctor.py",
    "snapproxy export * --as-image *": "tests/journeys/test_apt_image.py",
    "snapproxy export * docker://*": "tests/cli/test_carrying_verbs.py",
    "snapproxy export tools oci-archive:*": "tests/cli/test_carrying_verbs.py",
    "snapproxy fsck*": "tests/cli/test_fsck.py",
    "snapproxy import *": "tests/cli/test_carrying_verbs.py",
    "snapproxy lock diff *": "tests/cli/test_lock.py",
    "snapproxy lock tools *": "tests/cli/test_lock.py",
    "snapproxy gc *": "tests/cli/test_space_verbs.py",
    "snapproxy pin *": "tests/cli/test_space_verbs.py",
    "snapproxy unpin *": "tests/cli/test_space_verbs.py",
    "snapproxy stats": "tests/cli/test_space_verbs.py",
    "snapproxy token *": "tests/cli/test_token.py",
    "snapproxy observe *": "tests/journeys/test_observed_archive.py",
    "snapproxy prefetch *": "tests/journeys/test_prefetched_closures.py",
    "snapproxy reproduce --from *": "tests/cli/test_reproduce_list.py",
    "snapproxy resolve opensuse-tumbleweed *": "tests/journeys/test_tumbleweed.py",
    "snapproxy restore *": "tests/cli/test_backup.py",
    "snapproxy run --at * -- apt-get *": "tests/journeys/test_command_line.py",
    "snapproxy serve --from *": "tests/cli/test_serve_from.py",
    "snapproxy serve *": "tests/journeys/test_life_cycle.py",
    "snapproxy sources *": "tests/house/test_pages.py",
    "snapproxy stats *": "tests/cli/test_verbs.py",
    "snapproxy timeline *": "tests/cli/test_observing.py",
    "snapproxy when *": "tests/journeys/test_when.py",
}
"""Lines that need an upstream, a registry or packages of their own: the test that runs such a line."""

PROGRAMS = {
    "apt-get": "tests/journeys run it with these options in a private root",
    "buildah": "tests/journeys/test_replayed_images.py builds images with it",
    "cd": "changes the folder of the shell",
    "chroot": "the root of the user's own test",
    "cp": "copies a file of the user",
    "curl": "tests/journeys/test_pin_script.py and tests/web request the same addresses",
    "docker": "Docker cannot run in the tests; buildah builds the same files",
    "dpkg-query": "prints the packages of the machine",
    "export": "sets a variable of the shell; tests/house/test_readme.py reads its value",
    "git": "needs a server",
    "kubectl": "a cluster cannot run in the tests; tests/house/test_examples.py validates the manifest",
    "make": "tests/house/test_readme.py checks that each target exists",
    "mmdebstrap": "tests/journeys/test_bootstrapping.py",
    "pip": "tests/house/test_packaging.py builds the wheel",
    "pipx": "an installer that the tests do not have",
    "podman": "tests/journeys/test_container_image.py builds the image with buildah and runs its root",
    "python3": "makes the environment of the program",
    "rm": "removes files of the user",
    "sh": "tests/journeys/test_pin_script.py runs the script",
    "systemctl": "no systemd runs in the tests; tests/house/test_packaging.py verifies the units",
    "uv": "an installer that the tests do not have",
    **dict.fromkeys(
        ("install", "journalctl", "ln", "systemd-analyze", "systemd-sysusers", "systemd-tmpfiles", "userdel"),
        "administers the machine; tests/house/test_packaging.py compares the files with those of the project",
    ),
}
"""Programs other than ours: what covers their lines, or why nothing does."""


_HERE_DOCUMENT = re.compile(r"^(.*<<-?\s*'?(\w+)'?.*\n)(?:.*\n)*?\2$\n?", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One simple command of a page: a line may have several, joined by `|` and `&&`."""

    page: str
    line: str
    words: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        return self.words[0] == "snapproxy"

    @property
    def text(self) -> str:
        return shlex.join(self.words)


def documented() -> Iterator[Command]:
    """Yield every command of the shell blocks of all pages, in order."""
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8"), "sh"):
            for line in _HERE_DOCUMENT.sub(r"\1", block).replace("\\\n", " ").splitlines():
                for words in _simple_commands(line):
                    yield Command(page.relative_to(ROOT).as_posix(), line, words)


def _simple_commands(line: str) -> Iterator[tuple[str, ...]]:
    """Yield the commands of a line, without assignments, `sudo` with its options, and the folder of a program."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    words: list[str] = []
    for token in [*lexer, ";"]:
        if token.strip("|&;"):
            words.append(token)
            continue
        while words and (re.match(r"[A-Za-z_]+=", words[0]) or words[0] == "sudo"):
            is_sudo = words.pop(0) == "sudo"
            while is_sudo and words and words[0].startswith("-"):
                del words[: 1 if "=" in words[0] else 2]
        if words:
            yield (words[0].rpartition("/")[2], *words[1:])
        words = []


def pattern_of(command: Command) -> str:
    """Return the first pattern of ELSEWHERE that a command of ours matches, '' if none does."""
    line = " ".join(command.words)
    return next((pattern for pattern in ELSEWHERE if fnmatchcase(line, pattern)), "")

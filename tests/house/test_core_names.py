"""The core decides for every distribution and names none: no package manager, no archive, no file of theirs."""

from __future__ import annotations

import re
from pathlib import Path

NAMES = re.compile(
    r"\b(apt|apt-get|debian|ubuntu|launchpad|dnf|zypper|yum|pacman|arch ?linux|alpine|apk|fedora|opensuse|tumbleweed"
    r"|rpm|InRelease|Packages\.xz|Sources\.xz|repomd|APKINDEX)\b",
    re.IGNORECASE,
)


def test_the_core_names_no_distribution(root: Path) -> None:
    files = sorted((root / "snapproxy" / "core").glob("*.py"))
    assert len(files) > 20
    found = {
        f"{file.name}:{number}": hit.group()
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if (hit := NAMES.search(line))
    }
    assert found == {}

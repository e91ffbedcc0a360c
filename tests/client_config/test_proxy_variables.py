"""Every text of the proxy form sends https requests to the proxy too, which refuses them.

With `http_proxy` alone, pacman, apk, dnf, zypper, curl and wget request https sources directly and exit 0 with current
packages (measured with each of them).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapproxy.client_config import Snippet, apk, apt, first_steps, pacman, rpm
from snapproxy.core.time_spec import parse_time

ROOT = Path(__file__).parents[2]
WHEN = parse_time("2024-06-01")
VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
_SETS_HTTP = re.compile(r"(?<![\w$])(?:http_proxy|HTTP_PROXY)=")
_SETS_HTTPS = re.compile(r"(?<![\w$])https_proxy=")


def snippets() -> Iterator[tuple[str, Snippet]]:
    every = (
        (apt.FORMS, apt.AptOptions(apt.DISTROS["debian"], "bookworm", WHEN)),
        (pacman.FORMS, pacman.PacmanOptions(WHEN)),
        (apk.FORMS, apk.ApkOptions("v3.20", WHEN)),
        (rpm.FORMS, rpm.RpmOptions("fedora", "updates", WHEN)),
    )
    for forms, options in every:
        for name, form in forms.items():
            for snippet in form(options):  # type: ignore[operator]
                yield f"{type(options).__name__} {name}", snippet
    for snippet in first_steps("http://127.0.0.1:3142"):
        yield f"page {snippet.path}", snippet


SHELL = {name: snippet.text for name, snippet in snippets() if _SETS_HTTP.search(snippet.text)}


def test_the_forms_that_set_variables_are_found() -> None:
    assert {name.split()[0] for name in SHELL} == {"AptOptions", "PacmanOptions", "ApkOptions", "RpmOptions", "page"}


@pytest.mark.parametrize("name", SHELL)
def test_a_text_that_sets_one_variable_sets_all_in_both_cases(name: str) -> None:
    """The lines are run by a shell whose own variables name other proxies and exceptions."""
    exports = [line for line in SHELL[name].replace("RUN ", "").splitlines() if "export " in line and "_proxy" in line]
    script = "SNAPPROXY=127.0.0.1:3142 SNAPSHOT=20240601T000000Z\n"
    script += "".join(f"{line.strip().removeprefix('&& ').removesuffix(chr(92))}\n" for line in exports)
    script += "".join(f'printf "%s\\n" "${each}"\n' for each in (*VARIABLES, "no_proxy", "NO_PROXY"))
    other = dict.fromkeys((*VARIABLES, "no_proxy", "NO_PROXY"), "http://other")
    output = subprocess.run(["/bin/sh", "-ec", script], env=other, capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == [*["http://20240601T000000Z:x@127.0.0.1:3142"] * len(VARIABLES), "", ""]


@pytest.mark.parametrize("page", ["README.md", "docs", "examples"])
def test_a_documented_command_that_sets_one_variable_sets_the_other(page: str) -> None:
    found = 0
    files = [ROOT / page] if (ROOT / page).is_file() else sorted((ROOT / page).rglob("*"))
    for file in files:
        if file.suffix not in {".md", ".yaml", ".debian", ".ubuntu", ".alpine", ".arch", ".fedora", ".opensuse"}:
            continue
        text = file.read_text(encoding="utf-8")
        blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) if file.suffix == ".md" else [text]
        for block in blocks:
            if _SETS_HTTP.search(block):
                found += 1
                assert _SETS_HTTPS.search(block), f"{file}:\n{block}"
    assert found

"""Print client configuration for a distribution or an archive at a time."""

from __future__ import annotations

import argparse
import platform

from snapproxy.cli.messages import print_json
from snapproxy.client_config import Snippet, apk
from snapproxy.client_config.apt import DISTROS
from snapproxy.client_config.choice import SCRIPT, ChosenSources, chosen_snippets
from snapproxy.config import load


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    snippets = _snippets(arguments)
    if arguments.json:
        print_json({"form": arguments.form, "files": [{"path": each.path, "text": each.text} for each in snippets]})
    else:
        print("\n".join(f"# {each.path}\n{each.text}" if each.path else each.text for each in snippets), end="")
    return 0


def _snippets(arguments: argparse.Namespace) -> tuple[Snippet, ...]:
    suite = arguments.suite or ""
    is_own = not suite and arguments.form != SCRIPT
    choice = ChosenSources(
        distro=arguments.distro,
        time=arguments.time,
        form=arguments.form,
        suite=suite or (own_release(arguments.distro) if is_own else ""),
        repo=arguments.repo,
        base=arguments.base,
        any_suite=arguments.any_suite or is_own,
    )
    return chosen_snippets(choice, lambda: load(arguments.config).archives)


def own_release(distro: str) -> str:
    """Return the release of this machine, '' unless it runs `distro`: a guess could mix two releases."""
    field = "VERSION_ID" if distro == apk.ALPINE else "VERSION_CODENAME" if distro in DISTROS else ""
    try:
        machine = platform.freedesktop_os_release() if field else {}
    except OSError:
        return ""
    return machine.get(field, "") if machine.get("ID") == distro else ""

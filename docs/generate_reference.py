"""Generate the pages of commands and settings and the example Dockerfiles from the code.

`make docs` runs this and then builds the site. `tests/house/test_reference.py` compares the committed files with the
code, so a changed help text, setting or client configuration needs `make docs` in the same commit.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snapproxy.archives import HISTORIES
from snapproxy.archives.dated_addresses import DatedSettings
from snapproxy.base.metrics import OTHERS
from snapproxy.base.shared_counts import MAX_LABEL_VALUES
from snapproxy.cli import main as snapproxy
from snapproxy.cli.parser import build_parser
from snapproxy.config.archives import ARCHIVE, SETTLE_AFTER
from snapproxy.config.schema import Key
from snapproxy.config.settings import FILE_VARIABLE, UPSTREAM, WATCH, keys, twin
from snapproxy.config.value_types import KEPT, format_duration
from snapproxy.core.model import Archive
from snapproxy.families import FAMILIES
from snapproxy.monitoring.measured import ALL

COMMAND = "make docs"
"""The command that writes the pages again."""

_WIDTH = 100
_NOTE = f"<!-- Generated from the code by `{COMMAND}`. Do not edit. -->\n"
_PLAIN = Archive(name="", family="", history="")

ARCHIVE_FIELDS = {
    "family": f"format of the packages: {', '.join(FAMILIES)}",
    "history": f"how past states are obtained: {', '.join(HISTORIES)}",
    "snapshot": "base addresses of the past states, best first. Not used by `captured`",
    "mirrors": "base addresses of the present state, used for `live` and for files with a known digest",
    "sources": "registries or other snapproxies that are asked for a file by its SHA-256 before the mirrors",
    "hosts": "`host/prefix` patterns that the proxy form maps to this archive; `*` matches within one label or "
    "one segment of the path, or replaces the whole host",
    "keyrings": "absolute paths of OpenPGP keyrings, binary (`.gpg`) or ASCII-armored (`.asc`); for apk PEM keys or a "
    "folder of them",
    "redirects": "other hosts to which its upstreams may redirect; `*.example.org` means all hosts below",
    "max_gap": "longest distance between two snapshots across which a time is still answered",
    "settle_after": "age at which the newest snapshot counts as settled",
    "frozen": "`true` for an archive that has ended: its last snapshot answers for every later time",
    "first": "the earliest time that the archive can answer",
    "scope": "number of path segments between the base address and the time in an upstream address. "
    "Launchpad's PPAs have 3: `OWNER/PPA/ubuntu/TIME/...`",
    "folder": "`dated` only: the folder of one day below the base; YYYY, MM and DD are replaced",
    "days": "`dated` only: path, below the base, of a text file with the days that exist, one a line, each written as "
    "in `folder` (`20240601` for YYYYMMDD); empty if the archive has no such file, and each day must be requested",
    "bad": "times of snapshots that must not be used",
    "credentials": "the place of the login for its bases, `file:/PATH` or `systemd:NAME`; see "
    "[a repository that requires a login](../guides/vendor-repositories.md#a-repository-that-requires-a-login)",
    "credentials_over_http": "`true` to send the login to bases of plain http as well, where others can read it",
    "upstream_ca": "file of certificate authorities, in PEM form, that its upstreams may have besides the system's",
}
"""Meaning of each field of `[archives.NAME]`, in the order of the model."""


def _hours(seconds: float) -> str:
    """Write a duration as the help texts do: in hours, also from 24 on."""
    return f"{int(seconds) // 3600}h"


_ARCHIVE_DEFAULTS = {
    "family": "required for a new archive",
    "history": "required for a new archive",
    "snapshot": "required for a new archive, except with `captured`",
    "mirrors": "required for a new `captured` archive",
    "max_gap": f"`max_gap` of the file, else `{_hours(_PLAIN.max_gap)}`",
    "settle_after": f"`settle_after` of the file, else `{_hours(_PLAIN.settle_after)}` "
    f"({', '.join(f'{name} `{_hours(age)}`' for name, age in SETTLE_AFTER.items())})",
    "frozen": "`false`",
    "credentials_over_http": "`false`",
    "upstream_ca": "`upstream_ca` of the file",
    "scope": f"`{_PLAIN.scope}`",
    "folder": f"`{DatedSettings().folder}`",
}

UPSTREAM_FIELDS = {
    "connections": "number of connections at the same time, over all processes that share the store",
    "requests_per_second": "average rate of requests",
    "burst": "number of requests that may be sent without waiting after a pause",
}
"""Meaning of each field of `[upstreams."HOST"]`."""

WATCH_FIELDS = {
    "archive": "name of an archive",
    "paths": "roots or indexes that are observed together",
    "every": "interval between two observations",
    "packages": f"packages that are kept: {', '.join(f'`{each}`' for each in KEPT)}. `all` downloads every listed "
    "package, `used` keeps the packages that clients asked for, `none` keeps no package",
}
"""Meaning of each field of `[[watch]]`."""


def _subparsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001 -- argparse has no public way to list subcommands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- as above
            for choice in action._choices_actions:  # noqa: SLF001 -- as above
                yield choice.dest, choice.help or "", action.choices[choice.dest]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _name(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return f"`{value}`"
    shown = [name if action.nargs == 0 else f"{name} {value}" for name in action.option_strings]
    return ", ".join(f"`{name}`" for name in shown)


def _arguments(parser: argparse.ArgumentParser) -> str:
    rows = [
        f"| {_name(action)} | {_cell((action.help or '').replace('%%', '%'))} |"
        for action in parser._actions  # noqa: SLF001 -- as above
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)  # noqa: SLF001 -- as above
        and action.help != argparse.SUPPRESS
    ]
    return "\n".join(["| argument | meaning |", "|---|---|", *rows]) + "\n" if rows else ""


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _verb(name: str, brief: str, parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} {name}\n"
    if parser.description or brief:
        yield _wrapped(parser.description or brief) + "\n"
    if table := _arguments(parser):
        yield table
    # The epilog of `serve` is the list of settings, which has a page of its own.
    if parser.epilog and name != "serve":
        yield f"```text\n{textwrap.dedent(parser.epilog).strip(chr(10)).rstrip()}\n```\n"
    for action, help_text, subparser in _subparsers(parser):
        yield from _verb(f"{name} {action}", help_text, subparser, level + 1)


def commands() -> str:
    """Return the page of all commands."""
    parser = build_parser()
    verbs = list(_subparsers(parser))
    table = [f"| [`{name}`](#{name}) | {_cell(brief)} |" for name, brief, _ in verbs]
    parts = [
        _NOTE,
        "# Commands\n",
        _wrapped(
            "`snapproxy COMMAND --help` prints the same text. Exit codes: 0 success, 1 failure, 2 wrong usage or "
            "configuration, 130 interrupted. `run` returns the exit code of its command; 126 and 127 mean, as in a "
            "shell, that the command could not be started. Settings: see [settings](settings.md)."
        )
        + "\n",
        "\n".join(["| command | purpose |", "|---|---|", *table]) + "\n",
    ]
    for name, brief, verb in verbs:
        parts += _verb(name, brief, verb, 2)
    return "\n".join(parts)


_VALUES = """\
## How values are written

| value | form |
|---|---|
| size | a number with a unit, decimal or binary: `500GB`, `1.5TB`, `64GiB` |
| duration | a number with a unit: `90s`, `30m`, `48h`, `7d`, `2w`. `snapproxy config show` prints the largest unit: \
`2d` for `48h` |
| listen address | `ADDRESS:PORT`, for IPv6 `[ADDRESS]:PORT`; port 0 means any free port |
| host in `pass` | `HOST:PORT`, or `HOST` for ports 80 and 443 |
| base address | `http://` or `https://`, without user, query or fragment |
| source by digest | `docker://REGISTRY/REPOSITORY` without a tag, or the address of another snapproxy or of a \
registry that needs no login |
| host pattern | `host/prefix` without a scheme, such as `*.debian.org/debian`; `/**/` in the prefix matches any \
folders |
| time | `20240601T000000Z`, `2024-06-01` or `1717200000`; `default_when` accepts `live` as well |
| path of an index | the path in the archive, such as `dists/stable/InRelease` |

An archive name has at most 63 lower-case letters, digits and hyphens, and begins with a letter or a
digit. The first segments of snapproxy's own addresses are
[reserved](addresses-and-times.md#reserved-names).

## All settings

Names and meanings of settings are stable: scripts may rely on them. `examples/config.toml` in the
repository is a complete file with comments, and `snapproxy serve --help` prints the same list. In
the environment a table is one variable: `SNAPPROXY_ARCHIVES={"debian": {"max_gap": "72h"}}`.
"""


def _table(heading: str, fields: Mapping[str, Key], meaning: Mapping[str, str], default: Mapping[str, str]) -> str:
    if list(fields) != list(meaning):
        raise SystemExit(
            f"docs/generate_reference.py: the fields of {heading} are {list(fields)}; describe each of them"
        )
    rows = [f"| `{name}` | {_cell(meaning[name])} | {default.get(name, '')} |" for name in fields]
    return "\n".join(["| field | meaning | default |", "|---|---|---|", *rows]) + "\n"


def settings() -> str:
    """Return the page of all settings."""
    rows = [f"| `{key}` | `{twin(key)}` | {_cell(field.description)} |" for key, field in keys().items()]
    watch_defaults = {
        "archive": "required",
        "paths": "required",
        "every": f"`{format_duration(WATCH.keys['every'].default)}`",
        "packages": f"`{WATCH.keys['packages'].default}`",
    }
    return "\n".join(
        [
            _NOTE,
            "# Settings\n",
            _wrapped(
                "No setting is required. snapproxy reads the TOML file that `--config` names, else the file in "
                f"`${FILE_VARIABLE}`, else `/etc/snapproxy/config.toml` if it exists. Each setting has an environment "
                "variable, which overrides the file. Tables and lists are written as JSON in a variable; an empty "
                "variable counts as unset. Unknown settings and unknown `SNAPPROXY_` variables are errors. "
                "`snapproxy config check` reports all errors together; `snapproxy config show` prints the effective "
                "configuration."
            )
            + "\n",
            _VALUES,
            "\n".join(["| setting | variable | meaning |", "|---|---|---|", *rows]) + "\n",
            "## `[archives.NAME]`\n",
            _wrapped(
                "Overrides fields of a built-in archive, or adds an archive. Lists replace the built-in list. "
                "[Vendor repositories](../guides/vendor-repositories.md) shows complete examples; "
                "[archives](../explain/archives.md) lists the built-in archives."
            )
            + "\n",
            _table("[archives.NAME]", ARCHIVE.keys, ARCHIVE_FIELDS, _ARCHIVE_DEFAULTS),
            '## `[upstreams."HOST"]`\n',
            _wrapped(
                "Limits for the requests that snapproxy sends to one host. Without a table, hosts of past states have "
                "2 connections, 0.7 requests a second and a burst of 30; hosts in `sources` have 16 connections; all "
                "other hosts have 4 connections. See [run a server](../guides/run-a-server.md#rate-limits)."
            )
            + "\n",
            _table('[upstreams."HOST"]', UPSTREAM.keys, UPSTREAM_FIELDS, {}),
            "## `[[watch]]`\n",
            _wrapped(
                "An observation that `snapproxy serve` repeats. The table may occur several times, also for one "
                "archive. The roots in `paths` of one table are observed together, as one consistent state. "
                "Examples: [Alpine](../guides/alpine.md), [vendor repositories](../guides/vendor-repositories.md)."
            )
            + "\n",
            _table("[[watch]]", WATCH.keys, WATCH_FIELDS, watch_defaults),
        ]
    )


@dataclass(frozen=True)
class Example:
    """A Dockerfile: the base image, the arguments of `snapproxy sources`, and replacements in its output.

    The form for rpm archives prints a complete Dockerfile for dnf; `base` is empty then, and zypper needs replacements.
    """

    name: str
    base: str
    arguments: str
    replacements: tuple[tuple[str, str], ...] = ()


EXAMPLES = (
    Example("debian", "debian:bookworm-slim", "debian --suite bookworm --at 2024-06-01"),
    Example("ubuntu", "ubuntu:24.04", "ubuntu --suite noble --at 2024-06-01"),
    Example("arch", "archlinux:latest", "archlinux --at 2024-06-01"),
    Example("alpine", "alpine:3.22", "alpine --suite v3.22 --at 20261120T120000Z"),
    Example("fedora", "", "fedora --at 20261120T120000Z", (("FROM fedora\n", "FROM fedora:42\n"),)),
    Example(
        "opensuse",
        "",
        "opensuse-tumbleweed --at 20261120T120000Z",
        (
            ("FROM fedora\n", "FROM opensuse/tumbleweed\n"),
            ("dnf -y install", "zypper --non-interactive install"),
            ("dnf clean all", "zypper clean --all"),
        ),
    ),
)
"""One Dockerfile for each distribution."""


def dockerfile(example: Example) -> str:
    """Return an example Dockerfile: a comment, FROM, and the output of `snapproxy sources`."""
    arguments = f"sources {example.arguments} --form dockerfile"
    with contextlib.redirect_stdout(io.StringIO()) as output:
        if snapproxy(shlex.split(arguments)):
            raise SystemExit(f"snapproxy {arguments} failed")
    text = output.getvalue().removeprefix("# Dockerfile\n")
    for old, new in example.replacements:
        if old not in text:
            raise SystemExit(f"snapproxy {arguments} does not print {old!r}: adapt docs/generate_reference.py")
        text = text.replace(old, new)
    comment = f"# Written by `{COMMAND}` from: snapproxy {arguments}\n"
    return comment + (f"FROM {example.base}\n" if example.base else "") + text


def metrics() -> str:
    """Return the page of all metrics."""
    rows = [f"| `{each.name}` | {', '.join(each.labels)} | {each.kind.value} | {_cell(each.help)} |" for each in ALL]
    return "\n".join(
        [
            _NOTE,
            "# Metrics\n",
            _wrapped(
                "`/metrics` of the admin listener has these metrics, added up over all processes of the store "
                "([monitoring](../guides/monitoring.md)). A metric with labels appears with its first value. No label "
                "has the name of a package or a capture, or the address of a client. Each process counts at most "
                f"{MAX_LABEL_VALUES} values of `archive` and of `host`, and further ones as `{OTHERS}`."
            )
            + "\n",
            "| metric | labels | type | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


FILES: Mapping[str, Callable[[], str]] = {
    "docs/reference/commands.md": commands,
    "docs/reference/metrics.md": metrics,
    "docs/reference/settings.md": settings,
    **{f"examples/Dockerfile.{example.name}": functools.partial(dockerfile, example) for example in EXAMPLES},
}
"""Each generated file by its path in the repository, and the function that returns its text."""


def main() -> int:
    """Write the files; print the names of those that changed."""
    root = Path(__file__).parents[1]
    for name, generate in FILES.items():
        target, text = root / name, generate()
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
            print(f"{name}: updated")
    return 0


if __name__ == "__main__":
    sys.exit(main())

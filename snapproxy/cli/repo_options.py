"""Options for the configuration of the client whose cache becomes an image: repository files, variables and keys."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from snapproxy.core.client_cache import ClientSettings
from snapproxy.errors import ConfigurationError

LARGEST = 1 << 18
"""Maximum size of a file in bytes. A distribution's repository file has a few thousand, its keys at most some ten
thousand.
"""

_VARIABLE = re.compile(r"(?P<name>\w+)=(?P<value>\S+)", re.ASCII)


def add_client(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--repo-file",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="--as-image: a repository file as it is in the image that will use the cache; may be repeated. "
        "dnf: a .repo file. apt: a .sources or .list file, to add the package lists to the packages",
    )
    parser.add_argument(
        "--var",
        type=_a_variable,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the value of a variable in these files, as in that image (releasever, basearch); may be repeated",
    )
    parser.add_argument(
        "--repo-key",
        type=Path,
        metavar="FILE",
        help="the public keys of repositories with repo_gpgcheck=1 in these files",
    )


def settings_of(arguments: argparse.Namespace) -> ClientSettings | None:
    """Read the files. Return None if none is named. Raises ConfigurationError if one cannot be read."""
    if not arguments.repo_file:
        if arguments.var or arguments.repo_key:
            raise ConfigurationError(
                "--var and --repo-key need a repository file", hint="Name the repository file: --repo-file FILE"
            )
        return None
    files = {}
    for path in arguments.repo_file:
        try:
            files[str(path)] = _read(path).decode()
        except UnicodeDecodeError:
            raise ConfigurationError("A repository file is not UTF-8", why=f"{path} has other bytes.") from None
    keys = _read(arguments.repo_key) if arguments.repo_key else b""
    return ClientSettings(files, dict(arguments.var), keys)


def _a_variable(text: str) -> tuple[str, str]:
    """Read NAME=VALUE (an argparse type)."""
    found = _VARIABLE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("expected NAME=VALUE, such as releasever=40")
    return found["name"], found["value"]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            "A file of the client's configuration cannot be read", why=f"{path}: {error.strerror}."
        ) from None
    if len(data) > LARGEST:
        raise ConfigurationError(
            "A file of the client's configuration is too large", why=f"{path} has more than {LARGEST} bytes."
        )
    return data

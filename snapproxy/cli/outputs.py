"""What a command makes: files and folders, told apart by their content. Times, owners and modes are not compared."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snapproxy.errors import ConfigurationError, SnapproxyError

ASIDE = ".snapproxy-online"
"""What is added to the name of the first output while the second is made."""


class MissingOutputError(SnapproxyError):
    """The command did not make what it was said to make."""


def check(outputs: Sequence[Path]) -> None:
    """Make sure that outputs can be moved aside. Raises ConfigurationError for one that holds the folder we stand in, or another output."""
    real = [output.resolve() for output in outputs]
    for output, path in zip(outputs, real, strict=True):
        if Path.cwd().is_relative_to(path) or any(other is not path and other.is_relative_to(path) for other in real):
            raise ConfigurationError(
                "This output cannot be told apart from other files",
                why=f"{output} holds the folder that the command runs in, or another output, or is named twice.",
                hint="Name the files or the folder that the command itself makes.",
            )


def digests(output: Path) -> Mapping[str, str]:
    """Return the content of a file ('' is its name then), or of everything in a folder by path, in sorted order.

    A file is its sha256 (hex), a symbolic link `-> target`, a folder `/`. Raises MissingOutputError.
    """
    if output.is_symlink() or not output.is_dir():
        return {"": _content(output)}
    return {path: _content(output / path) for path in sorted(_below(output))}


def digest(content: Mapping[str, str]) -> str:
    """Return one sha256 (hex) for the content of an output: a file's own, or of the sorted list of what a folder holds."""
    if set(content) == {""}:
        return content[""]
    return hashlib.sha256("".join(f"{what} {path}\n" for path, what in content.items()).encode()).hexdigest()


def move_aside(output: Path) -> Path:
    """Take the first output out of the way of the second, and return where it is. What an earlier comparison left there goes."""
    aside = output.with_name(output.name + ASIDE)
    remove(aside)
    output.rename(aside)
    return aside


def remove(output: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if output.is_dir() and not output.is_symlink():
        shutil.rmtree(output)
    else:
        output.unlink(missing_ok=True)


def _below(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield str((Path(place) / name).relative_to(folder))


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if path.is_dir():
        return "/"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise MissingOutputError(
            "The command did not make its output", why=f"There is no {path}.", hint="Name with --output what it writes."
        ) from None

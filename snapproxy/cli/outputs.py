"""Compare the outputs of a command, files and folders, by content. Times, owners and modes are not compared.

An image layout, in a folder or a tar, is compared by the parts of its images (`image_outputs`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snapproxy.cli.execution import run_async
from snapproxy.cli.image_outputs import IMAGE, image_parts, layer_differences
from snapproxy.errors import ConfigurationError, SnapproxyError

_SHORT = 12
"""Digits of a digest that are printed."""

ASIDE = ".snapproxy-online"
"""Suffix of the first run's output while the second run writes its own."""


class MissingOutputError(SnapproxyError):
    """The command did not write an output that --output names."""


def check(outputs: Sequence[Path]) -> None:
    """Check that outputs can be moved.

    Raises ConfigurationError for an output that contains the current folder or another output, or that is named twice.
    """
    real = [output.resolve() for output in outputs]
    for output, path in zip(outputs, real, strict=True):
        if Path.cwd().is_relative_to(path) or any(other is not path and other.is_relative_to(path) for other in real):
            raise ConfigurationError(
                "This output overlaps with other files",
                why=f"{output} contains the folder that the command runs in, or another output, or is named twice.",
                hint="Name the files or the folder that the command itself writes.",
            )


def digests(output: Path) -> Mapping[str, str]:
    """Return the content of each file in a folder by path, in sorted order; for a file, one content by the path ''.

    The content of a file is its sha256 (hex), of a symbolic link `-> target`, of a folder `/`. The paths of an image
    layout are the names of its parts. Raises MissingOutputError.
    """
    parts = None if output.is_symlink() else run_async(image_parts(output))
    if parts is not None:
        return parts
    if output.is_symlink() or not output.is_dir():
        return {"": _content(output)}
    return {path: _content(output / path) for path in sorted(_below(output))}


def differing(output: Path, aside: Path, before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return a row for each file or part that differs, sorted by path, followed by the files in layers that differ.

    `aside` has the output of the first run, whose contents are `before`.
    """
    rows: list[tuple[str, ...]] = []
    for path in sorted({*before, *after}):
        one, other = before.get(path, ""), after.get(path, "")
        if one == other:
            continue
        kind = "changed" if one and other else "removed" if one else "added"
        rows.append((kind, str(output / path), one[:_SHORT], other[:_SHORT]))
        if IMAGE in before and IMAGE in after:
            files = run_async(layer_differences(aside, output, path))
            rows += [(kind, str(output / name), *states) for kind, name, *states in files]
    return rows


def digest(content: Mapping[str, str]) -> str:
    """Return one sha256 (hex) for an output: of a file, of an image's manifest, or of the sorted list of contents."""
    if set(content) == {""}:
        return content[""]
    if IMAGE in content:
        return content[IMAGE]
    return hashlib.sha256("".join(f"{what} {path}\n" for path, what in content.items()).encode()).hexdigest()


def move_aside(output: Path) -> Path:
    """Rename the first run's output and return its new path. Removes one that an earlier comparison left."""
    aside = output.with_name(output.name + ASIDE)
    remove(aside)
    output.rename(aside)
    return aside


def remove(output: Path) -> None:
    """Remove a file or a folder, if it exists."""
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
            "The command did not write its output",
            why=f"{path} does not exist.",
            hint="Use --output to name a file or a folder that the command writes.",
        ) from None

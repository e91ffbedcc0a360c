"""Fetch files of an archive at a time into a folder."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from snapproxy.base.atomic_files import copy_file
from snapproxy.base.concurrency import gather_bounded
from snapproxy.cli import application, run_as_owner
from snapproxy.cli.application import App, Fetched, build
from snapproxy.cli.execution import run_async
from snapproxy.cli.load_config import config_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.progress import reporting
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.core.progress import Progress
from snapproxy.errors import ConfigurationError

CONCURRENT_FILES = 8
"""Files requested concurrently; the rate limit decides how many of the requests go upstream."""

Outcome = Fetched | Refusal


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    paths = [path.strip("/") for path in dict.fromkeys(arguments.paths)]
    targets = file_names(paths, arguments.output_dir)
    config = config_of(arguments)
    # Files are written to a folder of the store's owner, then copied as the caller: the two differ if root is the
    # caller.
    with run_as_owner.acting(config.state_dir):
        folder = tempfile.TemporaryDirectory(prefix="fetch-", dir=config.cache_dir)
    with folder as name:
        drafts = {path: Path(name, target.name) for path, target in targets.items()}
        with run_as_owner.acting(config.state_dir):
            outcomes = run_async(_fetch(config, arguments, drafts))
        arguments.output_dir.mkdir(parents=True, exist_ok=True)
        for path, outcome in zip(paths, outcomes, strict=True):
            if not isinstance(outcome, Refusal):
                copy_file(drafts[path], targets[path])
    rows = [row(path, outcome, targets[path]) for path, outcome in zip(paths, outcomes, strict=True)]
    if arguments.json:
        print_json(rows)
    else:
        _print(rows)
    return 1 if any(isinstance(outcome, Refusal) for outcome in outcomes) else 0


def file_names(paths: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return the target of each path. Raises ConfigurationError unless each path has its own file name."""
    names = {path: path.rsplit("/", 1)[-1] for path in paths}
    twice = sorted(name for name, count in Counter(names.values()).items() if count > 1)
    if twice:
        raise ConfigurationError(
            "Two of the paths have the same file name",
            why=", ".join(twice),
            hint="Fetch them into different folders, in separate calls.",
        )
    empty = [path for path, name in names.items() if name in {"", ".", ".."}]
    if empty:
        raise ConfigurationError(
            "A path does not name a file",
            why=", ".join(map(repr, empty)),
            hint="Name the path of a file, such as dists/bookworm/InRelease.",
        )
    return {path: folder / name for path, name in names.items()}


async def _fetch(config: Config, arguments: argparse.Namespace, drafts: Mapping[str, Path]) -> list[Outcome]:
    async with build(config, offline=arguments.offline) as app, reporting(drafts) as report:
        return await fetch_all(app, report, arguments.archive, arguments.time.text, drafts)


async def fetch_all(app: App, progress: Progress, archive: str, time: str, drafts: Mapping[str, Path]) -> list[Outcome]:
    """Fetch every path, a few concurrently; a refusal of one does not stop the others."""

    async def one(file: tuple[str, Path]) -> Outcome:
        path, target = file
        outcome = await application.fetch(app, archive, time, path, target, progress)
        progress.finish(path)
        return outcome

    return await gather_bounded(drafts.items(), one, CONCURRENT_FILES)


def row(path: str, outcome: Outcome, target: Path) -> dict[str, Any]:
    """Return the outcome of one path as JSON."""
    if isinstance(outcome, Refusal):
        return {
            "path": path,
            "state": "refused",
            "status": outcome.status,
            "reason": outcome.reason,
            "why": outcome.why,
            "hint": outcome.hint,
        }
    return {
        "path": path,
        "state": "ok",
        "file": str(target),
        "size": outcome.size,
        "digest": f"sha256:{outcome.digest}",
        "verified": outcome.proof.word,
        "cache": outcome.cache,
        "snapshot": outcome.snapshot,
    }


def _print(rows: Sequence[dict[str, Any]]) -> None:
    for each in rows:
        if each["state"] == "ok":
            size, proof = decimal(each["size"]), f"verified: {each['verified']}"
            print(each["file"], size, each["digest"], proof, each["cache"], sep="  ")
        else:
            reasons = (each["reason"], each["why"], each["hint"])
            print(
                f"snapproxy: {each['path']}: {each['status']}",
                *(f"  {text}" for text in reasons if text),
                sep="\n",
                file=sys.stderr,
            )

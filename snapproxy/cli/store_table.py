"""Print the names and bytes of the stored files, by archive and by snapshot."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from rich.filesize import decimal

from snapproxy.cli.execution import result_of
from snapproxy.cli.tables import format_table
from snapproxy.config import Config
from snapproxy.space.store_stats import NamedFiles, StoreStats
from snapproxy_storage import open_store

_HEAD = ("ARCHIVE", "NAMES", "MISSING", "BYTES", "DISTINCT", "OWN", "SAVED")
_WIDTHS = (44, 10, 8, 10, 10, 10, 0)
"""Widths of the columns of snapshots: there may be more than fit into memory."""


def print_store(arguments: argparse.Namespace) -> int:
    """Print the statistics of the store and return the exit code."""
    result_of(arguments, _print)
    return 0


async def _print(config: Config, arguments: argparse.Namespace) -> None:
    async with open_store(config.state_dir, config.cache_dir) as store:

        def work() -> None:
            with store.catalog.scan() as scan:
                stats = StoreStats(scan, store.blobs)
            try:
                (_print_json if arguments.json else _print_table)(stats, has_snapshots=arguments.snapshots)
            finally:
                stats.close()

        await asyncio.to_thread(work)


def _print_table(stats: StoreStats, *, has_snapshots: bool) -> None:
    print(format_table([_HEAD, *map(_row, stats.archives()), ("all", *_row(stats.total())[1:])]), end="")
    if has_snapshots:
        print()
        print(_line(_HEAD))
        for each in stats.snapshots():
            print(_line(_row(each)))


def _line(row: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, _WIDTHS, strict=True)).rstrip()


def _row(files: NamedFiles) -> tuple[str, ...]:
    sizes = (files.size, files.distinct, files.own, files.saved)
    return files.name, str(files.names), str(files.missing), *map(decimal, sizes)


def _print_json(stats: StoreStats, *, has_snapshots: bool) -> None:
    """Print one JSON document. The snapshots are written one by one, because there may be millions."""
    archives = [{"archive": each.name} | _as_json(each) for each in stats.archives()]
    document = json.dumps({"archives": archives, "total": _as_json(stats.total())}, indent=2, sort_keys=True)
    if not has_snapshots:
        print(document)
        return
    print(f'{document.removesuffix(chr(10) + "}")},\n  "snapshots": [', end="")
    for number, each in enumerate(stats.snapshots()):
        archive, _, snapshot = each.name.partition("/")
        line = json.dumps({"archive": archive, "snapshot": snapshot} | _as_json(each), sort_keys=True)
        print(f"{',' * bool(number)}\n    {line}", end="")
    print("\n  ]\n}")


def _as_json(files: NamedFiles) -> dict[str, Any]:
    return {
        "names": files.names,
        "missing": files.missing,
        "bytes": files.size,
        "distinct_bytes": files.distinct,
        "own_bytes": files.own,
        "saved_bytes": files.saved,
    }

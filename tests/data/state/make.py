"""Write the state of a store, and the answers that it gives offline, with the program of any commit.

    git worktree add /tmp/old COMMIT
    PYTHONPATH=/tmp/old:/tmp/old/storage python tests/data/state/make.py tests/data/state

The result is one archive, `schema-VERSION.tar.xz`, with `state/` and `expected.json`. The tests open it with the
present program. Write one for each release whose schema version has none yet, and keep all of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from snapproxy_storage.catalog_schema import VERSION
from tests.fakes.content import epoch, stamp
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, RELEASE, SECOND, SIGNATURE, SUITE, Hamlet, later, made_up
from tests.fakes.house import House
from tests.fakes.present import Present
from tests.fakes.publisher import Publisher, SuitePlan
from tests.fakes.signing import SigningKey

AT, LATER = later(FIRST, 3600), later(SECOND, 3600)
BAD = later(FIRST, 12 * 3600)
ABSENT = f"dists/{SUITE}/main/i18n/Translation-en.xz"


class SmallEdition:
    """Two states of an archive with packages of a few bytes: with strong and with weak digests."""

    def __init__(self, key: SigningKey) -> None:
        self.key = key
        kept, weak = made_up("kept", "1", 300), made_up("weak", "1", 400, algorithms=("md5",))
        old, new = made_up("moved", "1", 500), made_up("moved", "2", 500, at=SECOND)
        self.paths = [each.path for each in (kept, weak, old, new)]
        publisher = Publisher(key)
        self.trees = {
            FIRST: publisher.tree(FIRST, [SuitePlan(SUITE, (kept, old, weak))]),
            SECOND: publisher.tree(SECOND, [SuitePlan(SUITE, (kept, new, weak))]),
        }


def requests(edition: SmallEdition) -> list[dict[str, str]]:
    """Return the requests for the archive with snapshots: archive, time, path, capture."""
    roots = [INRELEASE, RELEASE, SIGNATURE, PACKAGES, ABSENT]
    asked = [(when, path, "") for when in (AT, LATER) for path in (*roots, *edition.paths)]
    asked += [(AT, path, "closed") for path in (*roots, *edition.paths)]
    asked += [(AT, path, "open") for path in (INRELEASE, PACKAGES, edition.paths[0])]
    asked += [("live", path, "") for path in (INRELEASE, PACKAGES)]
    asked += [(f"{BAD}.exact", INRELEASE, "")]
    return [{"archive": "debian", "time": time, "path": path, "capture": capture} for time, path, capture in asked]


async def answers(house: House, asked: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return each request with its answer."""
    rows = {row.name: number for number, row in enumerate(house.rows)}
    found = []
    for each in asked:
        got = await house.get(each["time"], each["path"], row=rows[each["archive"]], capture=each["capture"])
        answer: dict[str, Any] = {"status": got.status}
        if got.status == 200:  # noqa: PLR2004
            digest = hashlib.sha256(got.data).hexdigest()
            answer |= {"sha256": digest, "proof": got.proof, "snapshot": got.served.snapshot}
        found.append(each | answer)
    return found


async def make(folder: Path) -> list[dict[str, Any]]:
    """Fill a store online, and return its answers offline."""
    key = SigningKey(folder / "gnupg")
    edition = SmallEdition(key)
    asked = requests(edition)
    with Hamlet(edition) as hamlet:  # type: ignore[arg-type]
        rows: tuple[Any, ...] = (hamlet.row,)
        async with House(folder, rows) as house:
            await answers(house, asked)
            await house.app.captures.close("closed")
            await house.app.bad_snapshots.put(rows[0], epoch(BAD), "for the test")
    present = Present(key)
    rows = (*rows, present.vendor)
    try:
        async with House(folder, rows) as house:
            await house.app.observe("vendor", [INRELEASE], with_packages=True)
            span, _ = house.store.catalog.around(f"root/vendor/{INRELEASE}", house.clock.now())
            assert span is not None
            at = stamp(span.last)
    finally:
        present.close()
    asked += [
        {"archive": "vendor", "time": at, "path": path, "capture": ""} for path in (INRELEASE, PACKAGES, present.package)
    ]
    async with House(folder, rows, offline=True) as house:
        found = await answers(house, asked)
    key.close()
    return found


def pack(folder: Path, expected: list[dict[str, Any]], target: Path) -> None:
    """Write the archive. The catalog becomes one file, without a write-ahead log."""
    with sqlite3.connect(folder / "state/catalog.sqlite3") as catalog:
        catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        catalog.execute("PRAGMA journal_mode = DELETE").fetchall()
        catalog.execute("VACUUM")
    catalog.close()
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    with tarfile.open(target / f"schema-{VERSION}.tar.xz", "w:xz") as archive:
        for name in ("expected.json", "state"):
            archive.add(folder / name, name)


def main() -> None:
    """Make the state in a temporary folder, and pack it."""
    with tempfile.TemporaryDirectory() as folder:
        expected = asyncio.run(make(Path(folder)))
        pack(Path(folder), expected, Path(sys.argv[1]))
        for each in expected:
            print(each["status"], each["archive"], each["time"], each["path"], each["capture"])


main()

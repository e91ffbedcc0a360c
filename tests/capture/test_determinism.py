"""Every format depends on the record alone: not on hash seed, time zone, locale, umask, or order of entries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Sets and mappings are built here, in the other process, so that its hash seed decides their order.
_WRITE = """
import hashlib, json, os, random, sys
from dataclasses import replace
os.umask(int(sys.argv[1], 8))
from snapproxy.capture import artifact, cyclonedx, intoto, lock, record_diff, sha256sums, spdx, tree
from snapproxy.core.record import Record
from tests.capture.records import example
entries = list(example().entries)
random.Random(sys.argv[2]).shuffle(entries)
record = replace(example(), entries=tuple(entries))
written = {
    "lock": lock.encode(record),
    "sums": sha256sums.of_packages(record),
    "titled": sha256sums.of_titles(record),
    "cyclonedx": cyclonedx.write(record, 1717200000),
    "spdx": spdx.write(record, 1717200000),
    "in-toto": intoto.write(record),
    "artifact": repr(artifact.describe(record, created=1717200000)).encode(),
    "tree": repr(tree.lay_out(record)).encode(),
    "diff": repr(record_diff.compare(Record((), {}), record)).encode(),
}
print(json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in written.items()}))
"""


def digests(seed: str, zone: str, locale: str, umask: str) -> dict[str, str]:
    surroundings = {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", _WRITE, umask, seed],
        cwd=ROOT,
        env={**os.environ, **surroundings},
        capture_output=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    return digests("0", "UTC", "C.UTF-8", "022")


@pytest.mark.parametrize(
    "surroundings",
    [("1", "Asia/Kathmandu", "C", "077"), ("2", "America/St_Johns", "tr_TR.ISO-8859-9", "000")],
    ids=["bare", "elsewhere"],
)
def test_the_surroundings_do_not_matter(plain: dict[str, str], surroundings: tuple[str, str, str, str]) -> None:
    assert digests(*surroundings) == plain

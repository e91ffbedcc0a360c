"""Find the packages that an installation on an empty system needs, with apt itself and the machine's own mirror."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.fakes import genuine
from tests.fakes.apt_root import AptRoot
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Timeline
from tests.fakes.services import MirrorService


def closure(suite: genuine.Suite, *names: str) -> list[str]:
    """Return the stanzas of every package that an empty system needs to install `names`, in apt's order.

    The result is kept between runs until the suite's root changes.
    """
    kept = genuine.remembered("closure-" + "-".join([suite.name, *names]), [suite])
    if not kept.exists():
        chosen = _ask_apt(suite, names)
        stanzas = genuine.index(suite)
        kept.write_text(json.dumps([_pick(stanzas[name], file) for file, name in chosen]))
    return list(json.loads(kept.read_text()))


def _ask_apt(suite: genuine.Suite, names: tuple[str, ...]) -> list[tuple[str, str]]:
    # A server over the cache avoids downloading an index twice.
    timeline = Timeline()
    timeline.publish("20200101T000000Z", genuine.MirrorTree(suite.base, modified=0))
    with tempfile.TemporaryDirectory() as folder, ArchiveServer(MirrorService({"debian": timeline})) as server:
        root = AptRoot(Path(folder))
        root.sources(f"deb [signed-by={root.keyring(genuine.KEYRING)}] {server.url}/debian {suite.name} main")
        update = root.update(timeout=300)
        if update.code:
            raise RuntimeError(f"the machine's mirror cannot be read:\n{update.text}")
        files = root.would_fetch(*names)
    if not files:
        raise LookupError(f"apt would install nothing for {names}")
    return [(file, file.partition("_")[0]) for file in files]


def _pick(stanzas: list[str], file: str) -> str:
    version = file.split("_")[1].replace("%3a", ":")
    return next(stanza for stanza in stanzas if f"\nVersion: {version}\n" in stanza + "\n")

"""The record of the files that a build was served: the content of a capture, of a lock, of an artifact.

Captures collect it, locks and artifacts write it, an offline view answers from it. These packages may not import one
another, so the type is here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from snapproxy.core.model import Instant, Proof, Role


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One answer: the file at `path` of `archive`, requested at `requested`, from `snapshot`; or its absence.

    `requested` is the time in its canonical form, `snapshot` the id that it resolved to, `path` the canonical name of a
    file: never a by-hash name (the index entry has its canonical one), never a folder. For an absence `sha256` is '',
    `size` (bytes) is 0, `proof` is the proof of the absence, and `snapshot` is '' if unknown. A path that begins with a
    slash is a call of the archive's own service, as in `exchange.ServiceTarget`, and independent of time.
    """

    archive: str
    requested: str
    snapshot: str
    path: str
    role: Role
    proof: Proof
    size: int = 0
    sha256: str = ""

    @property
    def is_absence(self) -> bool:
        """Whether the entry states that there was no such file."""
        return not self.sha256

    @property
    def is_service(self) -> bool:
        """Whether this is an answer of the archive's own service, not a file of a snapshot."""
        return self.path.startswith("/")

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of a request: (archive, requested, path). A record has each key once."""
        return self.archive, self.requested, self.path


def absences_of(space: str) -> str:
    """Return the catalog space of files that captures found absent in `<archive>/<snapshot>`: names without bytes.

    Closed captures write it and offline views read it. Views that can send requests to the archive do not use it.
    """
    return f"absent:{space}"


SOLVER_TEXT = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?")
"""The form of a solver in a record: its program, version and algorithm in at most 200 printable ASCII characters."""


@dataclass(frozen=True, slots=True)
class Record:
    """All files that one build was served, sorted by key, each key once.

    `families`: the family of each archive in the record, by archive name. `valid`: for (archive, requested), the span
    of instants, ends included, known to have the same answers. Only old records have it: it depends on the content
    of the store, so it is not recorded any more. `unpinned`: the hosts that the build reached through `pass`. Neither
    their answers nor the number of requests are recorded: a retry would make two records of one build differ.
    `solvers`: the package managers' solvers that chose recorded files, as `solvers.model.Closure` names them. Another
    solver may choose other files from the same indexes.
    """

    entries: tuple[RecordEntry, ...]
    families: Mapping[str, str]
    valid: Mapping[tuple[str, str], tuple[Instant, Instant]] = field(default_factory=dict)
    unpinned: frozenset[str] = frozenset()
    solvers: frozenset[str] = frozenset()

"""What a build was served, as a value: the content of a capture, of a lock, of an artifact. Writing it down is left to others.

Captures collect it, locks and artifacts write it, an offline view answers from it; those rooms may not import one another and meet here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from snapproxy.core.model import Instant, Proof, Role


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One answer: the file at `path` of `archive`, asked for at `requested`, as `snapshot` had it; or that there was none.

    `requested` is the *when* in its canonical spelling, `snapshot` the id it resolved to, `path` the canonical name of a file: never a
    by-hash one, which the index it stands for gives, and never a folder, of which no archive is asked. `sha256` is '' for an absence,
    whose `size` (bytes) is 0, whose proof is what vouches for the absence, and whose `snapshot` is '' where none is known.
    A path that begins with a slash is a call of the archive's own service, as `exchange.ServiceTarget` has it, of every time.
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
        """Whether it says that there was no such file."""
        return not self.sha256

    @property
    def is_service(self) -> bool:
        """Whether it is the answer of the archive's own service, which is no file of any snapshot."""
        return self.path.startswith("/")

    @property
    def key(self) -> tuple[str, str, str]:
        """What a client asks by: (archive, requested, path). A record answers each key once."""
        return self.archive, self.requested, self.path


def absences_of(space: str) -> str:
    """Return where the store keeps what captures found missing in a space, `<archive>/<snapshot>`: names, of no bytes.

    Closed captures write it and offline views read it. Nobody else does: who can ask the archive asks.
    """
    return f"absent:{space}"


@dataclass(frozen=True, slots=True)
class Record:
    """Everything one build was served, in an order of its own: sorted by key, each key once.

    `families`: the family of each archive that occurs, by archive name.
    `valid`: for (archive, requested), the span of instants, ends included, that are known to have the same answers.
    `unpinned`: the hosts that the build reached through `pass`. Nothing of them is kept, nor how often they were asked: a retry would
    make two records of one build differ.
    """

    entries: tuple[RecordEntry, ...]
    families: Mapping[str, str]
    valid: Mapping[tuple[str, str], tuple[Instant, Instant]] = field(default_factory=dict)
    unpinned: frozenset[str] = frozenset()

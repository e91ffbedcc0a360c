"""Records for the tests of their file formats: one small example, and a hypothesis strategy."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import settings
from hypothesis import strategies as st

from snapproxy.core.model import Proof, Role
from snapproxy.core.paths import names_a_file
from snapproxy.core.record import Record, RecordEntry

no_deadline = settings(deadline=None)
"""For property tests: no deadline, because the machine may be busy."""

AT = "20240601T000000Z"
DUMP = "20240531T203452Z"
SUITE = "dists/bookworm"
CURL = "pool/main/c/curl/curl_7.88.1-10+deb12u5_amd64.deb"


def content(text: str) -> str:
    """Return the digest of a content that is identified by `text`."""
    return sha256(text.encode()).hexdigest()


def entry(
    path: str, role: Role = Role.PACKAGE, *, archive: str = "debian", size: int = 5, text: str = "", **more: object
) -> RecordEntry:
    values = {
        "requested": AT,
        "snapshot": DUMP,
        "proof": Proof.GPG,
        "size": size,
        "sha256": content(text or path),
        **more,
    }
    return RecordEntry(archive=archive, path=path, role=role, **values)  # type: ignore[arg-type]


def absence(path: str, role: Role = Role.INDEX, **more: object) -> RecordEntry:
    return entry(path, role, **{"size": 0, "sha256": "", **more})  # type: ignore[arg-type]


def example() -> Record:
    """Two archives of two families, an absence, an unpinned host."""
    arch = {"archive": "archlinux", "requested": "2024/05/31", "snapshot": "2024/05/31", "proof": Proof.NONE}
    entries = (
        entry("core/os/x86_64/core.db", Role.ROOT, size=130_000, **arch),
        entry("core/os/x86_64/gtk-doc-1:1.33-1-any.pkg.tar.zst", size=90_000, **arch),
        entry(f"{SUITE}/InRelease", Role.ROOT, size=151_082),
        absence(f"{SUITE}/main/i18n/Translation-de.xz"),
        entry(f"{SUITE}/main/binary-amd64/Packages.xz", Role.INDEX, size=8_786_000),
        entry(CURL, size=315_000),
    )
    return Record(
        tuple(sorted(entries, key=lambda each: each.key)),
        {"debian": "apt", "archlinux": "pacman"},
        {("debian", AT): (1_717_187_692, 1_717_209_000)},
        frozenset({"github.com", "[::1]"[1:-1]}),
    )


FAMILIES = {"debian": "apt", "debian-security": "apt", "archlinux": "pacman", "rpms": "rpm"}
_PATHS = st.one_of(
    st.sampled_from(
        [CURL, f"{SUITE}/InRelease", f"{SUITE}/main/binary-amd64/Packages.xz", "Packages/b/bash-5.2-3.fc40.x86_64.rpm"]
    ),
    st.text(max_size=12).filter(names_a_file),
    st.sampled_from(["/mr/binary/curl/?fileinfo=1", f"/file/{'ab' * 20}/curl_1_all.deb"]),
)
_TIMES = st.sampled_from([AT, "20240701T000000Z", "live", "2024/05/31", "2024-06-01T00:00:00Z.nearest", "1717200000"])
_SNAPSHOTS = st.sampled_from([DUMP, "2024/05/31", "live", "always"])
_ENTRIES = st.builds(
    RecordEntry,
    archive=st.sampled_from(sorted(FAMILIES)),
    requested=_TIMES,
    snapshot=_SNAPSHOTS,
    path=_PATHS,
    role=st.sampled_from(Role),
    proof=st.sampled_from(Proof),
).flatmap(
    lambda bare: st.sampled_from(["", *(content(str(size)) for size in (0, 1, 77))]).map(
        lambda digest: RecordEntry(
            **{name: getattr(bare, name) for name in ("archive", "requested", "snapshot", "path", "role", "proof")},
            size={content(str(size)): size for size in (0, 1, 77)}.get(digest, 0),
            sha256=digest,
        )
    )
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    entries = draw(st.lists(_ENTRIES, max_size=8, unique_by=lambda each: each.key))
    times = sorted({(each.archive, each.requested) for each in entries})
    instants = st.integers(1_000_000_000, 1_700_000_000)
    spans = {time: tuple(sorted((draw(instants), draw(instants)))) for time in times if draw(st.booleans())}
    return Record(
        tuple(sorted(entries, key=lambda each: each.key)),
        {name: FAMILIES[name] for name in {archive for archive, _ in times}},
        spans,  # type: ignore[arg-type]
        draw(st.frozensets(st.sampled_from(["github.com", "example.org", "::1"]))),
        draw(st.frozensets(st.sampled_from(["apt 2.6.1 (internal)", "pacman 6.1.0", 'x "y" \\z']))),
    )

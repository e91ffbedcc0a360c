"""Fetch genuine packages and roots from the Debian mirror that this machine itself installs from.

The mirror's address is read from apt when a test runs and is written nowhere. Files are kept by their sha256 under
`$XDG_CACHE_HOME/snapproxy-tests` (else `.cache/` in the repository), so that only the first run downloads. Every file
is checked against the chain that begins at an InRelease whose signature gpgv accepts.
"""

from __future__ import annotations

import functools
import hashlib
import json
import lzma
import os
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.content import Content, Package, parse_stanza

_LABEL = 100
"""The longest label in a file name, in characters; a longer one is cut and gets a digest."""
_AGENT = {"User-Agent": "snapproxy-tests"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def cache_root() -> Path:
    """Return the folder that survives between test runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    root = Path(base) / "snapproxy-tests" if base else Path(__file__).parents[2] / ".cache" / "tests"
    root.mkdir(parents=True, exist_ok=True)
    return root


@dataclass(frozen=True)
class Suite:
    """One suite that the machine's apt is configured to use. `base` ends with a slash."""

    base: str
    name: str
    label: str


@functools.cache
def machine_suites() -> tuple[Suite, ...]:
    """Return the Debian suites in the machine's own apt configuration. Raises LookupError if there are none."""
    lines = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(LABEL)", "Created-By: Packages"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.splitlines()  # fmt: skip
    suites = [Suite(*line.split("|")) for line in dict.fromkeys(lines)]
    found = tuple(suite for suite in suites if suite.label in ("Debian", "Debian-Security"))
    if not found:
        raise LookupError("this machine's apt has no Debian mirror with a fetched list: run apt-get update")
    return found


def main_suite() -> Suite:
    """Return the machine's stable suite: no dash in its name, label Debian."""
    return next(suite for suite in machine_suites() if suite.label == "Debian" and "-" not in suite.name)


def security_suite() -> Suite | None:
    """Return the machine's security suite, None if it has none."""
    return next((suite for suite in machine_suites() if suite.label == "Debian-Security"), None)


def fetch(url: str, *, sha256: str = "") -> Path:
    """Return the bytes of `url` from the cache, downloading them if missing. Raises ValueError on a wrong digest."""
    kept = cache_root() / "sha256" / sha256 if sha256 else None
    if kept and kept.exists():
        return kept
    with urllib.request.urlopen(urllib.request.Request(url, headers=_AGENT), timeout=60) as answer:
        data = answer.read()
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256:
        raise ValueError(f"{url}: sha256 is {digest}, promised was {sha256}")
    return keep(data)


def keep(data: bytes) -> Path:
    """Store bytes in the cache under their sha256, atomically."""
    target = cache_root() / "sha256" / hashlib.sha256(data).hexdigest()
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        part.write_bytes(data)
        part.replace(target)
    return target


@functools.cache
def root(suite: Suite) -> str:
    """Return the verified text of a suite's InRelease, in the mirror's present version."""
    path = fetch(f"{suite.base}dists/{suite.name}/InRelease")
    subprocess.run(["gpgv", "--keyring", str(KEYRING), str(path)], capture_output=True, check=True, timeout=60)
    return path.read_text()


def promised(suite: Suite, name: str) -> str:
    """Return the sha256 that the suite's root lists for `name`. Raises KeyError if it lists no such file."""
    section = parse_stanza(root(suite).partition("\n\n")[2])["SHA256"]
    table = {line.split()[2]: line.split()[0] for line in section.splitlines() if line.strip()}
    return table[name]


def index(suite: Suite, kind: str = "binary-amd64/Packages") -> dict[str, list[str]]:
    """Return the stanzas of `main/<kind>` by package name."""
    name = f"main/{kind}.xz"
    path = fetch(f"{suite.base}dists/{suite.name}/{name}", sha256=promised(suite, name))
    stanzas: dict[str, list[str]] = {}
    for stanza in lzma.decompress(path.read_bytes()).decode().split("\n\n"):
        if stanza.strip():
            stanzas.setdefault(stanza.partition("\n")[0].removeprefix("Package: "), []).append(stanza.strip("\n"))
    return stanzas


def minimal(suite: Suite) -> list[str]:
    """Return the names that debootstrap's `minbase` installs.

    They are the required packages and, up to bookworm, the package that declares /usr as merged.
    """
    stanzas = index(suite).items()
    required = [name for name, found in stanzas if any("\nPriority: required\n" in each for each in found)]
    return [*required, *(name for name, _ in stanzas if name == "usr-is-merged")]


def remembered(label: str, suites: Iterable[Suite]) -> Path:
    """Return the path of a file derived from these suites' roots; the name changes when a root does."""
    if len(label) > _LABEL:
        label = f"{label[:_LABEL]}-{hashlib.sha256(label.encode()).hexdigest()[:16]}"
    roots = hashlib.sha256("".join(root(suite) for suite in suites).encode()).hexdigest()[:16]
    folder = cache_root() / "derived"
    folder.mkdir(exist_ok=True)
    return folder / f"{label}-{roots}.json"


def binary(suite: Suite, stanza: str, *, modified: int = 0) -> Package:
    """Return a genuine binary package with its bytes."""
    fields = parse_stanza(stanza)
    path = fetch(suite.base + fields["Filename"], sha256=fields["SHA256"])
    return Package(stanza, {fields["Filename"]: Content(path, modified)})


def source(suite: Suite, name: str, *, modified: int = 0) -> Package:
    """Return a genuine source package with all its files."""
    kept = remembered(f"source-{name}", [suite])
    if not kept.exists():
        kept.write_text(json.dumps(index(suite, "source/Sources")[name][-1]))
    stanza = json.loads(kept.read_text())
    fields = parse_stanza(stanza)
    files = {}
    for line in fields["Checksums-Sha256"].splitlines():
        if line.strip():
            digest, _, file = line.split()
            path = f"{fields['Directory']}/{file}"
            files[path] = Content(fetch(suite.base + path, sha256=digest), modified)
    return Package(stanza, files)


class MirrorTree:
    """The machine's real mirror as a tree: Debian's own signed roots, indexes and packages, fetched on request.

    A file is fetched once and then stays the same, so that one test session uses one state.
    """

    packages: tuple[Package, ...] = ()

    def __init__(self, base: str, *, modified: int) -> None:
        self._base = base
        self._modified = modified
        self._lock = threading.Lock()
        self._seen: dict[str, Content | None] = {}

    def get(self, path: str) -> Content | None:
        with self._lock:
            if path not in self._seen:
                self._seen[path] = self._ask(path)
            return self._seen[path]

    def _ask(self, path: str) -> Content | None:
        # A pool file never changes under its name, so its digest is kept between runs.
        note = cache_root() / "pool" / hashlib.sha256(path.encode()).hexdigest() if path.startswith("pool/") else None
        digest = note.read_text() if note and note.exists() else ""
        try:
            kept = fetch(self._base + path.replace("+", "%2B"), sha256=digest)
        except urllib.error.HTTPError as error:
            with error:
                return None
        if note:
            note.parent.mkdir(exist_ok=True)
            note.write_text(kept.name)
        return Content(kept, self._modified)

    def paths(self) -> Iterator[str]:
        return (path for path, content in list(self._seen.items()) if content)

"""Write rpm metadata as createrepo_c does, one entry at a time, for cases that no real tool produces."""

from __future__ import annotations

import hashlib

BASE = "linux/40/x86_64/"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPACE = 'xmlns="http://linux.duke.edu/metadata/{0}" xmlns:rpm="http://linux.duke.edu/metadata/rpm"'
_SPELLED = {"sha": "sha1"}


def digest(algorithm: str, seed: str) -> str:
    return hashlib.new(algorithm, seed.encode()).hexdigest()


def checksum(seed: str, spelled: str, more: str = "") -> str:
    return f'<checksum type="{spelled}"{more}>{digest(_SPELLED.get(spelled, spelled), seed)}</checksum>'


def entry(href: str, seed: str, size: int = 3, spelled: str = "sha256", kind: str = "primary") -> str:
    """Return a `data` element of repomd.xml."""
    return (
        f'<data type="{kind}">\n  {checksum(seed, spelled)}\n  <location href="{href}"/>\n'
        f"  <timestamp>1717000000</timestamp>\n  <size>{size}</size>\n</data>\n"
    )


def repomd(*entries: str, revision: str = "1717200000") -> str:
    return f"{_HEAD}<repomd {_SPACE.format('repo')}>\n<revision>{revision}</revision>\n{''.join(entries)}</repomd>\n"


def package(href: str, seed: str, size: int = 3, spelled: str = "sha256") -> str:
    """Return a `package` element of primary.xml, with a trap for readers that ignore the nesting of elements."""
    pkgid = ' pkgid="YES"'
    return (
        f'<package type="rpm"><name>n</name>{checksum(seed, spelled, pkgid)}<summary>a &amp; b</summary>'
        f'<size package="{size}" installed="9" archive="9"/>\n<location href="{href}"/>\n'
        '<format><rpm:license>MIT</rpm:license><location href="elsewhere"/><file>/usr/bin/n</file></format></package>\n'
    )


def primary(*packages: str) -> str:
    return f'{_HEAD}<metadata {_SPACE.format("common")} packages="{len(packages)}">\n{"".join(packages)}</metadata>\n'


def delta(name: str, seed: str, size: int = 3) -> str:
    """Return a `newpackage` element of prestodelta.xml with one delta."""
    return (
        '<newpackage name="n" epoch="0" version="2" release="1" arch="noarch"><delta oldversion="1">'
        f"<filename>{name}</filename><sequence>n-1-00</sequence><size>{size}</size>{checksum(seed, 'sha256')}"
        "</delta></newpackage>\n"
    )


def deltas(*packages: str) -> str:
    return f"{_HEAD}<prestodelta>\n{''.join(packages)}</prestodelta>\n"

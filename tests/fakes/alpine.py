"""Build packages and indexes as abuild does, signed with real RSA keys, and read them as apk does.

Written from apk-package(5), apk-v2(5) and the formats that apk-tools 2.14 and 3.0 accept. The reader makes the checks
of apk: the signature of the index by the key of that name, the control digest of a package, and the SHA-256 of the data
that the control part states.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.fakes.content import Content, FixedTree

_HASHES = {"RSA": hashes.SHA1(), "RSA256": hashes.SHA256(), "RSA512": hashes.SHA512()}
_BLOCKS = b"\0" * 1024


class RsaKey:
    """A signing key; its public half is named `name`, as in /etc/apk/keys."""

    def __init__(self, name: str, *, bits: int = 2048) -> None:
        self.name = name
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=bits)

    @cached_property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def write(self, folder: Path) -> Path:
        """Put the public key into a folder of keys; return its file."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / self.name
        file.write_bytes(self.public)
        return file

    def sign(self, data: bytes, algorithm: str = "RSA") -> bytes:
        """Return the signature member over `data`."""
        value = self._key.sign(data, padding.PKCS1v15(), _HASHES[algorithm])
        return gz(tar({f".SIGN.{algorithm}.{self.name}": value}, is_cut=True))


def gz(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return packer.compress(data) + packer.flush()


def folders(*names: str) -> bytes:
    """Return a tar of these folders without end blocks: apk expects each folder before its content."""
    out = bytearray()
    for name in names:
        header = tarfile.TarInfo(name)
        header.type, header.mtime, header.mode, header.uname, header.gname = tarfile.DIRTYPE, 1, 0o755, "root", "root"
        out += header.tobuf(tarfile.USTAR_FORMAT)
    return bytes(out)


def tar(files: Mapping[str, bytes], *, is_cut: bool = False, kind: int = tarfile.USTAR_FORMAT) -> bytes:
    """Write a tar; a cut one has no end blocks.

    In the PAX format each file carries apk's checksum, as package data must.
    """
    out = bytearray()
    for name, content in files.items():
        header = tarfile.TarInfo(name)
        header.size, header.mtime, header.mode, header.uname, header.gname = len(content), 1, 0o644, "root", "root"
        if kind == tarfile.PAX_FORMAT:
            header.pax_headers["APK-TOOLS.checksum.SHA1"] = hashlib.sha1(content).hexdigest()
        out += header.tobuf(kind) + content + b"\0" * (-len(content) % 512)
    return bytes(out) + (b"" if is_cut else _BLOCKS)


@dataclass(frozen=True)
class ApkFile:
    """One package: its compressed parts. `depends` is what it needs (`a b=1 !c`), as in the field `D:` of the index."""

    name: str
    version: str
    signature: bytes
    control: bytes
    data: bytes
    depends: str = ""

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.apk"

    @property
    def whole(self) -> bytes:
        return self.signature + self.control + self.data

    @property
    def identity(self) -> str:
        """The `C:` field of the index."""
        return "Q1" + b64encode(hashlib.sha1(self.control).digest()).decode()

    @property
    def record(self) -> str:
        fields = {
            "C": self.identity, "P": self.name, "V": self.version, "A": "x86_64", "S": str(len(self.whole)),
            "I": "4096", "T": "A test", "U": "http://example.org", "L": "MIT", "o": self.name,
            "m": "Nobody <n@example.org>", "t": "1",
        } | ({"D": self.depends} if self.depends else {})  # fmt: skip
        return "".join(f"{letter}:{value}\n" for letter, value in fields.items()) + "\n"


def package(name: str, version: str, key: RsaKey, content: bytes | None = None, depends: str = "") -> ApkFile:
    """Build a package with one file, whose content is its version unless another is given."""
    body = f"{name} {version}\n".encode() if content is None else content
    data = gz(folders("usr", "usr/share") + tar({f"usr/share/{name}": body}, kind=tarfile.PAX_FORMAT))
    lines = {
        "pkgname": name, "pkgver": version, "pkgdesc": "A test", "url": "http://example.org", "builddate": "1",
        "packager": "Nobody <n@example.org>", "size": "4096", "arch": "x86_64", "origin": name, "license": "MIT",
        "datahash": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    info = "".join(f"{word} = {value}\n" for word, value in lines.items()).encode()
    info += "".join(f"depend = {word}\n" for word in depends.split()).encode()
    control = gz(tar({".PKGINFO": info}, is_cut=True))
    return ApkFile(name, version, key.sign(control), control, data, depends)


def index(packages: Iterable[ApkFile], *keys: RsaKey, algorithm: str = "RSA") -> bytes:
    """Build an APKINDEX.tar.gz; it is unsigned without a key."""
    text = "".join(each.record for each in packages).encode()
    body = gz(tar({"DESCRIPTION": b"test", "APKINDEX": text}))
    return b"".join(key.sign(body, algorithm) for key in keys) + body


def repository(packages: Iterable[ApkFile], key: RsaKey, *, folder: str, modified: int) -> FixedTree:
    """Return one repository's tree: its index and its packages."""
    listed = list(packages)
    files = {f"{folder}/{each.file}": Content(each.whole, modified) for each in listed}
    return FixedTree({**files, f"{folder}/APKINDEX.tar.gz": Content(index(listed, key), modified)})


# --- the byte-level client --------------------------------------------------------------------------------------------


def members(data: bytes) -> list[bytes]:
    """Split a file at the ends of its gzip members."""
    found = []
    while data:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        unpacker.decompress(data)
        assert unpacker.eof, "a member is cut"
        found.append(data[: len(data) - len(unpacker.unused_data)])
        data = unpacker.unused_data
    return found


def files_in(member: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(zlib.decompress(member, zlib.MAX_WBITS | 16) + _BLOCKS)) as archive:
        return {each.name: file.read() for each in archive if (file := archive.extractfile(each))}


def read_index(data: bytes, keys: Path) -> dict[str, dict[str, str]]:
    """Check the signature as apk does, with the key of its name, and return the records by file name."""
    signature, body = members(data)
    ((name, value),) = files_in(signature).items()
    _, _, algorithm, key_name = name.split(".", 3)
    key = serialization.load_pem_public_key((keys / key_name).read_bytes())
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(value, body, padding.PKCS1v15(), _HASHES[algorithm])
    records = [
        dict(line.split(":", 1) for line in stanza.splitlines())
        for stanza in files_in(body)["APKINDEX"].decode().split("\n\n")
        if stanza.strip()
    ]
    return {f"{each['P']}-{each['V']}.apk": each for each in records}


def check_package(data: bytes, record: Mapping[str, str]) -> dict[str, bytes]:
    """Check a package against its record as apk does, and return its files."""
    _, control, payload = members(data)
    assert len(data) == int(record["S"])
    assert hashlib.sha1(control).digest() == b64decode(record["C"][2:])
    info = dict(line.split(" = ", 1) for line in files_in(control)[".PKGINFO"].decode().splitlines())
    assert hashlib.sha256(payload).hexdigest() == info["datahash"]
    return files_in(payload)

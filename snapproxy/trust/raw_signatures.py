"""Checks the raw signatures that a root carries (apk's), with the keys in a folder such as /etc/apk/keys.

Which signatures there are the family reads; what the findings are worth `core.signatures` judges. Here stand the key files and the
arithmetic, which is the `cryptography` library's. A key is known by its file's name, or by its own digest, as the signature has it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from snapproxy.core.model import Archive
from snapproxy.core.signature_schemes import RawSignature
from snapproxy.core.signatures import Verdict, judge_raw_signatures

KEY_MOST = 64 << 10
"""Bytes; a PEM of 4096 bits has 800."""
KEYS_MOST = 256
"""Files in a folder of keys that are looked through for an id; Alpine's has some ten."""

_Key = RSAPublicKey | EllipticCurvePublicKey

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 -- all that Alpine's own indexes are signed with; docs/design.md, section 6
    "sha256": hashes.SHA256(),
    "sha512": hashes.SHA512(),
}

_log = logging.getLogger(__name__)


def available_keys(archive: Archive) -> tuple[str, ...]:
    """Return the row's key files and folders of keys that can be read here. Looks at the disk: for start-up, not for the event loop."""
    return tuple(name for name in archive.keyrings if os.access(name, os.R_OK) and _is_file_or_folder(Path(name)))


async def verify(seals: Sequence[RawSignature], keyrings: Sequence[str]) -> Verdict:
    """Judge the signatures of a root by the keys in `keyrings`. Runs in a thread: keys are files, and a root may have megabytes."""
    return await asyncio.to_thread(_verify, seals, keyrings)


def _verify(seals: Sequence[RawSignature], keyrings: Sequence[str]) -> Verdict:
    return judge_raw_signatures([(seal.key, _is_good(seal, keyrings)) for seal in seals])


def _is_good(seal: RawSignature, keyrings: Sequence[str]) -> bool | None:
    """Whether the signature is good; None when none of the keys that it names can tell."""
    found = None
    for key in (key for name in keyrings for key in _keys(Path(name), seal)):
        try:
            _check(key, seal)
        except InvalidSignature:
            found = False
        else:
            return True
    return found


def _check(key: _Key, seal: RawSignature) -> None:
    """Raise InvalidSignature unless the key made the signature."""
    if isinstance(key, RSAPublicKey):
        key.verify(seal.signature, seal.signed, PKCS1v15(), _HASHES[seal.hash])
    else:
        key.verify(seal.signature, seal.signed, ECDSA(_HASHES[seal.hash]))


def _keys(keyring: Path, seal: RawSignature) -> Iterator[_Key]:
    """Yield the keys that the signature may mean: of all in the keyring those by its id, or the one in the file of its name."""
    if seal.by_id:
        yield from (key for file in _files(keyring) if (key := _load(file)) and seal.key in _ids(key))
        return
    if "/" in seal.key or seal.key.startswith("."):
        return  # a signature may not choose files elsewhere
    key = _load(keyring / seal.key) if keyring.is_dir() else _load(keyring) if keyring.name == seal.key else None
    if isinstance(key, RSAPublicKey):
        yield key


def _files(keyring: Path) -> list[Path]:
    """Return the files of a keyring that may be keys: all that a folder has, save hidden ones."""
    try:
        return sorted(each for each in keyring.iterdir() if not each.name.startswith("."))[:KEYS_MOST]
    except NotADirectoryError:
        return [keyring]
    except OSError as error:
        _log.warning("the keys in %s are not used: %s", keyring, error)
        return []


def _ids(key: _Key) -> set[str]:
    """Return what apk may call a key (apk_pkey_init of apk-tools 3.0, which digests what OpenSSL's i2d_PublicKey writes).

    A point can be written in two ways; which, the key's file decides, and that is gone once it is loaded.
    """
    if isinstance(key, RSAPublicKey):
        written = [key.public_bytes(Encoding.DER, PublicFormat.PKCS1)]
    else:
        forms = (PublicFormat.UncompressedPoint, PublicFormat.CompressedPoint)
        written = [key.public_bytes(Encoding.X962, form) for form in forms]
    return {hashlib.sha512(each).digest()[:16].hex() for each in written}


def _load(path: Path) -> _Key | None:
    """Return the key in a file; None when there is none that can be used."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            key = load_pem_public_key(file.read(KEY_MOST))
    except OSError:
        return None
    except (ValueError, UnsupportedAlgorithm) as error:
        _log.warning("the key %s is not used: %s", path, error)
        return None
    return key if isinstance(key, RSAPublicKey | EllipticCurvePublicKey) else None


def _is_file_or_folder(path: Path) -> bool:
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

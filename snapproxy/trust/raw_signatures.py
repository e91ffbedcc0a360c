"""Check the raw signatures that a root contains (apk's), with the keys in a folder such as /etc/apk/keys.

The family parses the signatures, `core.signatures` derives the verdict. This module reads the key files, and calls the
`cryptography` library. A signature names its key by the name of the key's file, or by the digest of the key.
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

MAX_KEY = 64 << 10
"""Maximum bytes of a key file; a PEM of 4096 bits has 800."""

MAX_KEYS = 256
"""Maximum number of files in a folder that are searched for a key id; Alpine's folder has about ten."""

_Key = RSAPublicKey | EllipticCurvePublicKey

_HASHES: dict[str, hashes.HashAlgorithm] = {
    # the only hash of the signatures on Alpine's indexes; docs/explain/design.md, section 6
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha256": hashes.SHA256(),
    "sha512": hashes.SHA512(),
}

_log = logging.getLogger(__name__)


def available_keys(archive: Archive) -> tuple[str, ...]:
    """Return the readable key files and folders of an archive.

    It reads the disk: call it at start-up only.
    """
    return tuple(name for name in archive.keyrings if os.access(name, os.R_OK) and _is_file_or_folder(Path(name)))


async def verify(signatures: Sequence[RawSignature], keyrings: Sequence[str]) -> Verdict:
    """Check the signatures of a root with the keys in `keyrings`.

    The check runs in a thread: keys are files, and a root may have megabytes.
    """
    return await asyncio.to_thread(_verify, signatures, keyrings)


def _verify(signatures: Sequence[RawSignature], keyrings: Sequence[str]) -> Verdict:
    return judge_raw_signatures([(each.key, _is_good(each, keyrings)) for each in signatures])


def _is_good(signature: RawSignature, keyrings: Sequence[str]) -> bool | None:
    """Return whether the signature is good; None if no key that it names is available."""
    found = None
    for key in (key for name in keyrings for key in _keys(Path(name), signature)):
        try:
            _check(key, signature)
        except InvalidSignature:
            found = False
        else:
            return True
    return found


def _check(key: _Key, signature: RawSignature) -> None:
    """Raise InvalidSignature unless the key made the signature."""
    if isinstance(key, RSAPublicKey):
        key.verify(signature.signature, signature.signed, PKCS1v15(), _HASHES[signature.hash])
    else:
        key.verify(signature.signature, signature.signed, ECDSA(_HASHES[signature.hash]))


def _keys(keyring: Path, signature: RawSignature) -> Iterator[_Key]:
    """Yield the keys that the signature may name: those with its key id, or the one in the file of that name."""
    if signature.by_id:
        yield from (key for file in _files(keyring) if (key := _load(file)) and signature.key in _ids(key))
        return
    if "/" in signature.key or signature.key.startswith("."):
        return  # a signature must not select files elsewhere
    if keyring.is_dir():
        key = _load(keyring / signature.key)
    else:
        key = _load(keyring) if keyring.name == signature.key else None
    if isinstance(key, RSAPublicKey):
        yield key


def _files(keyring: Path) -> list[Path]:
    """Return the files of a keyring that may be keys: those of a folder without hidden ones, or the file itself."""
    try:
        return sorted(each for each in keyring.iterdir() if not each.name.startswith("."))[:MAX_KEYS]
    except NotADirectoryError:
        return [keyring]
    except OSError as error:
        _log.warning("The keys in %s are not used: %s", keyring, error)
        return []


def _ids(key: _Key) -> set[str]:
    """Return the possible key ids of a key (apk_pkey_init of apk-tools 3.0: a digest of OpenSSL's i2d_PublicKey).

    A point of an elliptic curve has two encodings. The key's file determines which one is used, and the loaded key has
    no record of it.
    """
    if isinstance(key, RSAPublicKey):
        encoded = [key.public_bytes(Encoding.DER, PublicFormat.PKCS1)]
    else:
        forms = (PublicFormat.UncompressedPoint, PublicFormat.CompressedPoint)
        encoded = [key.public_bytes(Encoding.X962, form) for form in forms]
    return {hashlib.sha512(each).digest()[:16].hex() for each in encoded}


def _load(path: Path) -> _Key | None:
    """Return the key in a file; None if the file contains no usable key."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            key = load_pem_public_key(file.read(MAX_KEY))
    except OSError:
        return None
    except (ValueError, UnsupportedAlgorithm) as error:
        _log.warning("The key %s is not used: %s", path, error)
        return None
    return key if isinstance(key, RSAPublicKey | EllipticCurvePublicKey) else None


def _is_file_or_folder(path: Path) -> bool:
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

"""Checks the raw RSA signatures that a root carries (apk's), with the keys in a folder such as /etc/apk/keys.

Which signatures there are the family reads; what the findings are worth `core.signatures` judges. Here stand the key files and the
arithmetic, which is the `cryptography` library's. A key is known by its file's name, as apk has it: the signature names the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from snapproxy.core.model import Archive
from snapproxy.core.schemes import Seal
from snapproxy.core.signatures import Verdict, judge_seals

KEY_MOST = 64 << 10
"""Bytes; a PEM of 4096 bits has 800."""

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 -- all that Alpine's own indexes are signed with; docs/design.md, section 6
    "sha256": hashes.SHA256(),
    "sha512": hashes.SHA512(),
}

_log = logging.getLogger(__name__)


def available_keys(row: Archive) -> tuple[str, ...]:
    """Return the row's key files and folders of keys that can be read here. Looks at the disk: for start-up, not for the event loop."""
    return tuple(name for name in row.keyrings if os.access(name, os.R_OK) and _is_file_or_folder(Path(name)))


async def verify(data: bytes, seals: Sequence[Seal], keyrings: Sequence[str]) -> Verdict:
    """Judge the signatures of a root by the keys in `keyrings`. Runs in a thread: keys are files, and a root may have megabytes."""
    return await asyncio.to_thread(_verify, data, seals, keyrings)


def _verify(data: bytes, seals: Sequence[Seal], keyrings: Sequence[str]) -> Verdict:
    return judge_seals([(seal.key, _is_good(data, seal, keyrings)) for seal in seals])


def _is_good(data: bytes, seal: Seal, keyrings: Sequence[str]) -> bool | None:
    """Whether the signature is good; None when none of the keys by that name can tell."""
    found = None
    for key in filter(None, (_key(Path(name), seal.key) for name in keyrings)):
        try:
            key.verify(seal.signature, data[seal.start :], PKCS1v15(), _HASHES[seal.hash])
        except InvalidSignature:
            found = False
        else:
            return True
    return found


def _key(keyring: Path, name: str) -> RSAPublicKey | None:
    """Return the key by that name: the file itself if it bears it, or a file in the folder. None when there is none that can be used."""
    if "/" in name or name.startswith("."):
        return None  # a signature may not choose files elsewhere
    path = keyring / name if keyring.is_dir() else keyring
    try:
        if path.name != name or not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            key = load_pem_public_key(file.read(KEY_MOST))
    except OSError:
        return None
    except (ValueError, UnsupportedAlgorithm) as error:
        _log.warning("the key %s is not used: %s", path, error)
        return None
    return key if isinstance(key, RSAPublicKey) else None


def _is_file_or_folder(path: Path) -> bool:
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

"""Copy a served file to a path: complete and verified, or not at all."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

import aiofiles

from snapproxy.core.exchange import Answerer, Conditions, FileTarget, Moved, Served
from snapproxy.core.model import Proof, Refusal
from snapproxy.core.progress import Progress
from snapproxy_storage import DraftFailed


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched file, whose bytes are at the target path. `size` in bytes; `cache` is HIT, MISS or JOINED."""

    size: int
    digest: str
    proof: Proof
    cache: str
    snapshot: str


async def fetch_file(
    answerer: Answerer, target: FileTarget, file: Path, progress: Progress, name: str
) -> Fetched | Refusal:
    """Download `target` to `file`: complete and verified, or not at all. Reports progress as `name`."""
    outcome = await answerer.answer(target, Conditions())
    if isinstance(outcome, Moved):
        return Refusal(404, "The path is a folder, not a file")
    if isinstance(outcome, Refusal):
        return outcome
    return await _copy(outcome, file, progress, name)


async def _copy(served: Served, target: Path, progress: Progress, path: str) -> Fetched | Refusal:
    """Copy a body into a draft in the folder of `target`, and rename it once it is verified.

    Reports progress as `path`.
    """
    body, draft = served.body, target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    digest, offset = hashlib.sha256(), 0
    try:
        async with aiofiles.open(draft, "xb") as out:
            while body.size is None or offset < body.size:
                ready = await body.wait(offset)
                async for piece in body.chunks(offset, ready):
                    await out.write(piece)
                    digest.update(piece)
                offset = ready
                progress.advance(path, offset, body.size)
        draft.replace(target)
    except DraftFailed as failed:
        return Refusal(502, "The download failed", failed.reason, "Try again: verified parts are not downloaded twice.")
    finally:
        body.close()
        draft.unlink(missing_ok=True)
    return Fetched(offset, digest.hexdigest(), served.proof, served.cache, served.snapshot)

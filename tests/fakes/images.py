"""Write an image with one layer, in an image layout."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any


def image_of_folder(folder: Path, layout: Path, *, created: str) -> None:
    """Write an image whose layer has the files of a folder, with the tag `image`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(folder, arcname=".")
    layer_tar = out.getvalue()
    image_of_layers(layout, [layer_tar], created=created)


def image_of_layers(layout: Path, layers: list[bytes], *, created: str, **config: Any) -> None:
    """Write an image of uncompressed layers, oldest first; `config` are members of its configuration."""
    (layout / "blobs/sha256").mkdir(parents=True)
    inner = {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]},
        **config,
    }
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": _blob(layout, f"{kind}.config.v1+json", json.dumps(inner).encode()),
        "layers": [_blob(layout, f"{kind}.layer.v1.tar", each) for each in layers],
    }
    listed = _blob(layout, f"{kind}.manifest.v1+json", json.dumps(manifest).encode())
    listed["annotations"] = {"org.opencontainers.image.ref.name": "image"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def _blob(layout: Path, media_type: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

"""Stored blobs can be the content of an artifact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snapproxy.oci.artifact import BlobContent, Opened
from snapproxy.oci.layout import open_layout
from snapproxy.oci.layout_write import write_layout
from snapproxy.oci.places import LayoutPlace
from snapproxy.oci.transfer import push
from snapproxy_storage import Writing, open_store


async def test_blobs_of_the_store_are_exported_and_pushed(make_artifact, connect, registry, tmp_path: Path) -> None:
    data = b"a package" * 10_000
    artifact = make_artifact(data)
    async with open_store(tmp_path / "state", tmp_path / "cache") as store:
        begun = store.drafts.begin("a package")
        assert isinstance(begun, Writing)
        await begun.draft.write(data)
        blob = await begun.draft.commit()
        stored = blob.digest
        blob.close()

        async def opening() -> Opened:
            blob = await store.blobs.open(stored)
            assert blob is not None
            return blob

        digest = f"sha256:{stored}"
        content = BlobContent(artifact.contents[digest].descriptor, opening)
        stocked = replace(artifact, contents=artifact.contents | {digest: content})
        place = LayoutPlace(str(tmp_path / "out"))
        await write_layout(stocked, place)
        await push(await connect(registry.host), stocked, "v1")
    assert registry.blobs[digest] == data
    async with open_layout(place) as layout:
        assert await layout.resolve("") == artifact.root
        assert b"".join([piece async for piece in layout.blob(content.descriptor)]) == data

"""The evidence of images in a registry: of the machine's platform, with limits."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator
from typing import Any

import pytest

from snapproxy.archives import BUILTIN, HISTORIES
from snapproxy.base.clock import SystemClock
from snapproxy.core.address import AddressBook
from snapproxy.core.time_evidence import EvidenceKind
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ClientError
from snapproxy.jobs import image_evidence
from snapproxy.jobs.export import RegistryAccess
from snapproxy.jobs.root_evidence import RootEvidence
from snapproxy.oci.artifact import Artifact, bytes_content
from snapproxy.oci.manifests import Descriptor, ImageIndex, Manifest, digest_of
from snapproxy.oci.places import Reference, TreePlace, read_reference
from snapproxy.oci.transfer import push
from tests.fakes.registry import SimulatedRegistry

BOOK = AddressBook(archives=BUILTIN, histories=HISTORIES)
JUNE, JULY = "20240601T000000Z", "20240701T000000Z"


@pytest.fixture
async def registry() -> AsyncIterator[SimulatedRegistry]:
    async with SimulatedRegistry() as registry:
        yield registry


def layer(time: str) -> bytes:
    text = f"deb http://snapshot.debian.org/archive/debian/{time} bookworm main\n".encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("etc/apt/sources.list")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


def image(time: str, more: tuple[str, ...] = (), **config: Any) -> Artifact:
    """Return an image with a layer for each time."""
    settings = json.dumps({"created": "2024-07-02T00:00:00Z", **config}).encode()
    layers = [
        bytes_content(Descriptor("application/vnd.oci.image.layer.v1.tar", digest_of(data), len(data)), data)
        for data in map(layer, (time, *more))
    ]
    about = Descriptor("application/vnd.oci.image.config.v1+json", digest_of(settings), len(settings))
    manifest = Manifest(tuple(each.descriptor for each in layers), config=about)
    return Artifact.of(manifest, (*layers, bytes_content(about, settings)))


def of_platform(part: Artifact, system: str, architecture: str) -> Descriptor:
    found = part.root.descriptor
    platform = {"os": system, "architecture": architecture}
    return Descriptor(found.media_type, found.digest, found.size, platform=platform)


async def pushed(registry: SimulatedRegistry, artifact: Artifact) -> Reference:
    target = read_reference(f"{registry.host}/base:latest")
    async with RegistryAccess().open(target, SystemClock()) as repository:
        await push(repository, artifact, "latest")
    return target


async def read(place: Reference, machine: str = "amd64") -> RootEvidence:
    return await image_evidence.image_evidence(place, RegistryAccess(), SystemClock(), BOOK, machine)


def pins(found: RootEvidence) -> list[str]:
    return [format_instant(each.at or 0) for each in found.evidence if each.kind is EvidenceKind.PIN]


@pytest.mark.parametrize(("machine", "time"), [("amd64", JUNE), ("arm64", JULY), ("riscv64", JUNE)])
async def test_the_image_of_the_platform_is_read(registry: SimulatedRegistry, machine: str, time: str) -> None:
    parts = image("20240501T000000Z"), image(JUNE), image(JULY)
    platforms = ("unknown", "unknown"), ("linux", "amd64"), ("linux", "arm64")
    listed = tuple(of_platform(part, *each) for part, each in zip(parts, platforms, strict=True))
    place = await pushed(registry, Artifact.under(ImageIndex(listed), parts))
    found = await read(place, machine)
    assert pins(found) == [time]
    assert "Of 3 images the one for linux/" in found.notes[0]


async def test_labels_name_the_base(registry: SimulatedRegistry) -> None:
    labels = {"org.opencontainers.image.base.name": "debian:bookworm-20240513"}
    found = await read(await pushed(registry, image(JUNE, config={"Labels": labels})))
    (base,) = (each for each in found.evidence if each.kind is EvidenceKind.STATED)
    assert (format_instant(base.first or 0), base.last) == ("20240513T000000Z", None)


async def test_a_layer_that_is_too_large_is_noted(registry: SimulatedRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_evidence, "LARGEST_LAYER", 1000)
    found = await read(await pushed(registry, image(JUNE)))
    assert pins(found) == []
    assert "the limit is 1000" in found.notes[0]


async def test_layers_share_the_limit_of_memory_and_have_a_maximum_number(
    registry: SimulatedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await pushed(registry, image(JUNE, more=(JULY,)))
    assert pins(await read(place)) == [JULY]
    monkeypatch.setattr(image_evidence, "MOST_KEPT", 1000)
    found = await read(place)
    assert pins(found) == [JUNE], "the second layer takes more than the rest"
    assert "Layer 2 was not read" in found.notes[0]
    monkeypatch.setattr(image_evidence, "MOST_LAYERS", 1)
    assert "The image has 2 layers; those after number 1 were not read." in (await read(place)).notes


async def test_an_index_of_attestations_and_a_tree_are_no_images(registry: SimulatedRegistry) -> None:
    part = image(JUNE)
    place = await pushed(registry, Artifact.under(ImageIndex((of_platform(part, "unknown", "unknown"),)), (part,)))
    with pytest.raises(ClientError, match="no image"):
        await read(place)
    with pytest.raises(ClientError, match="not an image"):
        await read(TreePlace("x"))  # type: ignore[arg-type]

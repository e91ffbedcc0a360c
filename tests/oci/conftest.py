from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from snapproxy.oci.artifact import Artifact, Content, bytes_content
from snapproxy.oci.model import Descriptor, Manifest, digest_of

KIND = "application/vnd.example.capture.v1"
OCTETS = "application/octet-stream"


def blob(data: bytes, title: str = "") -> Content:
    notes = {"org.opencontainers.image.title": title} if title else {}
    return bytes_content(Descriptor(OCTETS, digest_of(data), len(data), annotations=notes), data)


@pytest.fixture
def make_blob() -> Callable[..., Content]:
    return blob


@pytest.fixture
def make_artifact() -> Callable[..., Artifact]:
    """Make an artifact of these bytes, a layer each, entitled by number; `subject` makes it a referrer."""

    def make(*layers: bytes, subject: Descriptor | None = None, kind: str = KIND) -> Artifact:
        contents = [blob(data, f"pool/{number}.deb") for number, data in enumerate(layers)]
        manifest = Manifest(tuple(each.descriptor for each in contents), kind, annotations={"org.example.a": "é"})
        return Artifact.of(replace(manifest, subject=subject), tuple(contents))

    return make

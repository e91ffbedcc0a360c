"""Captures in registries: pushed, copied by other tools, attached to images, and found from an image."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.capture.artifact import ARTIFACT_TYPE
from snapproxy.core.model import Role
from snapproxy.errors import ClientError, RecordError
from snapproxy.jobs.attest import attest
from snapproxy.jobs.export import Exported, ExportOptions, RegistryAccess
from snapproxy.oci.artifact import Artifact, bytes_content
from snapproxy.oci.manifests import EMPTY_CONFIG, MANIFEST, Descriptor, ImageIndex, Manifest, digest_of
from snapproxy.oci.places import Reference, read_place, read_reference
from snapproxy.oci.referrers import referrers
from snapproxy.oci.registry import Repository
from snapproxy.oci.transfer import push
from tests.fakes.debian_registry import DebianRegistry
from tests.fakes.hamlet import FIRST, INRELEASE, Hamlet, later
from tests.fakes.house import House
from tests.fakes.registry import SimulatedRegistry

AT = later(FIRST, 3600)


def reference(host: str, name: str) -> Reference:
    return read_reference(f"{host}/{name}")


async def export(house: House, place: str, wish: ExportOptions | None = None) -> Exported:
    record = await house.app.captures.record("build")
    return await house.app.exporter.export(record, read_place(place), wish or ExportOptions())


async def attach(house: House, image: Reference, capture: str = "build") -> Exported:
    return await house.app.exporter.attach(await house.app.captures.record(capture), image, ExportOptions())


async def image(host: str, name: str, *, is_index: bool = False) -> Reference:
    """Push a minimal image, or an index of two images; return its reference."""
    layer = Descriptor("application/vnd.oci.image.layer.v1.tar", digest_of(b"layer"), 5)
    parts = [
        Artifact.of(Manifest((layer,), annotations={"n": str(turn)}), (bytes_content(layer, b"layer"),))
        for turn in (1, 2)
    ]
    artifact = (
        Artifact.under(ImageIndex(tuple(each.root.descriptor for each in parts)), tuple(parts))
        if is_index
        else parts[0]
    )
    target = reference(host, name)
    async with RegistryAccess().open(target, SystemClock()) as repository:
        await push(repository, artifact, "latest")
    return reference(host, f"{name}@{(artifact.documents[0] if is_index else artifact.root).digest}")


async def test_debians_registry_and_skopeo_carry_it_byte_for_byte(
    recorded: House, elsewhere: House, hamlet: Hamlet, debian_registry: DebianRegistry, tmp_path: Path
) -> None:
    host = debian_registry.host
    exported = await export(recorded, f"docker://{host}/team/capture:v1")
    assert exported.name == f"{host}/team/capture@{exported.digest}"
    layout = await export(recorded, f"oci:{tmp_path}/own:v1")
    assert layout.digest == exported.digest
    copy = ["skopeo", "copy", "--quiet", "--src-tls-verify=false"]
    subprocess.run([*copy, f"docker://{host}/team/capture:v1", f"oci:{tmp_path}/copy:v1"], check=True)
    mine, copied = (
        {f.name: f.read_bytes() for f in (tmp_path / d / "blobs/sha256").iterdir()} for d in ("own", "copy")
    )
    assert mine == copied
    package = hamlet.edition.kept
    url = f"http://{host}/v2/team/capture/blobs/sha256:{hamlet.content(package.path).sha256}"
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == hamlet.content(package.path).data
    imported = await elsewhere.app.importer.import_capture(
        read_place(f"docker://{exported.name}"), "copy", RegistryAccess()
    )
    assert (imported.new, imported.checked) == (5, 1)
    assert (await elsewhere.get(AT, package.path, capture="copy")).data == hamlet.content(package.path).data


async def test_a_digest_cannot_be_wished_for(recorded: House, registry: SimulatedRegistry) -> None:
    with pytest.raises(ClientError, match="cannot have a digest in its destination"):
        await export(recorded, f"docker://{registry.host}/a@sha256:{'0' * 64}")


@pytest.mark.parametrize("has_referrers", [True, False])
@pytest.mark.parametrize("is_index", [True, False])
async def test_what_is_attached_to_an_image_is_found_by_the_images_name(
    recorded: House, elsewhere: House, registry: SimulatedRegistry, *, has_referrers: bool, is_index: bool
) -> None:
    registry.has_referrers = has_referrers
    subject = await image(registry.host, "team/app", is_index=is_index)
    exported = await attach(recorded, subject)
    _, manifest = registry.manifests["team/app", exported.digest]
    value = json.loads(manifest)
    assert (value["artifactType"], value["subject"]["digest"], value["config"]["digest"]) == (
        ARTIFACT_TYPE,
        subject.digest,
        EMPTY_CONFIG.digest,
    )
    assert (("team/app", subject.digest.replace(":", "-")) in registry.manifests) is not has_referrers
    place = read_place(f"docker://{registry.host}/team/app:latest")
    imported = await elsewhere.app.importer.import_capture(place, "app", RegistryAccess())
    assert (imported.digest, imported.files) == (exported.digest, 5)
    assert (await elsewhere.get(AT, INRELEASE)).status == 200


async def test_an_image_without_a_capture_and_one_with_two_say_so(
    recorded: House, elsewhere: House, registry: SimulatedRegistry
) -> None:
    subject = await image(registry.host, "team/app")
    place = read_place(f"docker://{subject.name}")
    with pytest.raises(RecordError, match="No capture is attached"):
        await elsewhere.app.importer.import_capture(place, "app", RegistryAccess())
    first = await attach(recorded, subject)
    await recorded.get(AT, INRELEASE, capture="other")
    second = await attach(recorded, subject, "other")
    with pytest.raises(ClientError, match="Several captures") as caught:
        await elsewhere.app.importer.import_capture(place, "app", RegistryAccess())
    assert first.digest in caught.value.why
    assert second.digest in caught.value.why
    one = await elsewhere.app.importer.import_capture(read_place(f"docker://{second.name}"), "app", RegistryAccess())
    assert one.files == 1


async def test_packages_alone_fill_a_repository_that_is_asked_by_digest(
    recorded: House, elsewhere: House, debian_registry: DebianRegistry
) -> None:
    host = debian_registry.host
    exported = await export(recorded, f"docker://{host}/team/blobs", ExportOptions(blobs_only=True))
    record = await recorded.app.captures.record("build")
    packages = {entry.sha256 for entry in record.entries if entry.role is Role.PACKAGE}
    asked = urllib.request.Request(f"http://{host}/v2/team/blobs/manifests/latest", headers={"Accept": MANIFEST})
    with urllib.request.urlopen(asked) as answer:
        manifest = json.load(answer)
    assert {each["digest"].removeprefix("sha256:") for each in manifest["layers"]} == packages
    assert all("annotations" not in each for each in manifest["layers"])
    with pytest.raises(RecordError, match="No capture is attached"):
        await elsewhere.app.importer.import_capture(read_place(f"docker://{exported.name}"), "x1", RegistryAccess())


async def test_what_the_registry_has_already_is_named_and_not_sent(
    recorded: House, registry: SimulatedRegistry
) -> None:
    place = f"docker://{registry.host}/team/capture:v1"
    record = await recorded.app.captures.record("build")
    whole = await export(recorded, place)
    sent = len([each for each in registry.seen if each.method == "PUT"])
    thin = await export(recorded, place, ExportOptions(known=record))
    assert thin.digest == whole.digest
    assert len([each for each in registry.seen if each.method == "PUT"]) == sent + 1


async def test_a_reproduction_is_attested_beside_the_image(debian_registry: DebianRegistry) -> None:
    subject = await image(debian_registry.host, "team/app")
    name = await attest(subject, "a" * 64, {"out/app.tar": "b" * 64}, RegistryAccess(), SystemClock())
    async with RegistryAccess().open(subject, SystemClock()) as repository:
        (found,) = await referrers(repository, subject.digest, "application/vnd.in-toto+json")
        assert name == f"{debian_registry.host}/team/app@{found.digest}"
        statement = json.loads(
            b"".join([piece async for piece in repository.blob((await layers(repository, found))[0])])
        )
    assert statement["predicateType"] == "urn:x-snapproxy:reproduced:v1"
    assert statement["subject"] == [{"digest": {"sha256": subject.digest[7:]}, "name": subject.name}]
    assert statement["predicate"]["lock"]["digest"] == {"sha256": "a" * 64}
    assert statement["predicate"]["outputs"] == [{"digest": {"sha256": "b" * 64}, "name": "out/app.tar"}]


async def layers(repository: Repository, root: Descriptor) -> tuple[Descriptor, ...]:
    manifest = (await repository.document(root)).read()
    assert isinstance(manifest, Manifest)
    return manifest.layers

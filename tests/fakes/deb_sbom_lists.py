"""The sample lists of Debian packages, bills of materials, and builds."""

from __future__ import annotations

from tests.fakes.rpm_apk_arch_lists import SAMPLES

FOLDERS = ("buildkit", "debian", "debootsnap", "dpkg", "mkosi", "rules-distroless", "sha256sums", "syft", "trivy")
CONTENTS = {
    path.relative_to(SAMPLES).as_posix(): path.read_bytes()
    for each in FOLDERS
    for path in sorted((SAMPLES / each).iterdir())
}
"""The bytes of each sample, by its path."""

FORMAT_OF = {
    "buildkit/imagetools.json": "provenance",
    "buildkit/slsa-v0.2.json": "provenance",
    "buildkit/slsa-v1.json": "provenance",
    "debian/signed.buildinfo": "debian-buildinfo",
    "debian/snaptest_1.0_amd64.buildinfo": "debian-buildinfo",
    "debootsnap/packages.txt": "debootsnap",
    "dpkg/list.txt": "dpkg-list",
    "dpkg/query-equals.txt": "dpkg-query",
    "dpkg/query.txt": "dpkg-query",
    "dpkg/status": "dpkg-status",
    "dpkg/status.d": "dpkg-status",
    "mkosi/arch.manifest": "mkosi-manifest",
    "mkosi/debian.manifest": "mkosi-manifest",
    "mkosi/fedora.manifest": "mkosi-manifest",
    "rules-distroless/v1.lock.json": "rules-distroless-lock",
    "rules-distroless/v2.lock.json": "rules-distroless-lock",
    "sha256sums/repro-get.txt": "sha256sums",
    "sha256sums/titled.txt": "sha256sums",
    "syft/image.cdx.json": "cyclonedx",
    "syft/image.spdx": "spdx-tag-value",
    "syft/image.spdx.json": "spdx",
    "syft/image.syft.json": "syft",
    "trivy/image.cdx.json": "cyclonedx",
    "trivy/image.spdx.intoto.jsonl": "spdx",
    "trivy/image.spdx.json": "spdx",
}
"""The format of each sample."""

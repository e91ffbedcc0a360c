"""The architectures that apk is built for (apk_arch.h of apk-tools 3.0), which are names of folders in repositories."""

from __future__ import annotations

NOARCH = "noarch"

ARCHITECTURES = frozenset(
    {
        "aarch64", "armhf", "armv7", "loongarch64", "mips", "mips64", "mips64el", "mipsel",
        "ppc", "ppc64", "ppc64le", "riscv32", "riscv64", "s390x", "x86", "x86_64",
    }
)  # fmt: skip

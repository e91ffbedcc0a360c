"""Configuration texts for dnf and zypper: a `.repo` file for the mirror form, and settings for the proxy form.

dnf and zypper send the credentials of a proxy only after a 407. dnf has an option to send them with the first request
(`proxy_auth_method`), zypper has none. Repositories must use `baseurl=`: `metalink=` and `mirrorlist=` of the
distribution lead to other hosts and to the digests of the current state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, proxy_exports, proxy_url, user_name
from snapproxy.core.model import Match, TimeSpec

#: By default dnf gives up after 30 s without data, or below 1000 bytes per second; snapshot archives are slow.
SETTINGS = """\
timeout=300
minrate=1
# Without this, dnf skips an unavailable repository and exits with code 0.
skip_if_unavailable=False
"""

#: By default zypper ends a transfer that takes longer than 180 s; an hour is the maximum of this setting.
ZYPPER_SETTINGS = """\
[main]
download.transfer_timeout = 3600
"""

#: The commands that request the metadata again in the proxy form.
REFRESH = (
    "# dnf and zypper keep metadata for hours by its address, which is the same for every time. After a change:",
    "# dnf:    dnf --refresh makecache",
    "# zypper: zypper refresh --force",
)


@dataclass(frozen=True, slots=True)
class Metalink:
    """A repository of a service that lists mirrors, and its folder on a host of the archive.

    The service is asked for `repo` followed by a release, such as `9-stream` or `$releasever`, and an architecture.
    """

    service: str
    repo: str
    folder: str


_FEDORA, _CENTOS = "mirrors.fedoraproject.org/metalink", "mirrors.centos.org/metalink"
_LINUX, _STREAM = "https://dl.fedoraproject.org/pub/fedora/linux", "https://mirror.stream.centos.org"

#: Stock files of CentOS Stream name their repositories by such lists alone, without a `baseurl` in a comment.
METALINKS = (
    Metalink(_FEDORA, "fedora-", f"{_LINUX}/releases/{{release}}/Everything/{{arch}}/os/"),
    Metalink(_FEDORA, "updates-released-f", f"{_LINUX}/updates/{{release}}/Everything/{{arch}}/"),
    *(
        Metalink(_CENTOS, f"centos-{name.lower()}-", f"{_STREAM}/{{release}}/{name}/{{arch}}/os/")
        for name in ("BaseOS", "AppStream", "CRB", "HighAvailability", "NFV", "RT", "ResilientStorage")
    ),
    Metalink(_CENTOS, "centos-extras-sig-extras-common-", f"{_STREAM}/SIGs/{{release}}/extras/{{arch}}/extras-common/"),
)


@dataclass(frozen=True, slots=True)
class RpmOptions:
    """Options for the texts: the repository at `path` of an archive, at a time.

    `path` may contain `$releasever` and `$basearch`.

    `base` is snapproxy's address, `http://HOST:PORT` without a trailing slash.
    """

    archive: str
    path: str
    when: TimeSpec
    base: str = DEFAULT_BASE

    @property
    def url(self) -> str:
        """The address of the repository in the mirror form."""
        path = self.path.strip("/")
        return f"{self.base}/{self.archive}/{user_name(self.when)}/{path + '/' if path else ''}"

    @property
    def title(self) -> str:
        """The name of the repository, which dnf and zypper print."""
        return f"{self.archive} at {user_name(self.when)}"


def mirror(repository: RpmOptions) -> tuple[Snippet, ...]:
    """Return the mirror form for dnf. Each time has its own address, and therefore its own cache in dnf."""
    lasting = (
        ""
        if repository.when.match is Match.LIVE
        else "# A past state does not change, so its metadata does not expire.\nmetadata_expire=never\n"
    )
    text = (
        f"[{repository.archive}]\nname={repository.title}\nbaseurl={repository.url}\nenabled=1\ngpgcheck=1\n"
        f"{lasting}{SETTINGS}"
    )
    return (Snippet(f"/etc/yum.repos.d/{repository.archive}.repo", text),)


def zypper(repository: RpmOptions) -> tuple[Snippet, ...]:
    """Return the mirror form for zypper."""
    text = (
        f"[{repository.archive}]\nname={repository.title}\nbaseurl={repository.url}\nenabled=1\nautorefresh=1\n"
        "type=rpm-md\ngpgcheck=1\n"
    )
    return (
        Snippet(f"/etc/zypp/repos.d/{repository.archive}.repo", text),
        Snippet("/etc/zypp/zypp.conf", ZYPPER_SETTINGS),
    )


def proxy(repository: RpmOptions) -> tuple[Snippet, ...]:
    """Return the proxy form for dnf: lines of `[main]`.

    Repositories keep their `baseurl`, which must begin with `http:`.

    One address is used for many times, so dnf's cached metadata must expire immediately.
    """
    text = (
        f"[main]\nproxy={repository.base}\nproxy_username={user_name(repository.when)}\nproxy_password=x\n"
        "# Without this, dnf sends the time only after a 407, on each connection.\nproxy_auth_method=basic\n"
        f"metadata_expire=0\n{SETTINGS}"
    )
    return (Snippet("/etc/dnf/dnf.conf", text),)


def environment(repository: RpmOptions) -> tuple[Snippet, ...]:
    """Return shell lines for the proxy form, for zypper and dnf.

    Both keep metadata for hours under an address that is the same for every time, so they must be made to ask again.
    """
    lines = (*proxy_exports(proxy_url(repository.base, repository.when)), *REFRESH)
    return (Snippet("", "".join(f"{line}\n" for line in lines)),)


def dockerfile(repository: RpmOptions) -> tuple[Snippet, ...]:
    """Return lines for a Dockerfile in which snapproxy's script pins the repositories and restores them afterwards.

    Stock images have a repository of Cisco's openh264, whose archive is not ours: the script turns it off and says so.
    """
    text = f"""\
# snapproxy must be reachable from inside the build; on this machine: docker build --network=host
# --disable-unknown turns off repositories for which snapproxy has no archive, such as that of openh264, and prints them
FROM scratch AS pin
ADD {repository.base}/{user_name(repository.when)}/pin.sh /
FROM fedora
RUN --mount=from=pin,target=/mnt sh /mnt/pin.sh --disable-unknown \\
 && dnf -y install ca-certificates \\
 && dnf clean all \\
 && sh /mnt/pin.sh --undo
"""
    return (Snippet("Dockerfile", text),)


#: The forms by their names for `--form`. The first one is the default.
FORMS: dict[str, Callable[[RpmOptions], tuple[Snippet, ...]]] = {
    "mirror": mirror,
    "zypper": zypper,
    "proxy": proxy,
    "dockerfile": dockerfile,
    "environment": environment,
}

"""dnf's and zypper's configuration texts: a `.repo` file for the mirror form, and what makes either send the time through a proxy.

dnf and zypper send a proxy's credentials only after a 407; one option makes dnf send them at once (`proxy_auth_method`), zypper has none.
Whatever a distribution's own files say: `metalink=` and `mirrorlist=` lead to other hosts and today's digests, so `baseurl=` it must be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, user_name
from snapproxy.core.model import Match, TimeSpec

#: dnf gives up after 30 s of silence, or of less than 1000 bytes a second; archives that remember answer slowly and in turns.
SETTINGS = """\
timeout=300
minrate=1
# Without this a repository that cannot be had is left out, with exit code 0.
skip_if_unavailable=False
"""

#: zypper ends a transfer that takes longer than 180 s; an hour is the longest it can be told.
ZYPPER_SETTINGS = """\
[main]
download.transfer_timeout = 3600
"""


@dataclass(frozen=True, slots=True)
class RpmOptions:
    """What the texts are for: the repository at `path` of an archive (`$releasever` and `$basearch` as dnf reads them), at a time.

    `base` is snapproxy's own address, `http://HOST:PORT` without a slash at its end.
    """

    archive: str
    path: str
    when: TimeSpec
    base: str = DEFAULT_BASE

    @property
    def url(self) -> str:
        """The repository in the mirror form."""
        path = self.path.strip("/")
        return f"{self.base}/{self.archive}/{user_name(self.when)}/{path + '/' if path else ''}"

    @property
    def title(self) -> str:
        """What dnf and zypper print for it."""
        return f"{self.archive} at {user_name(self.when)}"


def mirror(repository: RpmOptions) -> tuple[Snippet, ...]:
    """Return the mirror form for dnf. Another time is another address, and so has a cache of its own in dnf."""
    lasting = (
        ""
        if repository.when.match is Match.LIVE
        else "# What was, stays: nothing to ask again.\nmetadata_expire=never\n"
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
    """Return the proxy form for dnf: lines of `[main]`. Repositories keep their `baseurl`, which must begin with http.

    One address shows many times here, so dnf may not rely on what it loaded before.
    """
    text = (
        f"[main]\nproxy={repository.base}\nproxy_username={user_name(repository.when)}\nproxy_password=x\n"
        "# Otherwise dnf sends the time only when asked, once for each connection.\nproxy_auth_method=basic\n"
        f"metadata_expire=0\n{SETTINGS}"
    )
    return (Snippet("/etc/dnf/dnf.conf", text),)


def environment(repository: RpmOptions) -> tuple[Snippet, ...]:
    """Return shell lines for the proxy form: all that zypper reads, and enough for dnf."""
    address = repository.base.replace("://", f"://{user_name(repository.when)}:x@", 1)
    return (Snippet("", f"export http_proxy={address} https_proxy={address} no_proxy=\n"),)


def dockerfile(repository: RpmOptions) -> tuple[Snippet, ...]:
    """Return lines for a Dockerfile: the script that snapproxy serves pins every repository of an image that it knows, and puts them back."""
    text = f"""\
# snapproxy must be reachable from inside the build; on this machine: docker build --network=host
FROM scratch AS pin
ADD {repository.base}/{user_name(repository.when)}/pin.sh /
FROM fedora
RUN --mount=from=pin,target=/mnt sh /mnt/pin.sh \\
 && dnf -y install ca-certificates \\
 && dnf clean all \\
 && sh /mnt/pin.sh --undo
"""
    return (Snippet("Dockerfile", text),)


#: Every form by the name `--form` takes. The first one is the default.
FORMS: dict[str, Callable[[RpmOptions], tuple[Snippet, ...]]] = {
    "mirror": mirror,
    "zypper": zypper,
    "proxy": proxy,
    "dockerfile": dockerfile,
    "environment": environment,
}

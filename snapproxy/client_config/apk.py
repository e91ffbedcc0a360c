"""Configuration texts for apk: /etc/apk/repositories, the proxy form, a Dockerfile.

Indexes and packages are signed, so plain http from snapproxy is as safe as https from the mirror. An https repository
(the default in recent images) would use CONNECT, whose requests cannot be pinned.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.client_config.snippets import DEFAULT_BASE, Snippet, proxy_exports, proxy_url, user_name
from snapproxy.core.model import TimeSpec
from snapproxy.errors import ConfigurationError

ALPINE = "alpine"
EXAMPLE = "v3.20"

REPOSITORIES = "/etc/apk/repositories"
COMPONENTS = ("main", "community")

# `VERSION_ID` of a release is like 3.20.3; that of edge has an underscore, like 3.21_alpha20240807.
_RELEASE = re.compile(r"v?(?P<branch>[0-9]{1,3}\.[0-9]{1,3})(?:\.[0-9]{1,3})?")
_EDGE = re.compile(r"edge|[0-9.]+_.+")


@dataclass(frozen=True, slots=True)
class ApkOptions:
    """Options for the texts: a branch (`v3.20`, `edge`), a time, and snapproxy's address without a trailing slash."""

    branch: str
    when: TimeSpec
    base: str = DEFAULT_BASE

    @property
    def proxy(self) -> str:
        """The URL of the proxy form."""
        return proxy_url(self.base, self.when)


def branch_of(release: str) -> str:
    """Return the branch for a release as users or /etc/os-release name it. Raises ConfigurationError.

    `3.20`, `v3.20` and `3.20.3` are v3.20.
    """
    if match := _RELEASE.fullmatch(release):
        return f"v{match['branch']}"
    if _EDGE.fullmatch(release):
        return "edge"
    # latest-stable is refused: it is a different branch at different times, which defeats pinning.
    raise ConfigurationError(
        f"{release[:40]!a} is not a release of Alpine", hint=f"Use a name such as: --suite {EXAMPLE}"
    )


def mirror(request: ApkOptions) -> tuple[Snippet, ...]:
    """Return the mirror form. apk caches an index by its address, so each time has its own cache."""
    prefix = f"{request.base}/{ALPINE}/{user_name(request.when)}/{request.branch}"
    return (Snippet(REPOSITORIES, "".join(f"{prefix}/{component}\n" for component in COMPONENTS)),)


def proxy(request: ApkOptions) -> tuple[Snippet, ...]:
    """Return shell lines for the proxy form.

    apk reads HTTP_PROXY, and http_proxy only if that is unset; other programs read only http_proxy.
    """
    first, second = proxy_exports(request.proxy)
    text = f"""\
sed -i 's,https://,http://,' {REPOSITORIES}
{first}
{second}
# apk caches an index for four hours by its address, which is the same for every time: this fetches it again.
# Without an update before it, use -U: apk -U upgrade --available, apk -U add PACKAGE
apk --cache-max-age 0 update
"""
    return (Snippet("", text),)


def dockerfile(request: ApkOptions) -> tuple[Snippet, ...]:
    """Return lines for a Dockerfile.

    The time is a separate argument, because BuildKit's cache key omits the proxy variables.
    """
    host = request.base.partition("://")[2]
    first, second = proxy_exports('"http://$SNAPSHOT:x@$SNAPPROXY"')
    text = f"""\
# SNAPPROXY must be reachable from inside the build; on this machine: docker build --network=host
ARG SNAPPROXY={host}
ARG SNAPSHOT={user_name(request.when)}
RUN {first} \\
 && {second} \\
 && cp -p {REPOSITORIES} /tmp/repositories \\
 && sed -i 's,https://,http://,' {REPOSITORIES} \\
 && apk add --no-cache ca-certificates \\
 && mv /tmp/repositories {REPOSITORIES}
"""
    return (Snippet("Dockerfile", text),)


#: Every form by the name `--form` takes. The first one is the default.
FORMS: dict[str, Callable[[ApkOptions], tuple[Snippet, ...]]] = {
    "mirror": mirror,
    "proxy": proxy,
    "dockerfile": dockerfile,
}

"""Print the counters of a running server."""

from __future__ import annotations

import argparse
import http.client
import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from snapproxy.cli.messages import print_json
from snapproxy.client_config import DEFAULT_BASE
from snapproxy.errors import ConfigurationError, UpstreamError

#: Where a server tells its figures as JSON.
PAGE = "/-/stats"

_PATIENCE = 10.0


def main(arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    figures = read(arguments.url)
    if arguments.json:
        print_json(figures)
    else:
        print("\n".join(_lines(figures)))
    return 0


def read(base: str) -> dict[str, Any]:
    """Ask the server at `base`. UpstreamError when nobody answers there, or not with figures."""
    if not base.startswith(("http://", "https://")):
        raise ConfigurationError("The server's address is not a URL", why=base, hint=f"Write it as {DEFAULT_BASE}.")
    # The caller's environment may well name this very server as its proxy.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(base.rstrip("/") + PAGE, timeout=_PATIENCE) as answer:
            figures = json.load(answer)
    except (OSError, http.client.HTTPException) as error:
        raise UpstreamError(
            "No figures from the server", why=f"{base}: {error}", hint="Is `snapproxy serve` running there?"
        ) from error
    except ValueError as error:
        raise UpstreamError("That server is no snapproxy", why=f"{base}{PAGE} is not JSON") from error
    if not isinstance(figures, dict):
        raise UpstreamError("That server is no snapproxy", why=f"{base}{PAGE} holds no figures")
    return figures


def _lines(figures: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in figures.items():
        if isinstance(value, Mapping):
            yield from _lines(value, f"{path}{key} ")
        else:
            yield f"{path}{key}: {value}"

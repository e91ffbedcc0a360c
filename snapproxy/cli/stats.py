"""Print the stored files by archive, or read the counters of a running server and print them."""

from __future__ import annotations

import argparse
import http.client
import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from snapproxy.cli.messages import print_json
from snapproxy.cli.store_table import print_store
from snapproxy.client_config import DEFAULT_BASE
from snapproxy.errors import ConfigurationError, UpstreamError

PAGE = "/-/stats"
"""The page of a server with its counters as JSON."""

_TIMEOUT = 10.0
"""Seconds to wait for the server."""


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    if arguments.url is None:
        return print_store(arguments)
    counters = read(arguments.url)
    if arguments.json:
        print_json(counters)
    else:
        print("\n".join(_lines(counters)))
    return 0


def read(base: str) -> dict[str, Any]:
    """Read the counters of the server at `base`. Raises UpstreamError if no snapproxy answers there."""
    if not base.startswith(("http://", "https://")):
        raise ConfigurationError("The server's address is not a URL", why=base, hint=f"Write it as {DEFAULT_BASE}.")
    # The environment may name this server as the proxy of its own requests.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(base.rstrip("/") + PAGE, timeout=_TIMEOUT) as answer:
            counters = json.load(answer)
    except (OSError, http.client.HTTPException) as error:
        raise UpstreamError(
            "The server does not answer", why=f"{base}: {error}", hint="Is `snapproxy serve` running there?"
        ) from error
    except ValueError as error:
        raise UpstreamError("That server is not snapproxy", why=f"{base}{PAGE} is not JSON.") from error
    if not isinstance(counters, dict):
        raise UpstreamError("That server is not snapproxy", why=f"{base}{PAGE} is not a JSON object.")
    return counters


def _lines(counters: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in counters.items():
        if isinstance(value, Mapping):
            yield from _lines(value, f"{path}{key} ")
        else:
            yield f"{path}{key}: {value}"

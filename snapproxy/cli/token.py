"""Create, list, show and revoke tokens."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from snapproxy.access.tokens import ClientTokens, Token
from snapproxy.base.clock import SystemClock
from snapproxy.cli.execution import result_of
from snapproxy.cli.messages import print_json
from snapproxy.cli.tables import format_table
from snapproxy.config import Config
from snapproxy.config.value_types import duration
from snapproxy.core.model import Instant
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import ConfigurationError
from snapproxy_storage import open_store


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    tokens, text = result_of(arguments, _act)
    if arguments.json:
        documents = [_as_json(each) for each in tokens]
        if arguments.action == "list":
            print_json(documents)
        else:
            print_json(documents[0] | ({"token": text} if text else {}))
    elif text:
        print(text)
    elif arguments.action == "revoke":
        print(f"{tokens[0].name}  revoked")
    else:
        print(format_table([_HEAD, *(_row(each) for each in tokens)]), end="")
    return 0


_HEAD = ("NAME", "ID", "SCOPES", "CREATED", "EXPIRES", "LAST USED")


async def _act(config: Config, arguments: argparse.Namespace) -> tuple[Sequence[Token], str]:
    """Return the tokens to print, and the text of a new one."""
    async with open_store(config.state_dir, config.cache_dir) as store:
        clock = SystemClock()
        tokens = ClientTokens(store.catalog, clock)
        match arguments.action:
            case "create":
                expires = None if arguments.expires is None else clock.now() + _seconds(arguments.expires)
                token, text = await tokens.create(arguments.name, arguments.scopes, expires)
                return [token], text
            case "list":
                return tokens.all(), ""
            case "show":
                return [tokens.find(arguments.name)], ""
            case _:
                return [await tokens.revoke(arguments.name)], ""


def _seconds(text: str) -> int:
    """Read the duration of `--expires`."""
    try:
        return duration(text)
    except ValueError as error:
        raise ConfigurationError("The argument of --expires is not a duration", why=f"expected {error}") from None


def _row(token: Token) -> tuple[str, ...]:
    times = (_time(each) for each in (token.created, token.expires, token.used))
    return (token.name, token.id, " ".join(token.scopes), *times)


def _time(instant: Instant | None) -> str:
    return "" if instant is None else format_instant(instant)


def _as_json(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "id": token.id,
        "scopes": list(token.scopes),
        "created": _time(token.created),
        "expires": _time(token.expires) or None,
        "used": _time(token.used) or None,
    }

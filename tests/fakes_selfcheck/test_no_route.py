"""A network name space without routes.

Outside addresses cannot be reached inside it, and can be reached again afterwards.
"""

from __future__ import annotations

import os
import socket

import pytest

from tests.fakes.no_route import without_routes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root")


def test_nothing_outside_is_reached_and_what_listens_inside_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        with without_routes():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(outside.getsockname(), 1)
            with pytest.raises(OSError, match="unreachable"):
                socket.create_connection(("192.0.2.1", 80), 1)
            with socket.create_server(("127.0.0.1", 0)) as inside, socket.create_connection(inside.getsockname(), 1):
                pass
        socket.create_connection(outside.getsockname(), 1).close()

"""Run the coroutine of a verb, on an event loop and as the owner of the store."""

from __future__ import annotations

import argparse
import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from snapproxy.cli import run_as_owner
from snapproxy.cli.load_config import config_of
from snapproxy.config import Config
from snapproxy.core.model import Refusal
from snapproxy.errors import SnapproxyError, StorageError, TerminatedError
from snapproxy_storage import StorageFailure

T = TypeVar("T")


class RefusedError(SnapproxyError):
    """A Refusal, raised so that `main` prints it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason, why=refusal.why, hint=refusal.hint)
        self.status = refusal.status


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise StorageError, which `main` prints, in place of a StorageFailure."""
    try:
        yield
    except StorageFailure as failure:
        raise StorageError("The store failed", why=str(failure)) from failure


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on uvloop if it is installed. Raises the same errors as `storage_errors`."""
    with storage_errors(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415  # not built for every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def until_terminated(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. SIGTERM cancels it, as Ctrl-C does, and raises TerminatedError."""
    if threading.current_thread() is not threading.main_thread():
        return await main  # only the main thread can handle signals
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    is_terminated = False

    def terminate() -> None:
        nonlocal is_terminated
        is_terminated = True
        if task is not None:
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await main
    except asyncio.CancelledError:
        if is_terminated:
            raise TerminatedError from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def result_of(
    arguments: argparse.Namespace, work: Callable[[Config, argparse.Namespace], Coroutine[Any, Any, T | Refusal]]
) -> T:
    """Load the settings, run `work` as the owner of the store, and return its result.

    Raises RefusedError, TerminatedError if SIGTERM arrives, and KeyboardInterrupt after Ctrl-C.
    """
    config = config_of(arguments)
    with run_as_owner.acting(config.state_dir):
        outcome = run_async(until_terminated(work(config, arguments)))
    if isinstance(outcome, Refusal):
        raise RefusedError(outcome)
    return outcome

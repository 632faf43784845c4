"""Serving on a socket until a signal: SIGTERM and Ctrl-C end it gently, a second one at once."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

LAST_ANSWERS = 10  # seconds that answers under way are given at a stop
KEEPS_ALIVE = 60  # seconds that an idle connection is kept
CONNECTIONS = 512  # further ones are answered 503


class _Server(uvicorn.Server):
    """A uvicorn server whose signals are ours."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises ValueError where that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once, without waiting for an acknowledgement (40 ms), on sockets that say that they are TCP
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except (OSError, OverflowError) as error:
        made.close()
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"--host={host} --port={port}: {reason}; expected an address of this machine and a free port"
        ) from error
    made.listen(1024)
    return made


def url_of(made: socket.socket) -> str:
    """Where a socket is reached."""
    host, port = made.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(app: ASGIApp) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on",
            ws="none",
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEPS_ALIVE,
            timeout_graceful_shutdown=LAST_ANSWERS,
            server_header=False,
        )
    )


def serve(app: ASGIApp, made: socket.socket, on_started: Callable[[], object]) -> None:
    """Serves until a signal; `on_started` is called once it answers.

    A deletion that is still under way when all else has ended is left in the journal: the process ends at once.
    """
    server = _server(app)

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if server.should_exit:
                os._exit(1)
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        serving = asyncio.create_task(server.serve(sockets=[made]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            on_started()
        await serving
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    asyncio.run(run())


@contextmanager
def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serves from a thread for as long as the block lasts; gives the URL."""
    made = bound(host, port)
    server = _server(app)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(server.serve(sockets=[made]))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="serving", daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
            if not thread.is_alive():
                raise RuntimeError(f"the service did not start: {failed}")
        yield url_of(made)
    finally:
        server.should_exit = True
        thread.join()
        with contextlib.suppress(OSError):
            made.close()

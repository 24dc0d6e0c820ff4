"""A Google Cloud Storage server on this machine, in this process."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage


class Handler(RequestHandler):
    """Answers requests, of which those that change something come one after the other.

    What reads waits for nothing: clients ask for more before they have read what they asked for first.
    """

    turn = threading.Lock()

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        with self.turn:
            super().do_POST()

    def do_PUT(self) -> None:  # noqa: N802 - http.server's name
        with self.turn:
            super().do_PUT()

    def do_DELETE(self) -> None:  # noqa: N802 - http.server's name
        with self.turn:
            super().do_DELETE()


@functools.cache
def kept() -> Storage:
    """What the servers of this process keep, also after they have stopped."""
    return Storage(use_memory_fs=True)


@contextmanager
def served(port: int = 0) -> Iterator[str]:
    """Within it the server listens on loopback, on a free port unless one is given; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Handler, kept()))
    thread = threading.Thread(target=server.serve_forever, name="google storage", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

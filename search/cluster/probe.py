"""Whether something that may be Ray listens at an address, known in seconds: Ray itself tries for a quarter of an hour.

Ray's control process speaks HTTP/2, in which both sides greet each other as soon as they are connected (RFC 9113, 3.4).
"""

from __future__ import annotations

import os
import socket

from trainables.errors import DropinError

PATIENCE = 5.0
"""Seconds for a connection, and again for a greeting."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of HTTP/2 begins with: the preface, and a SETTINGS frame without settings."""
FRAME_HEADER = 9
FRAME_TYPE, SETTINGS = 3, 4
"""Where the header of a frame has its type, and that of the frame by which a server begins."""


def check(address: str, asked: str, patience: float = PATIENCE) -> None:
    """Make sure that something listens at an address which may be Ray's control process.

    Args:
        address: ``HOST:PORT``.
        asked: what the user called it.
        patience: seconds for a connection, and for a greeting.

    Raises:
        DropinError: it is not so.
    """
    host, _, port = address.rpartition(":")
    place = address if asked == address else f"{address}, which --address {asked} leads to,"
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=patience)
    except (OSError, OverflowError) as error:  # an OverflowError for a port that cannot be
        raise DropinError(
            f"no Ray listens at {place} ({error}): start the cluster (ray up, ray start --head), or correct --address"
        ) from error
    with connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return  # the greeting would have to be encrypted
        try:
            connection.sendall(GREETING)
            header = _read(connection, FRAME_HEADER)
        except OSError as error:
            raise _other(place, str(error) or type(error).__name__) from error
    if len(header) < FRAME_HEADER or header[FRAME_TYPE] != SETTINGS:
        raise _other(place, f"it answers {header!r}" if header else "it closes the connection")


def _other(place: str, what: str) -> DropinError:
    return DropinError(
        f"what listens at {place} does not answer as Ray does ({what}): correct --address (the port of ray start "
        "--head is 6379 unless told otherwise), or start the cluster anew"
    )


def _read(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer where the connection is closed before."""
    found = b""
    while len(found) < size and (more := connection.recv(size - len(found))):
        found += more
    return found

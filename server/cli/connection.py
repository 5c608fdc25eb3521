"""The connection of a command to a running server."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from depgraph import Client
from server.cli.failures import CommandError, explain


@contextmanager
def connected(address: str, *, timeout: float, attempts: int = 1) -> Iterator[Client]:
    """
    Connect, without waiting for a server that is not there; failed calls become a ``CommandError`` of one line.

    ``timeout`` is the deadline of a unary call in seconds; ``attempts`` as in ``Client``.
    """
    with Client(address, timeout=timeout, wait_for_ready=False, attempts=attempts) as client:
        try:
            yield client
        except grpc.RpcError as error:
            raise CommandError(explain(error, address)) from error

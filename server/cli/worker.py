"""
A worker of ``depgraph serve --workers N``: ``python -m server.cli.worker LOG_LEVEL LOG_FORMAT FD``.

The supervisor starts it and sends it the settings over the socket FD. It stops when the supervisor
is gone.
"""

import socket
import sys
from typing import cast

import structlog

from server.cli import collect_garbage_as_usual, collect_garbage_rarely
from server.cli.failures import FAILED, is_unexpected, sentence
from server.cli.logs import configure_logging
from server.cli.options import LogFormat, LogLevel
from server.domain.live_graph import Peers
from server.lifecycle.runtime import background
from server.lifecycle.stopping import CLOSING, StopSignal, run_to_the_end, serve_until_stopped
from server.lifecycle.worker_link import Link, LinkClosedError, Message, Order, follow_supervisor

# Named, because the module's own name is __main__ when it runs.
log = structlog.get_logger("server.cli.worker")


def main(level: str, form: str, descriptor: str) -> int:
    """Serve until the supervisor stops it; returns the exit code. A failure is logged."""
    collect_garbage_rarely()
    log_level, log_format = cast("LogLevel", level), cast("LogFormat", form)
    configure_logging(log_level, log_format)
    try:
        run_to_the_end(_serve(log_level, log_format, socket.socket(fileno=int(descriptor))))
    # The supervisor sees the exit code, people the line.
    except Exception as error:
        # A traceback is for mistakes of this program, not for people.
        log.error("the worker can't go on", error=sentence(error), exc_info=is_unexpected(error))  # noqa: TRY400
        return FAILED
    return 0


async def _serve(level: LogLevel, form: LogFormat, end: socket.socket) -> None:
    from server.app import Application

    collect_garbage_as_usual()
    stop = StopSignal()
    stop.listen()
    link = await Link.over(end)
    try:
        order: Order = await link.receive()
    except LinkClosedError:
        return
    configure_logging(level, form, worker=order.number)
    stop.limit = order.settings.limits.grace + CLOSING
    peers = Peers(order.number, order.count, serving=order.count)
    application = Application(order.settings, log.info, peers)
    async with background() as tasks:
        tasks(follow_supervisor(link, peers, lambda: list(application.registry.collect()), stop))
        await serve_until_stopped(application, stop, lambda _: link.send(Message.SERVING), log.info)
        await link.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""
A worker that serves nothing: ``python -m tests.support.fake_worker BEHAVIOUR FD``.

One with an odd number says that it serves, then answers pings until its supervisor stops it or is gone. One with an even number says so too, and
ends at once or hangs, as BEHAVIOUR has it.
"""

import asyncio
import socket
import sys
import time

from server.lifecycle.worker_control import Line, LineClosedError, Order, Ping, Pong, Serving, Stop


async def main(behaviour: str, descriptor: str) -> None:
    line = await Line.over(socket.socket(fileno=int(descriptor)))
    try:
        order: Order = await line.receive()
        line.send(Serving())
        if order.number % 2:
            await answer_pings(line)
        elif behaviour == "hangs":
            await hang(line)
    except LineClosedError:
        pass
    finally:
        await line.close()


async def answer_pings(line: Line) -> None:
    while not isinstance(message := await line.receive(), Stop):
        if isinstance(message, Ping):
            line.send(Pong())


async def hang(line: Line) -> None:
    """Block the event loop, once what was sent has left."""
    await line.receive()
    while True:
        time.sleep(1)  # noqa: ASYNC251 - that is what it is for


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""A worker that serves nothing: says that it serves, then stays until its supervisor stops it or is gone; with an even number it ends at once."""

import asyncio
import socket
import sys

from server.lifecycle.line import Line, LineClosedError
from server.lifecycle.messages import Order, Serving, Stop


async def main(descriptor: str) -> None:
    line = await Line.over(socket.socket(fileno=int(descriptor)))
    try:
        order: Order = await line.receive()
        line.send(Serving())
        while order.number % 2 and not isinstance(await line.receive(), Stop):
            pass
    except LineClosedError:
        pass
    finally:
        await line.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

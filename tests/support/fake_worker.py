"""
A worker that serves nothing: ``python -m tests.support.fake_worker BEHAVIOUR FD``.

Every fake worker says that it serves. One with an odd number then answers its supervisor until that
asks it to stop. One with an even number ends at once or hangs, as BEHAVIOUR says.
"""

import asyncio
import select
import socket
import sys

from server.lifecycle.worker_link import (
    Link,
    LinkClosedError,
    Message,
    Order,
    WorkerMetrics,
)


async def main(behaviour: str, descriptor: str) -> None:
    end = socket.socket(fileno=int(descriptor))
    link = await Link.over(end)
    try:
        order: Order = await link.receive()
        link.send(Message.SERVING)
        if order.number % 2:
            await answer(link)
        elif behaviour == "hangs":
            # A message from the supervisor, a ping, shows that what was sent has left.
            await link.receive()
            block_until_hung_up(end)
    except LinkClosedError:
        pass
    finally:
        await link.close()


async def answer(link: Link) -> None:
    while True:
        match await link.receive():
            case Message.PING:
                link.send(Message.PONG)
            case Message.METRICS:
                link.send(WorkerMetrics(()))
            case Message.STOP:
                return


def block_until_hung_up(end: socket.socket) -> None:
    """Block the event loop until the supervisor is gone."""
    poller = select.poll()
    poller.register(end, 0)
    poller.poll()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

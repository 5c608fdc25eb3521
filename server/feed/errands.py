"""Work that somebody wants done inside one step of the feed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeAlias, TypeVar

from server.feed.connection import FeedConnection

Result = TypeVar("Result")
Work: TypeAlias = Callable[[FeedConnection], Awaitable[Result]]


class Errand(Generic[Result]):
    """Work, and whoever waits for its result; made on the event loop."""

    def __init__(self, work: Work[Result]) -> None:
        self._work = work
        self._done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    async def result(self) -> Result:
        """Wait for the result; raises what the work raised."""
        return await self._done

    async def run(self, connection: FeedConnection) -> None:
        """Do the work, unless nobody waits any more. Its errors go to whoever waits."""
        if self._done.done():
            return
        try:
            result = await self._work(connection)
        except Exception as error:  # noqa: BLE001 - handed on as it is
            if not self._done.done():
                self._done.set_exception(error)
        except BaseException:
            self._done.cancel()
            raise
        else:
            if not self._done.done():
                self._done.set_result(result)

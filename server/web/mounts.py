"""Applications of others below a path of the HTTP port."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class Mounted:
    """An ASGI application below a path; ``running`` is entered while it has to answer."""

    application: ASGIApp
    running: Callable[[], AbstractAsyncContextManager[object]] = nullcontext


class Running:
    """Enters the contexts of applications, each in a task of its own, in which it is left, too."""

    def __init__(self, mounted: Iterable[Mounted]) -> None:
        self._mounted = mounted
        self._closing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Enter all; raises what one of them raises."""
        for each in self._mounted:
            entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._run(each, entered))
            self._tasks.append(task)
            await asyncio.wait((task, entered), return_when=asyncio.FIRST_COMPLETED)
            if not entered.done():
                await task

    async def stop(self) -> None:
        """Leave all; raises what one of them raises."""
        self._closing.set()
        await asyncio.gather(*self._tasks)

    async def _run(self, mounted: Mounted, entered: "asyncio.Future[None]") -> None:
        async with mounted.running():
            entered.set_result(None)
            await self._closing.wait()

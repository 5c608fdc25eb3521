"""Work on large batches, kept off the event loop."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_WORTH_A_THREAD = 200


async def aside(
    items: int, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """
    Call ``work`` here for a few items, in a thread for many.

    Converting 10,000 rows takes a tenth of a second, which no other call should have to wait for.
    """
    if items < _WORTH_A_THREAD:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)

"""Answers of HTTP: short ones in one piece, with their length."""

from collections.abc import AsyncIterator, Sequence

from starlette.types import Send

from server.config import KIB
from server.web.errors import Failure

JSON = "application/json"
_BLOCK_BYTES = 16 * KIB


async def refuse(failure: Failure, send: Send) -> None:
    """Send an error."""
    await respond(send, failure.status, JSON, failure.body, failure.headers)


async def respond(
    send: Send,
    status: int,
    content_type: str,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send an answer that is not to be kept by anybody."""
    length = (b"content-length", str(len(body)).encode())
    await begin(send, status, content_type, (length, *headers))
    await write(send, body, more=False)


async def respond_in_blocks(send: Send, status: int, content_type: str, pieces: AsyncIterator[bytes]) -> None:
    """Send an answer whose pieces are made as their reader takes them."""
    has_begun = False
    block = bytearray()
    async for piece in pieces:
        block += piece
        if len(block) > _BLOCK_BYTES:
            if not has_begun:
                has_begun = True
                await begin(send, status, content_type)
            await write(send, bytes(block))
            block.clear()
    if has_begun:
        await write(send, bytes(block), more=False)
    else:
        await respond(send, status, content_type, bytes(block))


async def begin(
    send: Send, status: int, content_type: str, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Send the status and the headers of an answer."""
    sent = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store"), *headers]
    await send({"type": "http.response.start", "status": int(status), "headers": sent})


async def write(send: Send, body: bytes, *, more: bool = True) -> None:
    """Send a part of the body once there is room for it."""
    await send({"type": "http.response.body", "body": body, "more_body": more})

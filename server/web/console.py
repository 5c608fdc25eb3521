"""The files of the console, and whether the server serves."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

_FOLDER = Path(__file__).with_name("static")
_READ = ("GET", "HEAD")


class Console:
    """
    An ASGI application: the files, which browsers ask for anew each time, by their ETag.

    ``/healthz`` answers as that of the metrics does.
    """

    def __init__(self, is_serving: Callable[[], bool]) -> None:
        self._is_serving = is_serving
        self._files = StaticFiles(directory=_FOLDER, html=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_file(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-cache")]
            await send(message)

        if scope["method"] not in _READ:
            text = f"{scope['path']} answers {' and '.join(_READ)}\n"
            refused = PlainTextResponse(
                text, HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(_READ)}
            )
            await refused(scope, receive, send)
        elif scope["path"] == "/healthz":
            await self._health()(scope, receive, send)
        else:
            try:
                await self._files(scope, receive, send_file)
            except HTTPException:
                there = "there are the console at /, /healthz, and methods for POST\n"
                await PlainTextResponse(there, HTTPStatus.NOT_FOUND)(scope, receive, send)

    def _health(self) -> PlainTextResponse:
        if self._is_serving():
            return PlainTextResponse("SERVING\n", headers={"cache-control": "no-store"})
        return PlainTextResponse(
            "NOT_SERVING\n", HTTPStatus.SERVICE_UNAVAILABLE, headers={"cache-control": "no-store"}
        )

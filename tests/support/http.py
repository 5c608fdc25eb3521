"""The HTTP port as programs without a library of ours call it."""

import asyncio
import base64
from typing import Any, NamedTuple

import grpc
import httpx
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from tests.support.eventually import PATIENCE_SECONDS

JSON = {"content-type": "application/json"}
PROTO = {"content-type": "application/proto"}
# https://connectrpc.com/docs/protocol#error-codes, typed in by hand.
STATUSES = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}


class Failed(NamedTuple):
    """An error as Connect writes it."""

    code: str
    message: str
    details: tuple[Any, ...]

    @classmethod
    def of(cls, error: dict[str, Any]) -> "Failed":
        """Read it; the details out of their bytes."""
        return cls(error["code"], error["message"], tuple(map(_detail, error.get("details", ()))))

    @classmethod
    def of_grpc(cls, error: grpc.aio.AioRpcError) -> "Failed":
        """Read the same out of what gRPC got."""
        encoded = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        assert isinstance(encoded, bytes)
        status = Status.FromString(encoded)
        code = "canceled" if error.code() is grpc.StatusCode.CANCELLED else error.code().name.lower()
        return cls(code, error.details() or "", tuple(map(json_format.MessageToDict, status.details)))

    @property
    def reason(self) -> str:
        """That of ErrorInfo."""
        return str(self.details[0]["reason"]) if self.details else ""

    @property
    def fields(self) -> list[str]:
        """Those that are wrong."""
        found = [each for each in self.details if "fieldViolations" in each]
        return [violation["field"] for each in found for violation in each["fieldViolations"]]


def _detail(detail: dict[str, Any]) -> dict[str, Any]:
    padded = detail["value"] + "=" * (-len(detail["value"]) % 4)
    packed = AnyMessage(type_url=f"type.googleapis.com/{detail['type']}", value=base64.b64decode(padded))
    read: dict[str, Any] = json_format.MessageToDict(packed)
    assert detail["debug"] == {key: value for key, value in read.items() if key != "@type"}
    return read


class Port:
    """Calls methods by name: ``GraphService/Traverse``."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def post(self, method: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request as JSON, or the bytes of one; names of headers have underscores."""
        sent = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"content": body} if isinstance(body, bytes) else {"json": body or {}}
        return await self.client.post(f"/depgraph.v1.{method}", headers=sent, **content)

    async def call(self, method: str, body: Any = None, **headers: str) -> Any:
        """Call a method that succeeds; returns its answer."""
        response = await self.post(method, body, **headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def failure(self, method: str, body: Any = None, **headers: str) -> Failed:
        """Call a method that fails, and check the form of its error."""
        response = await self.post(method, body, **headers)
        assert response.headers["content-type"] == "application/json", response.text
        failed = Failed.of(response.json())
        assert response.status_code == STATUSES[failed.code], response.text
        return failed

    async def ask(self, method: str, request: Message, answer: type[Message]) -> Message:
        """Call a method with the bytes of a message."""
        path = f"/depgraph.v1.{method}"
        response = await self.client.post(path, content=request.SerializeToString(), headers=PROTO)
        assert (response.status_code, response.headers["content-type"]) == (200, PROTO["content-type"])
        return answer.FromString(response.content)


def client_of(address: str, **more: Any) -> httpx.AsyncClient:
    """Make a client of an address, or of a URL."""
    base = address if "://" in address else f"http://{address}"
    if base.startswith("http://"):
        # Reading the authorities of the system takes longer than most tests.
        more = {"verify": False} | more
    return httpx.AsyncClient(base_url=base, timeout=PATIENCE_SECONDS, trust_env=False, **more)


class Raw:
    """A connection that sends bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, address: str) -> "Raw":
        """Connect."""
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of an answer: its status and headers."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = text.strip().split("\r\n")
        named = (line.partition(": ") for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, _, value in named}

    async def rest(self) -> bytes:
        """Read until the server closes the connection, however it does."""
        received = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                while part := await self.reader.read(65_536):
                    received += part
            except ConnectionError:
                pass
        return received

    def close(self) -> None:
        """Close."""
        self.writer.close()


async def exchange(address: str, data: bytes) -> tuple[int, bytes]:
    """Send bytes on a connection of their own; returns the status and all until it is closed."""
    raw = await Raw.to(address)
    try:
        await raw.send(data)
        answer = await raw.rest()
    finally:
        raw.close()
    return (int(answer.split(b" ", 2)[1]) if answer else 0), answer

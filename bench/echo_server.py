"""
A gRPC server that only echoes: the least that an answer of so many bytes costs on a transport.

The request is the decimal length of the answer. By default the library, event loop and options
are those of the real server on grpcio.
"""

import argparse
import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from server.config import Limits
from server.rpc.transport.grpcio import server_options

UNARY, STREAM = "/bench.Echo/Answer", "/bench.Echo/Answers"
# Options that pygrpc-native does not support.
_NOT_NATIVE = {"grpc.max_allowed_incoming_connections", "grpc.max_connection_idle_ms"}
_ZEROS = memoryview(bytes(16 * 1024 * 1024))


def _bytes(request: bytes) -> bytes:
    return bytes(_ZEROS[: int(request or b"0")])


async def answer(request: bytes, _: Any) -> bytes:
    return _bytes(request)


async def answers(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield _bytes(request)


HANDLERS: dict[str, Any] = {
    "Answer": grpc.unary_unary_rpc_method_handler(answer),
    "Answers": grpc.stream_stream_rpc_method_handler(answers),
}


async def aio(listen: str, options: list[tuple[str, Any]]) -> None:
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Echo", HANDLERS)])
    await _serve(server, listen)


async def native(listen: str, options: list[tuple[str, Any]]) -> None:
    from pygrpc_native.aio import server as native_server  # noqa: PLC0415 - only where it is asked for

    server = native_server(options=[option for option in options if option[0] not in _NOT_NATIVE])
    # Generic handlers would be served by a grpcio server behind it.
    server.add_registered_method_handlers("bench.Echo", {"Answer": HANDLERS["Answer"]})
    await _serve(server, listen)


async def _serve(server: Any, listen: str) -> None:
    address = _bound(server.add_insecure_port, listen)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(f"serving on {address}", flush=True)
    await stop.wait()
    await server.stop(None)


def threads(listen: str, options: list[tuple[str, Any]]) -> None:
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda request, _: _bytes(request))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Echo", {"Answer": handler})])
    address = _bound(server.add_insecure_port, listen)
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(None))
    print(f"serving on {address}", flush=True)
    server.wait_for_termination()


def _bound(bind: Callable[[str], int], listen: str) -> str:
    port = bind(listen)
    return listen if listen.startswith("unix:") else f"127.0.0.1:{port}"


def _run(main: Coroutine[Any, Any, None], loop: str) -> None:
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - only where it is asked for

        uvloop.run(main)
    else:
        asyncio.run(main)


def run() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--loop", default="asyncio", choices=["asyncio", "uvloop"])
    parser.add_argument("--kind", default="aio", choices=["aio", "native", "threads"])
    parser.add_argument("--option", action="append", default=[], metavar="NAME=NUMBER")
    chosen = parser.parse_args()
    more = [(name, int(value)) for name, _, value in (given.partition("=") for given in chosen.option)]
    options: list[tuple[str, Any]] = [*server_options(Limits()), *more]
    if chosen.kind == "threads":
        threads(chosen.listen, options)
    else:
        kind = native if chosen.kind == "native" else aio
        _run(kind(chosen.listen, options), chosen.loop)


if __name__ == "__main__":
    run()

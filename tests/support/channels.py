"""Channels as tests need them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from server.app import Application
from server.config import Settings

Option = tuple[str, int]
# What such a channel has not read yet stays with the server, but for some ten kilobytes.
HOLDS_LITTLE: tuple[Option, ...] = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16_384))


@asynccontextmanager
async def open_channel(address: str, *more: Option) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel with connections of its own, and without limits on messages."""
    options = [
        *more,
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield channel


@asynccontextmanager
async def channel_to_new_server(settings: Settings) -> AsyncIterator[grpc.aio.Channel]:
    """Run one more server, and open a channel to it."""
    async with (
        Application(settings, report=lambda _: None) as running,
        open_channel(running.address) as channel,
    ):
        yield channel

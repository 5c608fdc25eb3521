"""What the feed finds out about itself, told through health."""

from server.feed import Vitals
from server.rpc.server import RpcServer


async def tell_trust(vitals: Vitals, rpc: RpcServer) -> None:
    """Let the health of what answers from memory follow whether memory can be trusted, until cancelled."""
    while True:
        rpc.set_trusted(trusted=vitals.trusted)
        await vitals.trust_turned()

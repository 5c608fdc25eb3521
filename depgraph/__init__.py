"""
The client of a depgraph server; ``depgraph.v1`` has the messages of the contract.

It needs grpcio, protobuf and googleapis-common-protos (for ``google.rpc.Status``) only.
"""

from depgraph.aio import AsyncClient
from depgraph.calls import outcomes
from depgraph.client import Client

__all__ = ["AsyncClient", "Client", "outcomes"]

"""
The client of a depgraph server: ``Client``, ``AsyncClient``, ``outcomes`` and, in ``depgraph.v1``, the messages of the contract.

Needs grpcio, protobuf and googleapis-common-protos (for ``google.rpc.Status``) only.
"""

from depgraph.aio import AsyncClient
from depgraph.client import Client
from depgraph.outcomes import outcomes

__all__ = ["AsyncClient", "Client", "outcomes"]

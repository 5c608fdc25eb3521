"""
The client of a depgraph server: ``Client``, ``AsyncClient`` and, in ``depgraph.v1``, the messages of the contract.

Needs grpcio and protobuf only.
"""

from depgraph.aio import AsyncClient
from depgraph.client import Client

__all__ = ["AsyncClient", "Client"]

"""The live graph: loaded, moved on by the feed, waited for by readers."""

from server.replica.replica import Replica

__all__ = ["Replica"]

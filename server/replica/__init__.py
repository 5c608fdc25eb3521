"""The graph in memory: moved on by the feed, read now or as of then, and watched."""

from server.replica.past import KeptPasts
from server.replica.replica import Replica
from server.replica.watching import Watches

__all__ = ["KeptPasts", "Replica", "Watches"]

"""What a client remembers of its own writes."""

from threading import Lock

from depgraph.v1.types_pb2 import Consistency


class LatestRevision:
    """
    The revision of the write that was answered last; shared by every call of one client, safe between threads.

    Writes that run at the same time have revisions of their own, and only the one answered last is kept: to read several
    concurrent writes, read with the ``revision`` of each response.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._token = ""

    def note(self, response: object) -> None:
        """Remember the revision of a write's response; a response without one changes nothing."""
        token = getattr(response, "revision", "")
        if isinstance(token, str) and token:
            with self._lock:
                self._token = token

    def consistency(self) -> Consistency:
        """Ask for an answer that holds the latest write; unset (minimize latency) before the first one."""
        with self._lock:
            return Consistency(at_least_as_fresh=self._token) if self._token else Consistency()

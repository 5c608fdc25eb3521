"""Room for walks, kept from one to the next."""

from typing import TYPE_CHECKING

import numpy as np

from graphcore.kernels.layout import ANSWER, BOTH, COUNTS, QUEUE, SCRATCH_ROWS, TICK

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WalkScratch:
    """
    The arrays that a walk works in and leaves its answer in, so that none has to allocate or clear what is as large as the graph.

    ``rows`` is laid out as ``graphcore.kernels.walking`` says; ``queues`` are its QUEUE rows, ``answer`` its ANSWER row; ``crossed`` holds
    edges. One walk at a time, and its answer is to be copied before the next: that is what a graph that is not thread-safe may ask.
    """

    __slots__ = ("answer", "crossed", "queues", "rows")

    def __init__(self, node_count: int, edge_count: int) -> None:
        self.cover_nodes(node_count)
        self.cover_edges(edge_count)

    def cover_nodes(self, node_count: int) -> None:
        """Make room for walks over so many nodes. Takes no time to speak of: zeroed memory is not touched before it is used."""
        self.rows: NDArray[np.int32] = np.zeros((SCRATCH_ROWS, node_count + COUNTS + 1), np.int32)
        self.queues = tuple(self.rows[QUEUE : QUEUE + BOTH + 1])
        self.rows[ANSWER, TICK] = 1
        # A memoryview, because reading a few numbers out of one takes half as long as out of an array.
        self.answer = memoryview(self.rows[ANSWER])

    def cover_edges(self, edge_count: int) -> None:
        """Make room for answers of so many edges."""
        self.crossed: NDArray[np.int32] = np.empty(edge_count, np.int32)

    @property
    def memory_bytes(self) -> int:
        """Bytes that the arrays take."""
        return self.rows.nbytes + self.crossed.nbytes

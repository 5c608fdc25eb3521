"""Whole tables out of binary COPY streams, as columns of records."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import nan
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from server.domain.dependencies import DependencyRow
from server.domain.records import KIND_BITS, DependencyBatch, ServiceBatch, flags_of
from server.wire.copy_stream import CopyStream, dependency_at, service_at
from server.wire.kernels import (
    DEPENDENCY_COLUMNS,
    DEPENDENCY_PLAN,
    DOUBLE_SIZE,
    END_,
    FIELD_COLUMNS,
    FLAGS,
    FULL,
    KIND,
    LENGTH,
    LEVEL_COLUMNS,
    LEVELS,
    NAME,
    ODD,
    ROW,
    SERVICE_COLUMNS,
    SERVICE_PLAN,
    SOURCE,
    SPLIT,
    START,
    TARGET,
    TEXT,
    UUID_SIZE,
)
from server.wire.kernels.rows import encode_dependencies, encode_services
from server.wire.names import NameTable
from server.wire.records import completed_dependency, completed_service, dependency_record, service_record

Batch = TypeVar("Batch", ServiceBatch, DependencyBatch)


class BatchSize(NamedTuple):
    """How much makes a batch: bytes to wait for, and the most rows. The default: below 1 ms."""

    content: int = 64 * 1024
    rows: int = 4_096


DEFAULT_SIZE = BatchSize()


class CopyReader(ABC, Generic[Batch]):
    """A reader of a table: a kernel encodes the rows, and Python those that the kernel can't."""

    def __init__(
        self,
        columns: int,
        plan: NDArray[np.int64],
        complete: Callable[[bytes, int, str], bytes],
        size: BatchSize,
    ) -> None:
        """``complete`` makes the record of a message, where it lacks its JSON, and that text."""
        self._size = size
        self._complete = complete
        self._stream = CopyStream()
        self._plan = plan
        self._fields = np.zeros((len(plan), FIELD_COLUMNS), np.int64)
        self._levels = np.zeros((LEVELS, LEVEL_COLUMNS), np.int64)
        self._columns = np.zeros((columns, size.rows), np.int64)
        self._out = np.empty(8 * size.content, np.uint8)

    def take(self, chunk: bytes) -> list[Batch]:
        """
        Take in the next bytes of the stream, cut anywhere.

        Returns what became complete, mostly nothing or one batch.
        """
        self._stream.add(chunk)
        return self._batches() if len(self._stream) >= self._size.content else []

    def finish(self) -> list[Batch]:
        """Return the rest; ``CopyFormatError`` when the stream has not come to its end."""
        batches = self._batches()
        self._stream.check_end()
        return batches

    @abstractmethod
    def _encode(self) -> int:
        """Run the kernel; returns the number of rows."""

    @abstractmethod
    def _batch(self, rows: int) -> Batch:
        """Make a batch of what the kernel wrote."""

    def _batches(self) -> list[Batch]:
        batches: list[Batch] = []
        while len(self._stream):
            rows = self._encode()
            self._stream.check()
            if rows:
                batches.append(self._batch(rows))
            if self._stream.state != FULL:
                return batches
            if not rows:
                # One row takes more than there is.
                self._out = np.empty(2 * len(self._out), np.uint8)
        return batches

    def _records(self, rows: int) -> list[bytes]:
        """Cut the records of a batch apart; those of odd rows are empty."""
        written = self._out[: self._stream.written].tobytes()
        starts, ends = self._columns[START, :rows].tolist(), self._columns[END_, :rows].tolist()
        records = [written[start:end] for start, end in zip(starts, ends, strict=True)]
        cuts = self._columns[SPLIT, :rows]
        view = self._stream.content.data
        for row in np.flatnonzero(cuts >= 0).tolist():
            begin, length = int(self._columns[TEXT, row]), int(self._columns[LENGTH, row])
            text = str(view[begin : begin + length], "utf-8")
            records[row] = self._complete(records[row], int(cuts[row]) - starts[row], text)
        return records

    def _odd_rows(self, rows: int) -> Iterator[tuple[int, int]]:
        """Go through the odd rows of a batch, with where they begin in the stream."""
        for row in np.flatnonzero(self._columns[SPLIT, :rows] == ODD).tolist():
            yield row, int(self._columns[ROW, row])


class ServiceCopy(CopyReader[ServiceBatch]):
    """Reads the binary COPY stream of all services."""

    def __init__(self, size: BatchSize = DEFAULT_SIZE) -> None:
        super().__init__(SERVICE_COLUMNS, SERVICE_PLAN, completed_service, size)
        self._names = NameTable()

    def dependencies(self) -> "DependencyCopy":
        """Return the reader for the dependencies between the services read so far."""
        return DependencyCopy(self._names, self._size)

    def _encode(self) -> int:
        stream, names = self._stream, self._names
        names.grow(self._size.rows, len(stream))
        rows: int = encode_services.run(
            stream.content,
            stream.span,
            self._plan,
            self._fields,
            self._out,
            self._columns,
            names.keys,
            names.count,
            names.starts,
            names.names,
            self._levels,
        )
        return rows

    def _batch(self, rows: int) -> ServiceBatch:
        records = self._records(rows)
        kinds = self._columns[KIND, :rows].tolist()
        for row, at in self._odd_rows(rows):
            service = service_at(self._stream.content.data, at)
            records[row], kinds[row] = service_record(service), KIND_BITS.get(service.kind, 0)
        names = self._names
        first = names.count
        names.took(rows)
        keys = names.keys[first : names.count].astype(">u4").view(f"V{UUID_SIZE}")[:, 0].tolist()
        starts = names.starts[first : names.count + 1]
        written = names.names[starts[0] : starts[-1]].tobytes()
        encoded_ids = [written[start:end] for start, end in pairwise((starts - starts[0]).tolist())]
        heads = (self._columns[NAME, :rows] - starts[:-1]).tolist()
        texts = [encoded[head:].decode() for encoded, head in zip(encoded_ids, heads, strict=True)]
        return ServiceBatch(keys, texts, records, encoded_ids, kinds)


class DependencyCopy(CopyReader[DependencyBatch]):
    """Reads the binary COPY stream of all dependencies, after the services."""

    def __init__(self, names: NameTable, size: BatchSize) -> None:
        super().__init__(DEPENDENCY_COLUMNS, DEPENDENCY_PLAN, completed_dependency, size)
        self._names = names
        self._keys = np.zeros(size.rows * UUID_SIZE, np.uint8)
        self._scores = np.zeros(size.rows * DOUBLE_SIZE, np.uint8)

    def _encode(self) -> int:
        stream, names = self._stream, self._names
        rows: int = encode_dependencies.run(
            stream.content,
            stream.span,
            self._plan,
            self._fields,
            self._out,
            self._columns,
            self._keys,
            self._scores,
            names.slots,
            names.keys,
            names.starts,
            names.names,
            self._levels,
        )
        return rows

    def _batch(self, rows: int) -> DependencyBatch:
        columns = self._columns
        batch = DependencyBatch(
            keys=self._keys[: rows * UUID_SIZE].view(f"V{UUID_SIZE}").tolist(),
            sources=columns[SOURCE, :rows].astype(np.int32),
            targets=columns[TARGET, :rows].astype(np.int32),
            flags=columns[FLAGS, :rows].astype(np.int32),
            confidences=self._scores[: rows * DOUBLE_SIZE].view("<f8").astype(np.float64),
            records=self._records(rows),
            strays={},
        )
        for row, at in self._odd_rows(rows):
            self._add_odd(batch, row, dependency_at(self._stream.content.data, at))
        return batch

    def _add_odd(self, batch: DependencyBatch, position: int, row: DependencyRow) -> None:
        source, target = int(batch.sources[position]), int(batch.targets[position])
        batch.records[position] = dependency_record(row, self._names.name(source), self._names.name(target))
        score: float | None = row.confidence_score
        batch.confidences[position] = nan if score is None else score
        flags = flags_of(row)
        if flags is None or source < 0 or target < 0:
            batch.strays[position] = row
        else:
            batch.flags[position] = flags

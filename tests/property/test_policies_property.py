"""Timeouts and retries read out of records, against the generated code. No I/O."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import strategies as st

from server import wire
from server.domain.dependencies import DependencyRow
from server.wire.policies import call_policies
from tests.support.kernel_forms import FORMS, given_in_both_forms, kernels_in_form
from tests.support.wire_rows import dependencies, names

DEFAULT_RETRIES = 3
KEY, NOW = UUID(int=1), datetime(2026, 1, 1, tzinfo=UTC)
ROW = DependencyRow(KEY, KEY, KEY, "sync", "hard", None, None, None, "manual", 1.0, NOW, False, NOW, NOW)
KNOWN: dict[str, Any] = {"timeout_ms": 250, "retry_config": '{"max_retries": 0}'}


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def policies_of(record: bytes) -> tuple[int, int]:
    """Read timeout and attempts the slow way."""
    message = wire.dependency_of(record)
    timeout = max(message.timeout_ms, 0)
    if not message.HasField("retry_config"):
        return timeout, 0
    retries = message.retry_config
    return timeout, 1 + (retries.max_retries if retries.HasField("max_retries") else DEFAULT_RETRIES)


@given_in_both_forms(150, st.lists(st.tuples(dependencies, names, names), min_size=1, max_size=5), st.data())
def test_policies_are_those_that_the_generated_code_reads(
    rows: list[tuple[DependencyRow, str, str]], data: st.DataObject
) -> None:
    records = [wire.dependency_record(*row) for row in rows]
    column = np.empty(len(records), object)
    column[:] = records
    places = data.draw(st.lists(st.integers(0, len(records) - 1), max_size=20))
    timeouts, attempts = call_policies(column, np.array(places, np.int32))
    found = list(zip(timeouts.tolist(), attempts.tolist(), strict=True))
    assert found == [policies_of(records[place]) for place in places]


@pytest.mark.usefixtures("form")
def test_more_records_than_are_read_at_a_time_are_read_all() -> None:
    column = np.empty(2, object)
    column[:] = [wire.dependency_record(ROW._replace(**said), "a", "b") for said in (KNOWN, {})]
    places = np.arange(5_000, dtype=np.int32) % 2
    timeouts, attempts = call_policies(column, places)
    assert timeouts.tolist() == [250, 0] * 2_500
    assert attempts.tolist() == [1, 0] * 2_500

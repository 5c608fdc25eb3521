"""How long a call may wait: a little less than its caller does."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.rpc.context import time_left


@pytest.mark.parametrize(("remaining", "left"), [(0.2, 0.18), (1.0, 0.9), (2.0, 1.9), (30.0, 29.9)])
def test_a_tenth_of_the_deadline_is_kept_back_and_a_tenth_of_a_second_at_most(
    remaining: float, left: float
) -> None:
    context = cast("Any", SimpleNamespace(time_remaining=lambda: remaining))
    assert time_left(context) == timedelta(seconds=left)


def test_without_a_deadline_there_is_no_end() -> None:
    assert time_left(cast("Any", SimpleNamespace(time_remaining=lambda: None))) is None

"""Edge flags and filters."""

import math

import pytest

from graphcore import EdgeFilter, EdgeFlag

FRESH = int(EdgeFlag.SYNC | EdgeFlag.HARD | EdgeFlag.MANUAL)
STALE = FRESH | int(EdgeFlag.STALE)


def test_every_flag_is_a_different_bit() -> None:
    bits = [int(flag) for flag in EdgeFlag]
    assert len(bits) == 13
    assert all(bit.bit_count() == 1 for bit in bits)
    assert len(set(bits)) == len(bits)


def test_the_default_filter_passes_all_but_stale_edges() -> None:
    assert EdgeFilter().passes(FRESH, 0.0)
    assert not EdgeFilter().passes(STALE, 1.0)
    assert EdgeFilter.of() == EdgeFilter()
    assert EdgeFilter.of(include_stale=True).passes(STALE, 0.0)


def test_an_edge_passes_only_if_each_dimension_admits_it() -> None:
    chosen = EdgeFilter.of(
        communication_modes=[EdgeFlag.ASYNC],
        criticalities=[EdgeFlag.HARD, EdgeFlag.SOFT],
        discovery_sources=[EdgeFlag.KUBERNETES],
    )
    assert chosen.passes(int(EdgeFlag.ASYNC | EdgeFlag.SOFT | EdgeFlag.KUBERNETES), 1.0)
    assert not chosen.passes(int(EdgeFlag.SYNC | EdgeFlag.SOFT | EdgeFlag.KUBERNETES), 1.0)
    assert not chosen.passes(int(EdgeFlag.ASYNC | EdgeFlag.DEGRADED | EdgeFlag.KUBERNETES), 1.0)
    assert not chosen.passes(int(EdgeFlag.ASYNC | EdgeFlag.SOFT | EdgeFlag.MANUAL), 1.0)


def test_the_least_confidence_itself_passes() -> None:
    chosen = EdgeFilter.of(min_confidence=0.5)
    assert chosen.passes(FRESH, 0.5)
    assert not chosen.passes(FRESH, math.nextafter(0.5, 0.0))


@pytest.mark.parametrize("confidence", [-0.1, 1.5, math.nan, math.inf])
def test_a_confidence_out_of_bounds_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        EdgeFilter.of(min_confidence=confidence)


def test_a_value_of_another_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="HARD"):
        EdgeFilter.of(communication_modes=[EdgeFlag.HARD])
    with pytest.raises(ValueError, match="STALE"):
        EdgeFilter.of(discovery_sources=[EdgeFlag.STALE])

"""No I/O: where nodes of maps stay when others are drawn."""

from typing import TypeAlias

import numpy as np

from graphcore.analysis.counted_calls import CountedCalls
from server.rpc.graph.map_places import MapPlaces

VIEW = ("", None)
Place: TypeAlias = tuple[float, float]


async def drawn(places: MapPlaces, letters: str, pairs: str, *, is_past: bool = False) -> dict[str, Place]:
    """Draw nodes named by letters, of which pairs call each other."""
    ends = np.array([[letters.index(end) for end in pair] for pair in pairs.split()], np.int64).T
    calls = CountedCalls(ends[0], ends[1], np.ones((ends.shape[1], 5), np.int64))
    x, y = await places.of(VIEW, [("group", each) for each in letters], calls, is_past=is_past)
    return dict(zip(letters, zip(x, y, strict=True), strict=True))


async def test_a_map_of_the_past_stays_by_that_of_now_which_takes_no_note_of_it() -> None:
    places = MapPlaces()
    now = await drawn(places, "abcdef", "ab bc cd de ef")
    then = await drawn(places, "abcdex", "ab bc cd de ex", is_past=True)
    assert {letter: then[letter] for letter in "abcd"} == {letter: now[letter] for letter in "abcd"}
    later = await drawn(places, "abcdefg", "ab bc cd de ef fg")
    assert {letter: later[letter] for letter in "abcde"} == {letter: now[letter] for letter in "abcde"}


async def test_a_map_of_the_past_is_no_beginning_for_that_of_now() -> None:
    one, other = MapPlaces(), MapPlaces()
    await drawn(one, "abcdeg", "ab ac ad ae ag", is_past=True)
    assert await drawn(one, "abcdef", "ab bc cd de ef") == await drawn(other, "abcdef", "ab bc cd de ef")

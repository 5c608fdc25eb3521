"""A kernel that measures how much texts differ from any piece of others."""

from typing import Any

from graphcore.compiling import kernel


@kernel("void(uint32[::1], int64[::1], uint32[::1], int64, int32[:, ::1], int32[::1])")
def piece_distances(texts: Any, ends: Any, wanted: Any, most: int, rows: Any, distances: Any) -> None:
    """
    Measure the distance of ``wanted`` to that piece of each text which is nearest to it.

    A distance is the number of characters to insert, delete or replace, and of neighbours to swap.
    Text ``n`` ends at ``ends[n]`` and begins where the one before ends. ``rows`` are three of one
    more column than ``wanted`` has characters. Texts so short that it is more than ``most`` are not
    looked at. O(characters of texts * characters wanted).

    Source: P. Sellers, "The theory and computation of evolutionary distances", 1980; swaps as in
    the optimal string alignment distance.
    """
    length = len(wanted)
    begin = 0
    for number in range(len(ends)):
        if ends[number] - begin < length - most:
            distances[number] = length
            begin = ends[number]
            continue
        before, former, latest = 0, 1, 2
        for place in range(length + 1):
            rows[former, place] = place
        best = length
        for at in range(begin, ends[number]):
            # A piece may begin anywhere.
            rows[latest, 0] = 0
            for place in range(1, length + 1):
                is_other = texts[at] != wanted[place - 1]
                cost = min(rows[former, place - 1] + is_other, rows[former, place] + 1)
                cost = min(cost, rows[latest, place - 1] + 1)
                may_swap = is_other and place > 1 and at > begin
                if may_swap and texts[at] == wanted[place - 2] and texts[at - 1] == wanted[place - 1]:
                    cost = min(cost, rows[before, place - 2] + 1)
                rows[latest, place] = cost
            best = min(best, rows[latest, length])
            before, former, latest = former, latest, before
        distances[number] = best
        begin = ends[number]

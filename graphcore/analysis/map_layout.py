"""
Places for the nodes of a small graph, so that nodes that call each other lie near one another.

A force-directed layout (Fruchterman and Reingold, 1991): all nodes push each other away, those that
call each other pull, and all are pulled to the middle a little. Vectorised, O(steps * nodes²): each
step is a handful of numpy calls that let other threads run, where ``rustworkx.spring_layout`` would
hold the interpreter's lock for all of it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Places = NDArray[np.float64]
"""Two rows, x and y, of numbers from 0 to 1; a column a node."""

_SEED = 15
_STEPS, _STEPS_AGAIN = 150, 40
# How far a node moves at first, as a share of the picture: from scratch, and from former places.
_HEAT, _HEAT_AGAIN = 0.1, 0.02
_GRAVITY = 0.6
_SPREADING_STEPS = 60
# Of the distance that nodes on a square grid would have.
_LEAST_DISTANCE = 0.75
_TINY = 1e-9


class Pulls(NamedTuple):
    """Pairs of nodes that are to lie near one another, by position, and how strongly they pull."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: Reals


def map_layout(count: int, pulls: Pulls, former: Places | None = None) -> Places:
    """
    Place nodes 0 to ``count`` - 1; the same input gives the same places.

    ``former`` has places of the nodes in another picture, NaN for new ones. Then nodes move a
    little only, and new ones begin between those that they call or are called by.
    """
    if count <= 1:
        return np.full((2, count), 0.5)
    pull = np.zeros((count, count))
    np.add.at(pull, (pulls.source, pulls.target), pulls.weight)
    pull += pull.T
    places = _beginning(count)
    steps, heat = _STEPS, _HEAT
    if former is not None and np.isfinite(former).any():
        places = _with_former(places, former, pull)
        steps, heat = _STEPS_AGAIN, _HEAT_AGAIN
    for step in range(steps):
        _move(places, pull, heat * (1.0 - step / steps))
    return _apart(places if former is not None else _spread(places))


def _beginning(count: int) -> Places:
    return np.random.default_rng(_SEED).random((2, count))


def _with_former(places: Places, former: Places, pull: Reals) -> Places:
    known = np.isfinite(former[0])
    places[:, known] = former[:, known]
    near = pull[:, known]
    total = near.sum(axis=1)
    for node in np.flatnonzero(~known & (total > 0)).tolist():
        # Aside by a little: nodes in one place would push each other nowhere.
        aside = 0.05 * (places[:, node] - 0.5)
        places[:, node] = former[:, known] @ near[node] / total[node] + aside
    return places


def _move(places: Places, pull: Reals, heat: float) -> None:
    """Let all forces act once; no node moves further than ``heat``."""
    ideal = 1.0 / np.sqrt(places.shape[1])
    across, down = (row[:, None] - row[None, :] for row in places)
    square = across * across + down * down + _TINY
    force = ideal * ideal / square - pull * np.sqrt(square) / ideal
    moves = np.stack(((across * force).sum(axis=1), (down * force).sum(axis=1)))
    moves -= _GRAVITY * (places - 0.5)
    length = np.sqrt((moves * moves).sum(axis=0)) + _TINY
    places += moves / length * np.minimum(length, heat)


def _spread(places: Places) -> Places:
    """Stretch to the whole picture, and give crowded regions some of the room of empty ones."""
    low, high = places.min(axis=1, keepdims=True), places.max(axis=1, keepdims=True)
    stretched = (places - low) / np.maximum(high - low, _TINY)
    ranks = places.argsort(axis=1).argsort(axis=1) / (places.shape[1] - 1)
    spread: Places = 0.5 * stretched + 0.5 * ranks
    return spread


def _apart(places: Places) -> Places:
    """Push nodes apart that lie too near one another, within the picture."""
    least = _LEAST_DISTANCE / np.sqrt(places.shape[1])
    places = np.clip(places, 0.0, 1.0)
    for _ in range(_SPREADING_STEPS):
        across, down = (row[:, None] - row[None, :] for row in places)
        distance = np.sqrt(across * across + down * down) + _TINY
        np.fill_diagonal(distance, np.inf)
        push = np.maximum(least - distance, 0.0) / distance / 2
        if not push.any():
            break
        places[0] += (across * push).sum(axis=1)
        places[1] += (down * push).sum(axis=1)
        np.clip(places, 0.0, 1.0, out=places)
    return places

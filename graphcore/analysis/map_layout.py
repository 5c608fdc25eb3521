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
_STEPS, _STEPS_AGAIN = 100, 40
# How far a node moves at first, as a share of the picture: from scratch, and from former places.
_HEAT, _HEAT_AGAIN = 0.1, 0.02
_GRAVITY = 0.6
_ASIDE = 0.05
# Of the nodes that pull at one, together, on average.
_MOST_PULL = 6.0
# How much places in the order from one end to the other count beside distances.
_RANKS = 0.5
_SPREADING_STEPS = 100
# Of the distance that nodes on a square grid would have; and what is as good, squared.
_LEAST_DISTANCE, _NEAR_ENOUGH = 0.75, 0.9
_TINY = 1e-9


class Pulls(NamedTuple):
    """Pairs of nodes that are to lie near one another, by position, and how strongly they pull."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: Reals


class Former(NamedTuple):
    """Places of nodes in another picture, NaN for new ones, and which nodes may leave them."""

    places: Places
    is_free: NDArray[np.bool_]


def map_layout(count: int, pulls: Pulls, former: Former | None = None) -> Places:
    """
    Place nodes 0 to ``count`` - 1; the same input gives the same places.

    With ``former``, nodes stay where they were, those aside that may move, and a little where they
    would cover others; new ones begin between those that they call or are called by.
    """
    if count <= 1:
        return np.full((2, count), 0.5)
    pull = np.zeros((count, count))
    np.add.at(pull, (pulls.source, pulls.target), pulls.weight)
    pull += pull.T
    # Where all call each other, they would lie on one spot.
    pull *= min(1.0, _MOST_PULL / max(pull.sum(axis=1).mean(), _TINY))
    places = np.random.default_rng(_SEED).random((2, count))
    if former is None:
        _settle(places, pull, _STEPS, np.full(count, _HEAT))
        places = _spread(places)
    else:
        is_new = ~np.isfinite(former.places[0])
        _begin_at_former(places, former.places, is_new, pull)
        _settle(places, pull, _STEPS_AGAIN, np.where(is_new | former.is_free, _HEAT_AGAIN, 0.0))
    return _apart(places)


def _begin_at_former(places: Places, former: Places, is_new: NDArray[np.bool_], pull: Reals) -> None:
    known = ~is_new
    places[:, known] = former[:, known]
    near = pull[:, known]
    total = near.sum(axis=1)
    for node in np.flatnonzero(is_new & (total > 0)).tolist():
        # Aside by a little: nodes in one place would push each other nowhere.
        aside = _ASIDE * (places[:, node] - 0.5)
        places[:, node] = former[:, known] @ near[node] / total[node] + aside


def _settle(places: Places, pull: Reals, steps: int, heat: Reals) -> None:
    """Let all forces act, again and again, on nodes that move less and less far."""
    ideal = 1.0 / np.sqrt(places.shape[1])
    square, force = np.empty_like(pull), np.empty_like(pull)
    for step in range(steps):
        _squared_distances(places, square)
        np.divide(ideal * ideal, square, out=force)
        np.sqrt(square, out=square)
        square *= pull
        square /= ideal
        force -= square
        moves = places * force.sum(axis=1) - places @ force
        moves -= _GRAVITY * (places - 0.5)
        length = np.sqrt((moves * moves).sum(axis=0)) + _TINY
        places += moves / length * np.minimum(length, heat * (1.0 - step / steps))


def _squared_distances(places: Places, square: Reals) -> None:
    np.matmul(places.T, places, out=square)
    square *= -2.0
    norms = (places * places).sum(axis=0)
    square += norms
    square += norms[:, None]
    np.maximum(square, _TINY, out=square)


def _spread(places: Places) -> Places:
    """Stretch to the whole picture, and give crowded regions some of the room of empty ones."""
    low, high = places.min(axis=1, keepdims=True), places.max(axis=1, keepdims=True)
    stretched = (places - low) / np.maximum(high - low, _TINY)
    ranks = places.argsort(axis=1).argsort(axis=1) / (places.shape[1] - 1)
    spread: Places = (1.0 - _RANKS) * stretched + _RANKS * ranks
    return spread


def _apart(places: Places) -> Places:
    """Push nodes apart that lie too near one another, within the picture."""
    least = _LEAST_DISTANCE / np.sqrt(places.shape[1])
    np.clip(places, 0.0, 1.0, out=places)
    square = np.empty((places.shape[1], places.shape[1]))
    for _ in range(_SPREADING_STEPS):
        _squared_distances(places, square)
        np.fill_diagonal(square, np.inf)
        if square.min() >= least * least * _NEAR_ENOUGH:
            break
        push = np.maximum(least / np.sqrt(square) - 1.0, 0.0) / 2.0
        places += places * push.sum(axis=1) - places @ push
        np.clip(places, 0.0, 1.0, out=places)
    return places

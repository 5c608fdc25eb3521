"""Searching names for a text: where it stands in them, or what resembles it."""

import re
from collections.abc import Sequence
from enum import IntEnum
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from graphcore.kernels import similar

_LONGEST_DIFFERENCE = 3
_CHARACTERS_A_DIFFERENCE = 3


class NameMatch(IntEnum):
    """How a text stands in a name; the lowest is the best."""

    EXACT = 1
    PREFIX = 2
    WORD = 3
    SUBSTRING = 4
    SIMILAR = 5


class NameSearch:
    """Looks for a text in names, in any case."""

    def __init__(self, text: str) -> None:
        self._text = text.casefold()
        # Where letters and digits begin, or one of them follows on the other.
        begin = r"(?:(?<![^\W_])|(?<=\d)(?=\D)|(?<=[^\W\d_])(?=\d))"
        self._word = re.compile(begin + re.escape(self._text))

    def holding(self, names: Sequence[str]) -> list[tuple[int, NameMatch]]:
        """
        Find the names that hold the text: their positions, and how.

        SUBSTRING stands for WORD, too, which ``is_word`` tells apart. O(characters), 0.2 µs a name.
        """
        text, found = self._text, []
        for position, name in enumerate(names):
            folded = name.casefold()
            if text in folded:
                match = NameMatch.SUBSTRING
                if folded.startswith(text):
                    match = NameMatch.EXACT if len(folded) == len(text) else NameMatch.PREFIX
                found.append((position, match))
        return found

    def is_word(self, name: str) -> bool:
        """Whether a word of a name that holds the text begins with it."""
        folded = name.casefold()
        if self._word.search(folded):
            return True
        # Folding may have moved the letters.
        return name != folded and len(folded) == len(name) and self._begins_with_capital(name, folded)

    def _begins_with_capital(self, name: str, folded: str) -> bool:
        """Whether the text begins at a capital, behind a small letter or before one."""
        at = folded.find(self._text, 1)
        while at > 0:
            following = name[at + 1 : at + 2]
            if name[at].isupper() and (not name[at - 1].isupper() or following.islower()):
                return True
            at = folded.find(self._text, at + 1)
        return False


def differences(names: Sequence[str], text: str, most: int) -> NDArray[np.int32]:
    """
    Measure how much a text differs from the nearest piece of each name, in characters, in any case.

    What is more than ``most`` may be too much. O(characters of names * characters of the text);
    compiled, it lets other threads run most of the time.
    """
    folded = [name.casefold() for name in names]
    ends = np.fromiter(accumulate(map(len, folded)), np.int64, len(folded))
    wanted = _code_points(text.casefold())
    rows, found = np.empty((3, len(wanted) + 1), np.int32), np.empty(len(folded), np.int32)
    similar.piece_distances.run(_code_points("".join(folded)), ends, wanted, most, rows, found)
    return found


def most_differences(text: str) -> int:
    """Return how much a text may differ from what it is said to resemble; 0 for a short one."""
    return min(_LONGEST_DIFFERENCE, len(text) // _CHARACTERS_A_DIFFERENCE)


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()

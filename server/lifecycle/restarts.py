"""How soon a worker that ended is started again."""

from dataclasses import dataclass

SOON_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
# Ends at once, in a row, from which on nothing is expected of one more try.
HOPELESS = 5


@dataclass(slots=True)
class Restarts:
    """The ends of one worker. ``at_once`` counts those in a row that came before it served or soon after that."""

    at_once: int = 0

    def ended(self, served_for: float | None) -> float:
        """
        Count an end, after so many seconds of service, None = it never served.

        Returns for how many seconds to wait: not at all after a long life, and twice as long after each further end at once.
        """
        if served_for is not None and served_for >= SOON_SECONDS:
            self.at_once = 0
            return 0.0
        self.at_once += 1
        return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self.at_once - 1, 16))

    @property
    def hopeless(self) -> bool:
        """Whether it ended at once too often."""
        return self.at_once >= HOPELESS

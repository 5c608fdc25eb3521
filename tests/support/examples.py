"""How many examples Hypothesis makes, and how often other tests repeat, by the run's profile."""

from hypothesis import settings

USUAL = 100


def examples(count: int) -> settings:
    """Make so many with ``--full``, half as many without, twenty times as many in ``thorough``."""
    return settings(max_examples=repeats(count))


def repeats(count: int) -> int:
    """Return how often to do what is done so often with ``--full``: in proportion to examples."""
    return max(1, count * settings().max_examples // USUAL)

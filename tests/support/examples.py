"""How many examples Hypothesis makes for a test, by the profile of the run."""

from hypothesis import settings

USUAL = 100


def examples(count: int) -> settings:
    """Make so many with ``--full``, half as many without, twenty times as many in ``thorough``."""
    return settings(max_examples=max(1, count * settings().max_examples // USUAL))

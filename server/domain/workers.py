"""What one worker of a server knows of the others."""

from dataclasses import dataclass


@dataclass(slots=True)
class Peers:
    """
    The workers that share an address, as one of them sees it.

    ``number`` is its own, from 1; ``serving`` is how many of ``count`` answer calls, as their supervisor told last. A process that has no
    supervisor is one of one.
    """

    number: int = 1
    count: int = 1
    serving: int = 1

    def problems(self) -> tuple[str, ...]:
        """Say in sentences for people what is wrong with them."""
        away = self.count - self.serving
        if not away:
            return ()
        which = f"{away} of {self.count} workers {'does' if away == 1 else 'do'} not serve"
        return (f"{which} yet or any more: the log says why, and they are started again by themselves",)

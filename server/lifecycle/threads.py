"""How threads of a server share the interpreter."""

import sys

# Whoever waits for the interpreter gets it after so long; 5 ms unless set. A call takes ten turns of the event loop, and waits at each of them for a
# thread that runs Python, as analyses do.
LONGEST_WAIT_SECONDS = 0.0005


def let_the_loop_in() -> None:
    """Let the event loop have the interpreter soon, whatever runs in threads of this process. Free where nothing does."""
    sys.setswitchinterval(LONGEST_WAIT_SECONDS)

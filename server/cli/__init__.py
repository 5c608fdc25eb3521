"""
The ``depgraph`` command.

``--help`` and ``status`` must start quickly: commands import the server's packages when they run.
"""

import atexit
import gc

_USUAL_THRESHOLDS = gc.get_threshold()
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def collect_garbage_rarely() -> None:
    """
    Collect garbage less often in this process, and not at its end.

    Nearly all objects of a command belong to modules, which stay. Looking for garbage among them
    took a third of the time of a short command, and 0.3 s at the end of a server.
    """
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)


def collect_garbage_as_usual() -> None:
    """Collect garbage as Python does by itself, but not among the objects that are there now."""
    gc.freeze()
    gc.set_threshold(*_USUAL_THRESHOLDS)

"""Where root keeps what the database's user must reach, and how progress is told."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

SYSTEM_STATE = Path("/var/lib/depgraph")

Report: TypeAlias = Callable[[str], None]
"""Takes one sentence of progress for a person to read."""


def system_folder(*parts: str) -> Path:
    """Make a folder below ``SYSTEM_STATE``, unless it is there, that everybody may enter."""
    target = SYSTEM_STATE.joinpath(*parts)
    for folder in (*reversed(target.parents), target):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)  # the umask may have closed it
    return target


def open_data_folder(folder: Path) -> None:
    """
    Make the data folder unless it exists.

    Root lets others pass through but not look, since the database's user must get to its files; others close it.
    """
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o711 if sys.platform != "win32" and os.geteuid() == 0 else 0o700)

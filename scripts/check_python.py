"""
Exit 0 if this Python can run depgraph, else say in one sentence why not.

With ``--shared`` also warn if other users can't run this Python. Runs on Python 3.7, too.
"""

from __future__ import annotations

import re
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def bounds() -> tuple[int, int]:
    """Return the oldest Python that the project allows and the newest that numba has wheels for."""
    oldest = re.search(r'requires-python = ">=3\.([0-9]+)"', (ROOT / "pyproject.toml").read_text())
    wheels = re.findall(r"/numba-[0-9.]+-cp3([0-9]+)-", (ROOT / "uv.lock").read_text())
    if oldest is None:
        sys.exit("pyproject.toml has no requires-python of the form >=3.N")
    return int(oldest.group(1)), max(map(int, wheels))


def problem() -> str | None:
    """Say why this Python does not do; None = it does."""
    oldest, newest = bounds()
    needed = f"depgraph needs Python 3.{oldest} to 3.{newest}"
    major, minor = sys.version_info[:2]
    if not (3, oldest) <= (major, minor) <= (3, newest):
        which = "old" if (major, minor) < (3, oldest) else "new"
        return f"{needed}, and {sys.executable} is too {which}: Python {major}.{minor}"
    missing = [name for name in ("venv", "ensurepip") if find_spec(name) is None]
    if missing:
        return f"{needed} with venv, and {sys.executable} has no {missing[0]}: install python3-venv"
    return None


def closed_folder() -> Path | None:
    """Return the first folder on the way to this Python that other users can't enter."""
    ways = reversed(Path(sys.executable).resolve().parents)
    return next((folder for folder in ways if not folder.stat().st_mode & stat.S_IXOTH), None)


if __name__ == "__main__":
    found = problem()
    if found:
        sys.exit(found)
    closed = closed_folder() if "--shared" in sys.argv else None
    if closed:
        sys.stderr.write(
            "warning: only its owner can run the installed server: "
            f"other users can't enter {closed}, which holds {Path(sys.executable).resolve()} "
            "(PYTHON=... names another)\n"
        )

"""Where compiled kernels are kept: folders by preference, and which of them can be trusted."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

_SUBFOLDER = "depgraph-kernels"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0


def usual_folders(first: Path | None = None, last: Path | None = None) -> list[Path]:
    """
    List where to look for compiled kernels and where to keep them, best first; none of them needs to exist.

    These are ``first`` if given, the folder of this package (what an image or ``make setup`` has compiled), the user's cache,
    ``last``, and the folder for temporary files. Each is a subfolder of ours, since its mode must be ours to choose.
    """
    home = _user_cache()
    ours = f"{_SUBFOLDER}-{_user()}"
    chosen = [
        first / _SUBFOLDER if first else None,
        Path(__file__).parent / "__pycache__" / _SUBFOLDER,
        home / _SUBFOLDER if home else None,
        last / _SUBFOLDER if last else None,
        Path(tempfile.gettempdir()) / ours,
    ]
    return [folder for folder in chosen if folder is not None]


def is_trusted(status: os.stat_result) -> bool:
    """
    Whether nobody but this user and root can have put there what has this status, a file's or folder's.

    Windows keeps no such status; its folders above belong to the user or the administrator.
    """
    if sys.platform == "win32":
        return True
    return status.st_uid in (os.geteuid(), _ROOT) and not status.st_mode & _WRITABLE_BY_OTHERS


def first_writable(folders: Iterable[Path]) -> Path | None:
    """Return the first folder that is there, or can be made, and can be trusted and written."""
    return next(filter(made, folders), None)


def made(folder: Path) -> bool:
    """Make the folder unless it is there; whether it can be trusted and written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            # Whatever the umask is: others read what root has compiled into an image, nobody else writes.
            folder.chmod(0o755)
    except OSError:
        return False
    return is_trusted(folder.lstat()) and os.access(folder, os.W_OK)


def _user_cache() -> Path | None:
    """Return the platform's folder for caches of this user; None without a home."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    named = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return named if named.is_absolute() else home / ".cache"


def _user() -> str:
    return str(os.geteuid()) if sys.platform != "win32" else os.environ.get("USERNAME", "user")

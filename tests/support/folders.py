"""Folders for databases of tests, open to the user of PostgreSQL when root runs the tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a new name is made in it
ENOUGH_BYTES = 2 * 1024**3


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a new folder, with a short path, that every user may enter; it is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="depgraph-", dir=_fast_parent()))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_with_owners(source: Path, target: Path) -> None:
    """Copy a folder whose files belong to several users: the copies belong to the same ones."""
    shutil.copytree(source, target)
    for original in (source, *source.rglob("*")):
        status = original.lstat()
        os.chown(target / original.relative_to(source), status.st_uid, status.st_gid)


def _fast_parent() -> Path | None:
    """
    Prefer memory where there is room; None = the usual place for temporary files.

    A new database is some 300 files: about 10 ms in memory, up to 300 ms on a disk that others keep
    busy.
    """
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ENOUGH_BYTES:
        return None
    return MEMORY

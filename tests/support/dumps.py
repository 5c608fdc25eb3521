"""Dumps of a database, and restores into one that is served, by PostgreSQL's own programs."""

import asyncio
import subprocess
from pathlib import Path

from server.store.embedded.binaries import programs


async def dump(url: str, file: Path) -> Path:
    """Dump a whole database in the custom format."""
    await _run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={url}")
    return file


async def restore(
    file: Path, url: str, *, clean: bool = True, single_transaction: bool = False, tolerant: bool = False
) -> None:
    """Restore a dump, over what is there if ``clean``; where ``tolerant``, statements may fail."""
    options = [
        *(("--clean", "--if-exists") if clean else ()),
        *(("--single-transaction",) if single_transaction else ()),
    ]
    await _run("pg_restore", *options, f"--dbname={url}", str(file), tolerant=tolerant)


async def _run(program: str, *arguments: str, tolerant: bool = False) -> None:
    command = [str(programs(None, lambda _: None) / program), *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert tolerant or done.returncode == 0, done.stderr

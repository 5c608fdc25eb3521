"""Dumps of a database, and restores into one that is served, by PostgreSQL's own programs."""

import asyncio
import subprocess
from pathlib import Path

from server.store.embedded.cluster import programs


async def dump(url: str, file: Path, *options: str) -> Path:
    """Dump a database in the custom format, all of it without options."""
    failure = await _run("pg_dump", "--format=custom", *options, f"--file={file}", f"--dbname={url}")
    assert not failure, failure
    return file


async def restore(file: Path, url: str, *, clean: bool = True, single_transaction: bool = False) -> None:
    """Restore a dump, over what is there if ``clean``."""
    failure = await _restore(file, url, clean=clean, single_transaction=single_transaction)
    assert not failure, failure


async def restored(file: Path, url: str, *, single_transaction: bool = False) -> bool:
    """Restore a dump over existing rows; False = a statement failed (locks, unknown tables)."""
    return not await _restore(file, url, clean=True, single_transaction=single_transaction)


async def _restore(file: Path, url: str, *, clean: bool, single_transaction: bool) -> str:
    options = [
        *(("--clean", "--if-exists") if clean else ()),
        *(("--single-transaction",) if single_transaction else ()),
    ]
    return await _run("pg_restore", *options, f"--dbname={url}", str(file))


async def _run(program: str, *arguments: str) -> str:
    """Run a program; returns what it says if it fails, else nothing."""
    command = [str(programs(None, lambda _: None) / program), *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr
